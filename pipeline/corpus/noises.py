"""Synthetic sounds: noise, hum, tones, clicks, applause, machines, voices and crowds.

Each is a function of a random generator and a length in samples. It returns float32 at 16 kHz with a peak of 1.
"""

import itertools

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import lfilter

from pipeline.song.audio import SAMPLE_RATE as RATE


def coloured(rng, n, slope=None):
    """Noise whose power falls by `slope` powers of the frequency: 0 white, 1 pink, 2 brown; drawn if not given."""
    slope = rng.uniform(-0.5, 2.5) if slope is None else slope
    fast = next_fast_len(n, real=True)
    spectrum = rfft(rng.standard_normal(fast, np.float32))
    frequency = np.maximum(rfftfreq(fast, 1 / RATE), 20.0)
    return _scaled(irfft(spectrum * (frequency / 1000) ** (-slope / 2), fast)[:n])


def hum(rng, n):
    """Mains hum: 50 or 60 Hz with a dozen harmonics, and a little hiss."""
    t = np.arange(n) / RATE
    f = rng.choice([50.0, 60.0]) * rng.uniform(0.995, 1.005)
    harmonics = range(1, rng.integers(4, 16))
    hums = sum(rng.uniform(0, 1) / k * np.sin(2 * np.pi * f * k * t + rng.uniform(0, 6.28)) for k in harmonics)
    return _scaled(hums + 0.02 * rng.standard_normal(n))


def crackle(rng, n):
    """The clicks of an old record: sparse impulses of random height through a short resonance."""
    clicks = np.where(rng.random(n) < rng.uniform(2, 60) / RATE, rng.standard_cauchy(n), 0.0)
    return _scaled(lfilter([1.0], [1.0, -rng.uniform(0.1, 0.8)], np.clip(clicks, -8, 8)))


def tones(rng, n):
    """Steady, gliding or beeping tones: sine, square or sawtooth, one to five at once."""
    t = np.arange(n) / RATE
    total = np.zeros(n)
    for _ in range(rng.integers(1, 6)):
        f = np.exp(rng.uniform(np.log(60), np.log(5000)))
        glide = rng.choice([0, 0, 1]) * rng.uniform(-1, 1)  # in octaves
        phase = np.cumsum(f * 2 ** (glide * t / t[-1])) / RATE
        sine = np.sin(2 * np.pi * phase)
        wave = (sine, np.sign(sine), 2 * (phase % 1) - 1)[rng.integers(3)]
        if rng.random() < 0.4:  # beeps; soft edges, since an edge is a click
            period, duty = rng.uniform(0.15, 1.2), rng.uniform(0.2, 0.8)
            wave = wave * np.clip(20 * np.minimum(t % period, period * duty - t % period), 0, 1)
        total += wave * rng.uniform(0.2, 1)
    return _scaled(total)


def applause(rng, n):
    """Clapping hands: thousands of short bursts of noise, each with the resonance of its pair of hands."""
    out = np.zeros(n)
    for _ in range(rng.integers(4, 24)):
        rate, f = rng.uniform(2.5, 5.5), rng.uniform(700, 2600)
        claps = np.cumsum(rng.normal(1 / rate, 0.15 / rate, int(n / RATE * rate) + 2))
        impulses = np.zeros(n)
        at = (claps * RATE).astype(int)
        at = at[(at >= 0) & (at < n)]
        impulses[at] = rng.uniform(0.2, 1, len(at))
        burst = rng.standard_normal(400) * np.exp(-np.arange(400) / rng.uniform(30, 120))
        body = _resonator(np.convolve(impulses, burst)[:n], f, 500)
        out += body * rng.uniform(0.1, 1)
    return _scaled(out)


def voice(rng, n):
    """A voice, talking or humming: pulses or breath through three formants that move from syllable to syllable."""
    formants = [((250, 850), 90, 1.0), ((850, 2400), 120, 0.6), ((2300, 3300), 180, 0.3)]  # range, bandwidth (Hz), gain
    syllables = max(int(n / RATE * rng.uniform(2.5, 6)), 2)
    edges = np.sort(rng.uniform(0, n, syllables)).astype(int)
    knots, t = np.r_[0, edges, n - 1], np.arange(n)
    pitch = rng.uniform(80, 280) * np.exp(np.interp(t, knots, np.cumsum(rng.normal(0, 0.09, len(knots))) * 0.6))
    phase = np.cumsum(pitch) / RATE
    pulses = np.maximum(np.diff(np.floor(phase), prepend=0), 0) * 6
    breath = np.interp(t, knots, (rng.random(len(knots)) < 0.25).astype(float))
    source = lfilter([1], [1, -0.9], pulses) * (1 - breath) + breath * 0.25 * rng.standard_normal(n)
    out = np.zeros(n)
    for first, last in itertools.pairwise(knots):
        if last - first < 64:
            continue
        part = source[first:last]
        piece = sum(_resonator(part, rng.uniform(*band), width) * gain for band, width, gain in formants)
        out[first:last] = piece * np.hanning(last - first) ** 0.4 * rng.choice([0, 1, 1, 1]) * rng.uniform(0.4, 1)
    return _scaled(out)


def crowd(rng, n):
    """Many voices at once, none of which can be followed."""
    return _scaled(sum(voice(rng, n) * rng.uniform(0.3, 1) for _ in range(4)) + 0.1 * coloured(rng, n, 1.0))


def machine(rng, n):
    """A motor, wind or rain: coloured noise that comes and goes, with or without a pulse."""
    t = np.arange(n) / RATE
    swell = 1 + rng.uniform(0, 0.9) * np.sin(2 * np.pi * rng.uniform(0.1, 14) * t + rng.uniform(0, 6.28))
    return _scaled(coloured(rng, n) * swell + 0.5 * rng.random() * hum(rng, n))


def brushes(rng, n):
    """Brushes on a snare drum: swishes on each beat, a tap on every other one. No kind of its own; see `sounds`."""
    t, beat = np.arange(n) / RATE, rng.uniform(0.35, 0.8)
    phase = (t / beat + rng.random()) % 2
    swish = np.sin(np.pi * (phase % 1)) ** rng.uniform(1, 4) * rng.uniform(0.1, 0.5)
    tap = np.exp(-((phase + 1) % 2) * beat / rng.uniform(0.03, 0.12)) * rng.uniform(0.3, 1)
    hiss = _resonator(rng.standard_normal(n), rng.uniform(2500, 6000), rng.uniform(2000, 5000))
    return _scaled((swish + tap) * hiss)


KINDS = {
    "coloured noise": coloured,
    "hum": hum,
    "crackle": crackle,
    "tones": tones,
    "applause": applause,
    "synthetic voice": voice,
    "crowd": crowd,
    "machine": machine,
}


def _resonator(samples, frequency, bandwidth):
    """A two-pole resonance at `frequency` Hz."""
    r = np.exp(-np.pi * bandwidth / RATE)
    return lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * frequency / RATE), r * r], samples)


def _scaled(samples):
    return (samples / max(np.abs(samples).max(), 1e-9)).astype(np.float32)
