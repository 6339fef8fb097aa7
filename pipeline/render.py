"""Rendering: a score played by a sound font, as samples at 16 kHz.
Only the window that is asked for is played, with a little before it, so that tails and pedal are right.
The synthesizer runs at 32 kHz and its sound is then decimated, since it does not filter what would alias.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import tinysoundfont
from scipy.signal import resample_poly

from pipeline.errors import SourceError

RATE = 16000
OVERSAMPLING = 2
PREROLL = 1.5  # seconds played before the window, and dropped
DRUMS = 9  # the MIDI channel of the drums


@dataclass(frozen=True)
class Touch:
    """How a score is played: tempo (factor), tuning (cents), velocity (factor and exponent), pedal (on or off)."""

    tempo: float = 1.0
    cents: float = 0.0
    loudness: float = 1.0
    contrast: float = 1.0
    pedal: bool = True

    @classmethod
    def random(cls, rng):
        return cls(tempo=float(np.exp(rng.uniform(-0.35, 0.3))), cents=float(rng.normal(0, 18)),
                   loudness=float(rng.uniform(0.45, 1.25)), contrast=float(rng.uniform(0.5, 1.6)), pedal=rng.random() < 0.85)

    def velocity(self, velocity):
        """MIDI velocities 1 to 127 as this touch plays them: contrast around 64, then loudness."""
        played = 64 * (velocity / 64.0) ** self.contrast * self.loudness
        return np.clip(np.rint(played), 1, 127).astype(int)


@lru_cache(maxsize=8)
def _font(path):
    try:
        font = tinysoundfont.Synth(samplerate=RATE * OVERSAMPLING)
        font.sfload(str(path), max_voices=160)
    except Exception as error:
        raise SourceError("font", f"{path} is not a sound font that can be read ({error}).") from error
    return font


def programs(path):
    """The General MIDI programs that the font holds in its first bank, and whether it has drums."""
    font = _font(str(path))
    melodic = [p for p in range(128) if font.sfpreset_name(0, 0, p)]
    return melodic, font.sfpreset_name(0, 128, 0) is not None


def render(score, font_path, start, seconds, touch=Touch()):
    """Play `seconds` of a score from second `start` (both in the time of the score as played, after tempo).

    Returns
    -------
    float32 array (seconds * 16000,), mono, as loud as the font makes it.
    """
    font = _font(str(font_path))
    for channel in range(16):
        font.control_change(channel, 120, 0)  # all sound off: the tail of the window before
    begin = max(start - PREROLL, 0.0)
    blocks, now = [], begin
    for when, act in _events(score, font, begin, start + seconds, touch):
        if when > now:
            blocks.append(_generate(font, when - now))
            now = when
        act()
    blocks.append(_generate(font, max(start + seconds - now, 0.0) + 0.1))
    wide = np.concatenate(blocks)[int((start - begin) * RATE * OVERSAMPLING):]
    samples = resample_poly(wide, 1, OVERSAMPLING).astype(np.float32)
    return samples[:int(seconds * RATE)]


def _generate(font, seconds):
    stereo = np.frombuffer(font.generate_simple(max(int(round(seconds * RATE * OVERSAMPLING)), 1)), np.float32)
    return stereo.reshape(-1, 2).mean(1)


def _events(score, font, begin, end, touch):
    """What to do when: programs first, then notes and pedal in order of time; a release comes before an attack."""
    notes = score.notes[(score.notes["end"] / touch.tempo > begin) & (score.notes["start"] / touch.tempo < end)]
    channels = _channels(notes)
    for program, channel in channels.items():
        font.program_select(channel, 0, 128 if program < 0 else 0, max(program, 0), program < 0)
        font.set_tuning(channel, 0.0 if program < 0 else touch.cents / 100)
        font.control_change(channel, 64, 0)
    velocities = touch.velocity(notes["velocity"])
    events = []
    for note, velocity in zip(notes, velocities):
        channel = channels.get(-1 if note["drum"] else int(note["program"]))
        if channel is None:
            continue
        pitch = int(note["pitch"])
        attack, release = max(note["start"] / touch.tempo, begin), note["end"] / touch.tempo
        events.append((attack, 1, lambda c=channel, p=pitch, v=int(velocity): font.noteon(c, p, v)))
        events.append((max(release, attack + 0.03), 0, lambda c=channel, p=pitch: font.noteoff(c, p)))
    if touch.pedal:
        melodic = [c for p, c in channels.items() if p >= 0]
        moves = score.pedal / (touch.tempo, 1.0) if len(score.pedal) else score.pedal
        before = moves[moves[:, 0] <= begin][-1:]  # the pedal as it stands when the window begins
        for when, down in [*before, *moves[(moves[:, 0] > begin) & (moves[:, 0] < end)]]:
            value = 127 if down else 0
            events += [(max(when, begin), 0, lambda c=c, v=value: font.control_change(c, 64, v)) for c in melodic]
    return [(when, act) for when, _, act in sorted(events, key=lambda e: e[:2]) if when < end]


def _channels(notes):
    """One MIDI channel for each program in the window, the drums (written -1) on theirs; fifteen programs at most."""
    melodic = np.unique(notes["program"][~notes["drum"]])
    free = [c for c in range(16) if c != DRUMS]
    channels = {int(program): channel for program, channel in zip(melodic, free)}
    if notes["drum"].any():
        channels[-1] = DRUMS
    return channels
