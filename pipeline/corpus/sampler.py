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
from pipeline.corpus.render import PLAIN, RATE, darkened
from pipeline.corpus.sounds import decoded
from pipeline.errors import SourceError

LONGEST = 7.0  # seconds of a note that are kept
LOWEST, HIGHEST = 21, 108  # keys of a piano
SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
# D#1v10.ogg, As1.mp3, a#1.wav, Piano.ff.Ab1.flac
NAME = re.compile(r"(?:^|\.)([A-Ga-g])(s|#|b)?(-?\d)(?:v\d+)?\.(?:ogg|mp3|wav|flac)$")


@dataclass(frozen=True)
class SamplePlayer:
    """Plays a score with the notes of `folders`, a layer of velocity each, softest first, or of one patch file."""

    folders: tuple

    def render(self, score, start, seconds, touch=PLAIN):
        """Play `seconds` of a score from second `start`, as `pipeline.corpus.render.FontPlayer.render` does."""
        notes = score.sustained().notes if touch.pedal else score.notes
        begins, ends = notes["start"] / touch.tempo - start, notes["end"] / touch.tempo - start
        heard = (begins < seconds) & (ends > -0.3) & (begins > -LONGEST) & ~notes["drum"]
        out = np.zeros(int(seconds * RATE), np.float32)
        for note, begin, end in zip(notes[heard], begins[heard], ends[heard]):
            velocity = int(touch.velocity(note["velocity"]))
            layer = min(int(velocity / 128 * len(self.folders)), len(self.folders) - 1)
            middle = 128 * (layer + 0.5) / len(self.folders)
            wave = _note(self.folders[layer], int(np.clip(note["pitch"], LOWEST, HIGHEST)))
            self._add(out, wave, begin, end, velocity / middle)
        if len(self.folders) == 1 and heard.any():
            return darkened(out, touch.velocity(notes["velocity"][heard]).mean())
        return out

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
            letter, sign, octave = match.groups()
            pitch = 12 * (int(octave) + 1) + SEMITONES[letter.upper()]
            found[pitch + {"s": 1, "#": 1, "b": -1, None: 0}[sign]] = str(path)
    if not found:
        message = f"{folder} holds no notes named like C4.mp3; delete the package's folder and try again."
        raise SourceError("package", message)
    return found


@lru_cache(maxsize=128)
def _notes_in(folder):
    return gus_patches.notes(folder, LONGEST) if folder.endswith(".pat") else notes_in(folder)


@lru_cache(maxsize=2048)
def _note(folder, pitch):
    """The recorded note nearest in pitch, resampled to the pitch that is wanted, from its attack on."""
    notes = _notes_in(folder)
    nearest = min(notes, key=lambda p: abs(p - pitch))
    samples = notes[nearest]
    if isinstance(samples, str):
        samples = _recorded(samples)
    if nearest != pitch:
        ratio = Fraction(2 ** ((nearest - pitch) / 12)).limit_denominator(60)
        samples = resample_poly(samples, ratio.numerator, ratio.denominator).astype(np.float32)
    return samples


@lru_cache(maxsize=512)
def _recorded(path):
    samples = decoded(path)[: int((LONGEST + 1) * RATE)].astype(np.float32) / 32768
    attack = int(np.argmax(np.abs(samples) > 0.01 * np.abs(samples).max(initial=1e-9)))
    return samples[max(attack - RATE // 200, 0) :][: int(LONGEST * RATE)]
