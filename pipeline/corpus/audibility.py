"""Whether a sound can be heard beside another, band by band: a simple model of simultaneous masking.

A mixture is labelled by it. The levels are A-weighted (IEC 61672), in bands of a third of an octave; a band masks its
neighbours too, the higher ones more than the lower ones (Zwicker and Fastl, "Psychoacoustics", 1999).
"""

import numpy as np
from scipy.signal import ShortTimeFFT

from pipeline.song.audio import SAMPLE_RATE as RATE

WINDOW, HOP = 1024, 500  # samples; 32 frames a second
CENTRES = 50 * 2 ** (np.arange(22) / 3)  # Hz
MASKED = -6.0  # dB; a sound is heard down to so much below what masks it in a band
FLOOR = -50.0  # dB below the loudest frame of both; nothing is heard under it
UP, DOWN = 8.0, 15.0  # dB that masking falls by from a band to the next higher or lower one
FRAMES = 0.25  # of the frames of a second, at least, in which the sound is heard


def heard(wanted, rest):
    """Whether the wanted sound is heard in each whole second, beside the rest: bool array (seconds,)."""
    n = min(len(wanted), len(rest)) // RATE
    a, b = (band_levels(sound[: n * RATE]) for sound in (wanted, rest))
    step = np.arange(len(CENTRES))
    spread = np.where(step[:, None] >= step, UP, DOWN) * np.abs(step[:, None] - step)
    masking = (b[np.newaxis] - spread[:, :, np.newaxis]).max(axis=1)
    loudest = 10 * np.log10((10 ** (a / 10) + 10 ** (b / 10)).sum(axis=0).max(initial=1e-12))
    audible = ((a > masking + MASKED) & (a > loudest + FLOOR)).any(axis=0)
    return audible[: n * RATE // HOP].reshape(n, -1).mean(axis=1) >= FRAMES


def band_levels(samples):
    """A-weighted levels in dB of the bands around `CENTRES`: float array (bands, frames), silence -120."""
    transform = ShortTimeFFT(np.hanning(WINDOW), HOP, RATE, scale_to="psd")
    power = transform.spectrogram(samples)[:, -transform.p_min :][:, : len(samples) // HOP]
    power = power * 10 ** (a_weighting(np.maximum(transform.f, 10)) / 10)[:, np.newaxis]
    edges = np.searchsorted(transform.f, CENTRES * 2 ** (-1 / 6))
    return 10 * np.log10(np.maximum(np.add.reduceat(power, edges, axis=0), 1e-12))


def a_weighting(frequency):
    """The A-weighting in dB at frequencies in Hz."""
    f = np.square(np.asarray(frequency, float))
    gain = 12194**2 * f**2 / ((f + 20.6**2) * np.sqrt((f + 107.7**2) * (f + 737.9**2)) * (f + 12194**2))
    return 20 * np.log10(gain) + 2.0


def a_level(samples):
    """The A-weighted level of the samples in dB, relative to any sound of the same length."""
    return 10 * np.log10((10 ** (band_levels(samples) / 10)).sum(axis=0).mean())
