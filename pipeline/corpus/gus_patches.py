"""Patches of the Gravis Ultrasound (GUS), as in FreePats: one file holds the recorded notes of one instrument.

The layout is read as in TiMidity++ (timidity/instrum.c): a header of 129 bytes, one of 63 for the instrument, one of 47
for its layer, then for each note one of 96 and its samples.
"""

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from pipeline.errors import SourceError
from pipeline.song.audio import SAMPLE_RATE as RATE

SIXTEEN_BITS, UNSIGNED, LOOPED = 1, 2, 4  # bits of a note's mode
DECAY = 0.7  # time constant in seconds of a looped note, which dies away as if it had been struck


def notes(path, seconds):
    """The notes of a patch: {MIDI pitch: float32 samples at 16 kHz}, looped ones prolonged to `seconds`.

    Raises SourceError if the file is not a patch.
    """
    data = Path(path).read_bytes()
    if not data.startswith(b"GF1PATCH110\0"):
        message = f"{Path(path).name} is not a patch of recorded notes; delete its package's folder and try again."
        raise SourceError("patch", message)
    found, at = {}, 129 + 63 + 47
    for _ in range(data[129 + 63 + 6]):
        size, loop_start, loop_end, rate, _, _, root = struct.unpack_from("<IIIHIII", data, at + 8)
        mode = data[at + 55]
        raw = data[at + 96 : at + 96 + size]
        at += 96 + size
        width = 2 if mode & SIXTEEN_BITS else 1
        samples = np.frombuffer(raw, f"<i{width}", size // width) / 2 ** (8 * width - 1)
        if mode & UNSIGNED:
            samples = np.where(samples < 0, samples + 1, samples - 1)
        if mode & LOOPED:
            samples = _prolonged(samples, loop_start // width, loop_end // width, int(seconds * rate), rate)
        ratio = Fraction(RATE, rate).limit_denominator(500)
        pitch = round(69 + 12 * np.log2(root / 440_000))  # the root is in thousandths of a hertz
        found[pitch] = resample_poly(samples, ratio.numerator, ratio.denominator).astype(np.float32)
    return found


def _prolonged(samples, start, end, n, rate):
    """The samples with their loop repeated, dying away, until there are `n`."""
    head, loop = samples[:end], samples[start:end]
    if len(loop) < 2 or len(head) >= n:
        return samples
    tail = np.resize(loop, n - len(head))
    return np.concatenate([head, tail * np.exp(-np.arange(len(tail)) / (DECAY * rate))])
