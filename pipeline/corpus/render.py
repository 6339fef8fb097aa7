"""Rendering: a score played by a sound font, as samples at 16 kHz.

Only the window that is asked for is played, with a little before it, so that tails and pedal are right.
The synthesizer runs at 32 kHz and its sound is then decimated, since it does not filter what would alias.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.signal import butter, resample_poly, sosfilt

from pipeline.errors import SourceError
from pipeline.song.audio import SAMPLE_RATE as RATE

OVERSAMPLING = 2
PREROLL = 4.0  # seconds played before the window, and dropped
VOICES = 512  # a dense piece with the pedal down; without a voice a note is left out
DRUMS = 9  # the MIDI channel of the drums
SPREAD = (0.0, 1.0, -0.7, 0.4, -1.2, 1.5, -0.3)  # tunings of single keys, in units of the instrument's mistuning


@dataclass(frozen=True)
class Touch:
    """How a score is played: tempo (factor), tuning (cents), velocity (factor and exponent), pedal (on or off).

    `mistuning` is the spread, in cents, of the keys around the tuning, and of the two strings of each key.
    """

    tempo: float = 1.0
    cents: float = 0.0
    loudness: float = 1.0
    contrast: float = 1.0
    pedal: bool = True
    mistuning: float = 0.0

    @classmethod
    def random(cls, rng):
        return cls(
            tempo=float(np.exp(rng.uniform(-0.35, 0.3))),
            cents=float(rng.normal(0, 18)),
            loudness=float(rng.uniform(0.45, 1.25)),
            contrast=float(rng.uniform(0.5, 1.6)),
            pedal=rng.random() < 0.7,
            mistuning=float(rng.choice([0, 0, 0, 0, 3, 6, 12, 20])),
        )

    def velocity(self, velocity):
        """MIDI velocities 1 to 127 as this touch plays them: contrast around 64, then loudness."""
        played = 64 * (velocity / 64.0) ** self.contrast * self.loudness
        return np.clip(np.rint(played), 1, 127).astype(int)


PLAIN = Touch()  # as the score is written


@lru_cache(maxsize=12)
def _font(path):
    try:
        import tinysoundfont

        font = tinysoundfont.Synth(samplerate=RATE * OVERSAMPLING)
        font.sfload(str(path), max_voices=VOICES)
    except ImportError:
        command = ".venv/bin/python -m pip install --no-deps tinysoundfont"
        raise SourceError("font", f"Sound fonts need tinysoundfont; install it with: {command}") from None
    except Exception as error:
        raise SourceError("font", f"{path} is not a sound font that can be read ({error}).") from error
    return font


def programs(path):
    """The General MIDI programs that the font holds in its first bank."""
    font = _font(str(path))
    return [p for p in range(128) if font.sfpreset_name(0, 0, p)]


@dataclass(frozen=True)
class FontPlayer:
    """One General MIDI program of a sound font, which plays all pitched notes of a score."""

    font: str
    program: int

    def render(self, score, start, seconds, touch=PLAIN):
        """As `render`, below; soft playing sounds darker, which sound fonts leave out."""
        score = score.for_program(self.program)
        samples = render(score, self.font, start, seconds, touch)
        heard = (score.notes["end"] / touch.tempo > start) & (score.notes["start"] / touch.tempo < start + seconds)
        return darkened(samples, touch.velocity(score.notes["velocity"][heard]).mean() if heard.any() else 127)


def darkened(samples, velocity):
    """Samples (n,) through a low-pass filter, at 1.2 kHz for the softest MIDI velocity and 19 kHz for the loudest."""
    cutoff = 1200 * 2 ** (velocity / 127 * 4)
    if cutoff > 7000:
        return samples
    return sosfilt(butter(1, cutoff, fs=RATE, output="sos"), samples).astype(np.float32)


def render(score, font_path, start, seconds, touch=PLAIN):
    """Play `seconds` of a score from second `start` (both in the time of the score as played, after tempo).

    Returns
    -------
    float32 array (seconds * 16000,), mono, as loud as the font makes it.
    """
    score = score.sustained() if touch.pedal else score  # the synthesizer knows no pedal
    font = _font(str(font_path))
    for channel in range(16):
        font.control_change(channel, 120, 0)  # all sound off, which takes a moment
    _generate(font, 0.05)
    begin = max(start - PREROLL, 0.0)
    blocks, now = [], begin
    for when, act in _events(score, font, begin, start + seconds, touch):
        if when > now:
            blocks.append(_generate(font, when - now))
            now = when
        act()
    blocks.append(_generate(font, max(start + seconds - now, 0.0) + 0.1))
    wide = np.concatenate(blocks)[int((start - begin) * RATE * OVERSAMPLING) :]
    samples = resample_poly(wide, 1, OVERSAMPLING).astype(np.float32)
    return samples[: int(seconds * RATE)]


def _generate(font, seconds):
    stereo = np.frombuffer(font.generate_simple(max(round(seconds * RATE * OVERSAMPLING), 1)), np.float32)
    return stereo.reshape(-1, 2).mean(1)


def _events(score, font, begin, end, touch):
    """What to do when: programs first, then notes in order of time; a release comes before an attack."""
    notes = score.notes[(score.notes["end"] / touch.tempo > begin) & (score.notes["start"] / touch.tempo < end)]
    channels = _channels(notes, touch)
    for program, used in channels.items():
        for i, channel in enumerate(used):
            font.program_select(channel, 0, 128 if program < 0 else 0, max(program, 0), program < 0)
            cents = 0.0 if program < 0 else touch.cents + touch.mistuning * SPREAD[i]
            font.set_tuning(channel, cents / 100)
    events = []
    for note, velocity in zip(notes, touch.velocity(notes["velocity"])):
        used = channels.get(-1 if note["drum"] else int(note["program"]), ())
        pitch = int(note["pitch"])
        attack, release = max(note["start"] / touch.tempo, begin), note["end"] / touch.tempo
        strings = {used[pitch % len(used)], used[pitch * 5 % len(used) - 1]} if used else ()  # of one key
        for channel in strings:
            events.append((attack, 1, lambda c=channel, p=pitch, v=int(velocity): font.noteon(c, p, v)))
            events.append((max(release, attack + 0.03), 0, lambda c=channel, p=pitch: font.noteoff(c, p)))
    return [(when, act) for when, _, act in sorted(events, key=lambda e: e[:2]) if when < end]


def _channels(notes, touch):
    """The MIDI channels of each program in the window; the drums are written -1; fifteen programs at most.

    A program that plays alone out of tune gets seven channels, each with a tuning of its own.
    """
    melodic = np.unique(notes["program"][~notes["drum"]])
    free = [c for c in range(16) if c != DRUMS]
    if len(melodic) == 1 and touch.mistuning:
        channels = {int(melodic[0]): free[: len(SPREAD)]}
    else:
        channels = {int(program): [channel] for program, channel in zip(melodic, free)}
    if notes["drum"].any():
        channels[-1] = [DRUMS]
    return channels
