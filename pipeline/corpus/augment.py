"""Audio augmentation: what happens to sound between an instrument and a file. Room, microphone, noise, level, codec.

The same seeded pipeline is applied to every class, so that no augmentation is a clue to the label.
A fifth of all excerpts only changes its level. data/sounds/augmentation.csv holds the probabilities by recipe.
"""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

from pipeline.corpus import catalogue, noises
from pipeline.corpus.codecs import round_trip
from pipeline.corpus.devices import DEVICES
from pipeline.song.audio import SAMPLE_RATE as RATE
from pipeline.song.audio import rms


def augment(samples, rng, recipe="default"):
    """Pass float32 samples (n,) at 16 kHz through the augmentation pipeline.

    The augmentations are independent, but "clean" excludes all others, and a device takes the place of those up to
    compression. `recipe` gives their probabilities, as in `catalogue.augmentations`.

    Returns
    -------
    samples : float32 array (n,)
        Their peak is drawn between -36 and -1 dB of full scale.
    noise : float32 array (n,) or None
        The noise that was added.
    """
    noise, probability = None, catalogue.augmentations(recipe)

    def drawn(name):
        return probability[name] > 0 and rng.random() < probability[name]

    if drawn("clean"):
        return np.clip(_level(samples, rng), -1, 1).astype(np.float32), noise
    if drawn("device"):
        samples, noise = record(samples, rng)
    else:
        if drawn("room"):
            samples = room(samples, rng)
        if drawn("equalizer"):
            samples = equalize(samples, rng)
        if drawn("noise"):
            noise = background(len(samples), rng) * np.float32(rms(samples) * 10 ** (-rng.uniform(9, 45) / 20))
            samples = samples + noise
        if drawn("band"):
            samples = band_limit(samples, rng)
        if drawn("compression"):
            samples = compress(samples, rng)
    samples = _level(samples, rng)
    if drawn("clipping"):
        limit = np.float32(np.abs(samples).max() * rng.uniform(0.3, 0.8))
        samples = np.clip(samples, -limit, limit)
    if drawn("codec"):
        samples = codec(samples, rng)
    return np.clip(samples, -1, 1).astype(np.float32), noise


def record(samples, rng):
    """Record the samples in one of the rooms and with one of the devices of `pipeline.corpus.devices`."""
    shares = catalogue.devices()
    name = rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values()))
    return DEVICES[name](samples, rng)


def resample_speed(samples, rng):
    """Faster and higher or slower and lower by up to 6 %, in steps of 1 %: a turntable, a tape, another tuning.

    It changes the length, so it is no part of the pipeline, which keeps every second in its place.
    """
    percent = int(rng.integers(94, 107))
    return resample_poly(samples, 100, percent).astype(np.float32)


def room(samples, rng):
    """Reverberation: early reflections, then noise that decays by 60 dB in 0.15 to 2.5 s, darker with time."""
    decay = float(np.exp(rng.uniform(np.log(0.15), np.log(2.5))))
    n = int(min(decay, 2.0) * RATE)
    t = np.arange(n) / RATE
    tail = rng.standard_normal(n) * 10 ** (-3 * t / decay)
    dark = sosfilt(butter(1, rng.uniform(800, 5000), fs=RATE, output="sos"), tail)
    tail = tail * np.exp(-t / (0.2 * decay)) + dark  # the highs die first
    early = np.zeros(n)
    at = rng.integers(int(0.002 * RATE), int(0.06 * RATE), 8)
    early[np.minimum(at, n - 1)] = rng.uniform(-0.7, 0.7, 8)
    tail[: int(rng.uniform(0.002, 0.04) * RATE)] = 0
    wet = fftconvolve(samples, early + tail / (np.sqrt(np.sum(tail**2)) + 1e-9))[: len(samples)]
    wet *= rms(samples) / max(rms(wet), 1e-9)
    share = rng.uniform(0.1, 0.85)  # how far away the microphone stands
    return ((1 - share) * samples + share * wet).astype(np.float32)


def equalize(samples, rng):
    """A smooth random frequency response within about 12 dB, such as those of microphones, rooms and tone controls."""
    n = next_fast_len(len(samples), real=True)
    spectrum = rfft(samples, n)
    knots = np.linspace(np.log(40), np.log(8000), 8)
    gains = rng.normal(0, rng.uniform(1.5, 6), 8) + rng.uniform(-4, 4) * np.linspace(-1, 1, 8)
    frequency = np.log(np.maximum(rfftfreq(n, 1 / RATE), 20))
    return irfft(spectrum * 10 ** (np.interp(frequency, knots, gains) / 20), n)[: len(samples)].astype(np.float32)


def band_limit(samples, rng):
    """Low-pass, high-pass, a telephone, or an old record."""
    kind = rng.integers(4)
    low, high = [
        (None, rng.uniform(1800, 7000)),
        (rng.uniform(60, 500), None),
        (rng.uniform(200, 400), rng.uniform(2800, 3800)),
        (rng.uniform(80, 250), rng.uniform(3000, 5500)),
    ][kind]
    order = int(rng.integers(1, 5))
    for cut, side in ((low, "highpass"), (high, "lowpass")):
        if cut is not None:
            samples = sosfilt(butter(order, cut, side, fs=RATE, output="sos"), samples)
    return np.asarray(samples, np.float32)


def background(n, rng):
    """Hiss, hum, crackle, a crowd or a machine, with an RMS of 1."""
    kind = rng.choice(["coloured noise", "hum", "crackle", "crowd", "machine"], p=[0.4, 0.15, 0.2, 0.1, 0.15])
    noise = noises.KINDS[kind](rng, n)
    if kind in ("hum", "crackle"):
        noise = noise + 0.05 * noises.coloured(rng, n)
    return (noise / max(rms(noise), 1e-9)).astype(np.float32)


def compress(samples, rng):
    """Dynamic range compression: above a threshold the level rises by 1/ratio. Attack 10 ms, release 150 ms."""
    block = RATE // 100
    blocks = np.pad(np.abs(samples), (0, -len(samples) % block)).reshape(-1, block).max(1)
    envelope, level = np.empty_like(blocks), 0.0
    for i, peak in enumerate(blocks):
        level = max(peak, level * 0.93)
        envelope[i] = level
    threshold = max(np.abs(samples).max(), 1e-6) * 10 ** (-rng.uniform(8, 30) / 20)
    gain = np.minimum(1, (np.maximum(envelope, 1e-9) / threshold) ** (1 / rng.uniform(2, 12) - 1))
    smooth = np.interp(np.arange(len(samples)), np.arange(len(gain)) * block, gain)
    return (samples * smooth).astype(np.float32)


def codec(samples, rng):
    """Encode and decode with MP3, AAC or Opus at a low bit rate, 8 to 64 kbit/s."""
    name, container, rates = [
        ("libmp3lame", "mp3", (16, 24, 32, 48, 64)),
        ("aac", "adts", (16, 24, 32, 48, 64)),
        ("libopus", "ogg", (8, 12, 16, 24, 48)),
    ][rng.integers(3)]
    return round_trip(samples, name, container, int(rng.choice(rates)) * 1000)


def _level(samples, rng):
    peak = 10 ** (-min(abs(rng.normal(0, 12)), 35) / 20 - 0.05)
    return samples * np.float32(peak / max(np.abs(samples).max(), 1e-6))
