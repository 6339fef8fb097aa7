"""Whether two files hold the same sound, by the fingerprint of Haitsma and Kalker (2002).

"A Highly Robust Audio Fingerprinting System", ISMIR 2002. A recording that was encoded anew, cut, made louder or mixed
with a little noise is found; another performance of the same piece is not.
"""

import numpy as np
from scipy.signal import ShortTimeFFT, fftconvolve
from tqdm import tqdm

from pipeline.song.audio import SAMPLE_RATE, load

WINDOW, HOP = 5920, 320  # samples: 370 ms, so that it matters little where a frame begins, every 20 ms
EDGES = np.geomspace(300, 4000, 34)  # Hz, of 33 bands
SHORTEST = 1.5  # seconds of the shorter file
SAME = 0.4  # share of equal bits minus share of different ones; unrelated sounds stay near 0


def fingerprint(samples):
    """Bits (frames, 32), 1 where the step between two bands grows, else -1, 0 in silence; `samples` (n,) at 16 kHz."""
    samples = np.pad(samples, (0, max(0, 2 * WINDOW - len(samples))))
    transform = ShortTimeFFT(np.hanning(WINDOW), HOP, SAMPLE_RATE, mfft=8192)
    edges = np.searchsorted(transform.f, EDGES)
    energy = np.add.reduceat(transform.spectrogram(samples.astype(np.float32)), edges, axis=0)[:-1].T
    return np.sign(np.diff(np.diff(energy, axis=1), axis=0)).astype(np.float32)


def similarity(one, other):
    """How alike the shorter fingerprint is to the most similar part of the longer one, -1 to 1."""
    short, long = sorted((one, other), key=len)
    products = fftconvolve(long, short[::-1], "valid", axes=0).sum(axis=1)
    return float(products.max() / short.size)


def alike(paths):
    """Pairs of indices of the files that hold the same sound."""
    prints = [fingerprint(load(path)) for path in tqdm(paths, "comparing", unit="file", disable=None)]
    return [
        (i, j)
        for j in range(len(prints))
        for i in range(j)
        if min(len(prints[i]), len(prints[j])) * HOP >= SHORTEST * SAMPLE_RATE
        and similarity(prints[i], prints[j]) > SAME
    ]
