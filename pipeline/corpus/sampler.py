"""A sampler: a score played with recorded notes of one instrument, in layers of velocity where the package has them.

A sound font shapes its notes by envelopes and filters. Here they stay as they were recorded, only darker where they are
played softly and there is one layer alone.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from pipeline.corpus import gus_patches
from pipeline.corpus.render import PLAIN, RATE, SPREAD, darkened
from pipeline.corpus.sounds import decoded
from pipeline.errors import SourceError
from pipeline.song.audio import is_audio

LONGEST = 7.0  # seconds of a note that are kept
LOWEST, HIGHEST = 21, 108  # keys of a piano
SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
# D#1v10.ogg, As1.mp3, a#1.wav, Piano.ff.Ab1.flac
NAME = re.compile(r"(?:^|\.)([A-Ga-g])(s|#|b)?(-?\d)(?:v\d+)?\.(?:ogg|mp3|wav|flac)$")


TAKE = re.compile(  # 060_090, 60, C4_090, A#3v100_rr2: the note, its velocity, its take
    r"(?:(?P<number>\d{1,3})|(?P<letter>[A-Ga-g])(?P<sign>s|#|b)?(?P<octave>-?\d))"
    r"(?:(?:[_-]?v|[_-])(?P<velocity>\d{1,3}))?(?:_rr\d+)?"
)


@dataclass(frozen=True)
class SamplePlayer:
    """Plays a score with the notes of `folders`, a layer of velocity each, softest first, or of one patch file.

    `is_instrument`: the only folder is a sampled instrument, as `pipeline.corpus.instruments` describes it. Its notes
    stay near the range that was recorded, and are as much out of tune as the touch says.
    """

    folders: tuple
    is_instrument: bool = False

    def render(self, score, start, seconds, touch=PLAIN):
        """Play `seconds` of a score from second `start`, as `pipeline.corpus.render.FontPlayer.render` does."""
        notes = score.sustained().notes if touch.pedal else score.notes
        begins, ends = notes["start"] / touch.tempo - start, notes["end"] / touch.tempo - start
        heard = (begins < seconds) & (ends > -0.3) & (begins > -LONGEST) & ~notes["drum"]
        out = np.zeros(int(seconds * RATE), np.float32)
        recorded = _recorded_notes(self.folders, self.is_instrument)
        for i, (note, begin, end) in enumerate(zip(notes[heard], begins[heard], ends[heard])):
            velocity, pitch = int(touch.velocity(note["velocity"])), int(np.clip(note["pitch"], LOWEST, HIGHEST))
            pitch = _near(pitch, recorded) if self.is_instrument else pitch
            nearest = min(recorded, key=lambda p: abs(p - pitch))
            layer, takes = min(recorded[nearest].items(), key=lambda item: (abs(item[0] - velocity), -item[0]))
            for cents in self._strings(pitch, touch):
                wave = _note(takes[i % len(takes)], nearest - pitch - cents / 100, _length(end - begin))
                self._add(out, wave, begin, end, velocity / layer)
        if len(next(iter(recorded.values()))) == 1 and heard.any():
            return darkened(out, touch.velocity(notes["velocity"][heard]).mean())
        return out

    def _strings(self, pitch, touch):
        """The tuning of the strings of a key, in cents: two if they differ."""
        if not self.is_instrument:
            return (0.0,)
        spread = {SPREAD[pitch % len(SPREAD)], SPREAD[pitch * 5 % len(SPREAD) - 1]} if touch.mistuning else {0.0}
        return [round(touch.cents + touch.mistuning * part) for part in sorted(spread)]

    @staticmethod
    def _add(out, wave, begin, end, gain):
        """Add one note, damped from its end on; `begin` may lie before the window."""
        at = int(begin * RATE)
        held = max(int((end - begin) * RATE), RATE // 50)
        wave = wave[: held + int(0.35 * RATE)] * np.float32(gain)
        if len(wave) > held:
            wave[held:] *= np.exp(-np.arange(len(wave) - held) / (0.07 * RATE)).astype(np.float32)
        wave = wave[max(-at, 0) :]
        at = max(at, 0)
        wave = wave[: len(out) - at]
        out[at : at + len(wave)] += wave


def notes_in(folder):
    """The recorded notes of a folder: {MIDI pitch: path}. Raises SourceError if there are none."""
    found = {}
    for path in sorted(Path(folder).iterdir()):
        match = NAME.search(path.name)
        if match:
            found[_pitch(*match.groups())] = str(path)
    if not found:
        message = f"{folder} holds no notes named like C4.mp3; delete the package's folder and try again."
        raise SourceError("package", message)
    return found


@lru_cache(maxsize=256)
def _recorded_notes(folders, is_instrument):
    """What the folders hold: {MIDI pitch: {velocity: (path, or samples of a patch, one a take)}}."""
    if is_instrument:
        return instrument_notes(folders[0])
    found = {}
    for layer, folder in enumerate(folders):
        notes = gus_patches.notes(folder, LONGEST) if folder.endswith(".pat") else notes_in(folder)
        for pitch, source in notes.items():
            found.setdefault(pitch, {})[128 * (layer + 0.5) / len(folders)] = (_Source(source),)
    return found


class _Source:
    """A recorded note: the path of a file, or samples. It is compared by identity."""

    def __init__(self, source):
        self.source = source

    def samples(self):
        return _recorded(self.source) if isinstance(self.source, str) else self.source


def instrument_notes(folder):
    """The notes of a sampled instrument: {MIDI pitch: {velocity: (take, ...)}}. Raises SourceError, naming the file."""
    found = {}
    for path in sorted(Path(folder).iterdir()):
        if path.name.startswith(".") or not is_audio(path):
            continue
        match = TAKE.fullmatch(path.stem)
        name = f"{path.parent.name}/{path.name}"
        if not match:
            message = f"{name} is not named like 060_090.flac or C4_090.flac: note, velocity; rename or remove it."
            raise SourceError("instrument", message)
        pitch = int(match["number"]) if match["number"] else _pitch(match["letter"], match["sign"], match["octave"])
        velocity = int(match["velocity"] or 90)
        if not (LOWEST - 12 <= pitch <= 127 and 1 <= velocity <= 127):
            message = f"{name} says note {pitch} and velocity {velocity}; notes go from 9 to 127, velocities from 1."
            raise SourceError("instrument", message)
        found.setdefault(pitch, {}).setdefault(velocity, []).append(_Source(str(path)))
    if not found:
        message = f"{Path(folder).name} holds no notes; add files such as 060_090.flac, or remove it from README.tsv."
        raise SourceError("instrument", message)
    return {p: {v: tuple(takes) for v, takes in layers.items()} for p, layers in found.items()}


def _pitch(letter, sign, octave):
    return 12 * (int(octave) + 1) + SEMITONES[letter.upper()] + {"s": 1, "#": 1, "b": -1, None: 0}[sign]


def _near(pitch, recorded):
    """The pitch, moved by octaves until it is at most half an octave outside of the recorded range."""
    low, high = min(recorded) - 6, max(recorded) + 6
    while pitch > high:
        pitch -= 12
    while pitch < low:
        pitch += 12
    return pitch


def _length(held):
    """How many seconds of a recorded note are needed to hold it so long, in a few steps that a cache can keep."""
    return next((length for length in (0.5, 1.0, 2.0, 4.0) if held + 0.4 < length), LONGEST)


@lru_cache(maxsize=2048)
def _note(source, semitones, seconds):
    """The first `seconds` of a recorded note, `semitones` lower than it was recorded, from its attack on."""
    samples, ratio = source.samples(), 2 ** (semitones / 12)
    if seconds < LONGEST:
        samples = samples[: int((seconds / ratio + 0.1) * RATE)]
    if semitones:
        ratio = Fraction(ratio).limit_denominator(60 if semitones == round(semitones) else 400)
        samples = resample_poly(samples, ratio.numerator, ratio.denominator).astype(np.float32)
    return samples


@lru_cache(maxsize=512)
def _recorded(path):
    samples = decoded(path)[: int((LONGEST + 1) * RATE)].astype(np.float32) / 32768
    attack = int(np.argmax(np.abs(samples) > 0.01 * np.abs(samples).max(initial=1e-9)))
    return samples[max(attack - RATE // 200, 0) :][: int(LONGEST * RATE)]
