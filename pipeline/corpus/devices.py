"""Rooms and devices that people record a piano with: practice rooms, telephones, laptops, video calls.

Each is a function of float32 samples (n,) at 16 kHz and a random generator. It returns the samples, as long as they
were, and the noise that was added, or None. Every class passes them alike.
"""

import numpy as np
from scipy.ndimage import minimum_filter1d, uniform_filter1d
from scipy.signal import butter, fftconvolve, istft, resample_poly, sosfilt, stft

from pipeline.corpus import noises
from pipeline.corpus.codecs import round_trip
from pipeline.song.audio import SAMPLE_RATE as RATE
from pipeline.song.audio import rms

SPEED_OF_SOUND = 343.0  # m/s
IMAGES = 4  # reflections on each pair of walls that are computed one by one; a decaying noise continues them
BLOCK = RATE // 50  # samples; automatic gain changes every 20 ms


def practice_room(samples, rng):
    """A small room with hard walls, the microphone 0.5 to 2.5 m away."""
    response = _room(rng, rng.uniform([2.2, 1.8, 2.2], [4.5, 3.5, 2.8]), rng.uniform(0.04, 0.3))
    return _like(fftconvolve(samples, response)[: len(samples)], samples), None


def phone(samples, rng):
    """A telephone across a larger room, with automatic gain."""
    response = _room(rng, rng.uniform([3, 3, 2.3], [9, 7, 3.5]), rng.uniform(0.1, 0.5))
    heard = _microphone(fftconvolve(samples, response)[: len(samples)], rng, rng.uniform(80, 300))
    heard, noise = _with_noise(heard, samples, rng, (12, 38))
    return automatic_gain(heard, rng), noise


def laptop(samples, rng):
    """The microphone of a laptop near the instrument, its noise suppression and automatic gain."""
    response = _room(rng, rng.uniform([2.5, 2.5, 2.3], [6, 5, 3]), rng.uniform(0.1, 0.5))
    heard = _microphone(fftconvolve(samples, response)[: len(samples)], rng, rng.uniform(100, 250))
    heard, noise = _with_noise(heard, samples, rng, (12, 35))
    return automatic_gain(suppress_noise(heard, rng), rng), noise


def video_call(samples, rng):
    """A laptop, then Opus as video calls use it: the mode for speech at 6 to 20 kbit/s."""
    heard, noise = laptop(samples, rng)
    rate = int(rng.choice([6, 8, 12, 16, 20])) * 1000
    return round_trip(heard, "libopus", "ogg", rate, {"application": "voip"}), noise


def resampled_twice(samples, rng):
    """To another sampling rate and back, twice; a cheap converter interpolates and lets aliases through."""
    sound = samples
    for rate in rng.choice([8000, 10000, 11025, 12000, 14000, 22050], 2):
        if rng.random() < 0.3:
            n = int(len(sound) * rate / RATE)
            low = np.interp(np.arange(n) * RATE / rate, np.arange(len(sound)), sound)
            sound = np.interp(np.arange(len(samples)) * rate / RATE, np.arange(n), low)
        else:
            divisor = np.gcd(RATE, int(rate))
            up, down = int(rate) // divisor, RATE // divisor
            sound = resample_poly(resample_poly(sound, up, down), down, up)[: len(samples)]
        sound = np.pad(sound, (0, len(samples) - len(sound)))
    return sound.astype(np.float32), None


DEVICES = {
    "practice room": practice_room,
    "phone at a distance": phone,
    "laptop": laptop,
    "video call": video_call,
    "resampled twice": resampled_twice,
}


def suppress_noise(samples, rng):
    """Spectral subtraction: what hardly changes within a second is turned down by 8 to 20 dB, as steady noise is."""
    _, _, spectrum = stft(samples, nperseg=512)
    power = uniform_filter1d(np.abs(spectrum) ** 2, 3, axis=1)
    floor = minimum_filter1d(uniform_filter1d(power, 15, axis=1), RATE // 256, axis=1) * rng.uniform(1.5, 4)
    gain = np.clip(1 - floor / np.maximum(power, 1e-12), 10 ** (-rng.uniform(8, 20) / 20), 1)
    return istft(spectrum * uniform_filter1d(gain, 3, axis=1), nperseg=512)[1][: len(samples)].astype(np.float32)


def automatic_gain(samples, rng):
    """A gain of at most 24 dB that brings the level to a constant: down within 40 ms, up within 0.3 to 2 s."""
    blocks = np.sqrt(np.mean(np.pad(samples, (0, -len(samples) % BLOCK)).reshape(-1, BLOCK) ** 2, axis=1))
    loudest, rise = max(blocks.max(), 1e-6), BLOCK / RATE / rng.uniform(0.3, 2)
    wanted = np.clip(0.3 * loudest / np.maximum(blocks, 0.01 * loudest), None, 10 ** (24 / 20))
    gain, now = np.empty_like(wanted), wanted[0]
    for i, target in enumerate(wanted):
        now += (target - now) * (0.5 if target < now else rise)
        gain[i] = now
    smooth = np.interp(np.arange(len(samples)), np.arange(len(gain)) * BLOCK, gain)
    return (samples * smooth).astype(np.float32)


def _room(rng, size, absorption):
    """The impulse response of a shoebox of `size` (m) by image sources (Allen and Berkley, 1979), with a noise tail.

    Source and microphone stand at random places, 0.3 m at least from the walls.
    """
    source, microphone = (rng.uniform(0.3, size - 0.3) for _ in range(2))
    order = np.arange(-IMAGES, IMAGES + 1)
    n = np.stack(np.meshgrid(order, order, order, indexing="ij"), -1).reshape(-1, 1, 3)
    mirrored = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    distance = np.linalg.norm((1 - 2 * mirrored) * source + 2 * n * size - microphone, axis=-1)
    bounces = (np.abs(n - mirrored) + np.abs(n)).sum(-1)
    strength = np.sqrt(1 - absorption) ** bounces / np.maximum(distance, 0.3)
    volume, surface = np.prod(size), 2 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    decay = 0.161 * volume / (-surface * np.log(1 - absorption))  # seconds for 60 dB (Eyring, 1930)
    length = int(min(decay, 1.5) * RATE) + RATE // 10
    delay = np.rint((distance - distance.min()) / SPEED_OF_SOUND * RATE).astype(int)
    response = np.bincount(delay[delay < length], strength[delay < length], length)
    begin = int(2 * IMAGES * size.min() / SPEED_OF_SOUND / 2 * RATE)  # from here on images are missing
    if begin < length:
        t = np.arange(length - begin) / RATE
        level = rms(response[max(begin - RATE // 100, 0) : begin])
        response[begin:] = level * rng.standard_normal(len(t)) * 10 ** (-3 * t / decay)
    return _soft_walls(response, rng)


def _soft_walls(response, rng):
    """The response with its later part darker, since walls and air absorb high frequencies first."""
    dark = sosfilt(butter(1, rng.uniform(1500, 6000), fs=RATE, output="sos"), response)
    share = np.exp(-np.arange(len(response)) / (rng.uniform(0.02, 0.2) * RATE))
    return share * response + (1 - share) * dark


def _microphone(samples, rng, low):
    """A small microphone: no lows, a resonance between 1 and 5 kHz, no highest highs."""
    band = butter(2, [low, rng.uniform(5000, 7800)], "bandpass", fs=RATE, output="sos")
    samples = sosfilt(band, samples)
    centre = rng.uniform(1000, 5000)
    resonance = butter(1, [centre * 0.8, min(centre * 1.25, 7900)], "bandpass", fs=RATE, output="sos")
    return samples + rng.uniform(-0.5, 1.5) * sosfilt(resonance, samples)


def _with_noise(samples, like, rng, decibels):
    """The samples, as loud as `like`, with the noise of a room or a fan so many decibels below; and the noise."""
    samples = _like(samples, like)
    kind = noises.machine if rng.random() < 0.4 else noises.coloured
    noise = kind(rng, len(samples))
    noise = _like(noise, samples) * np.float32(10 ** (-rng.uniform(*decibels) / 20))
    return samples + noise, noise


def _like(samples, other):
    """The samples with the RMS of the others."""
    return (samples * (rms(other) / max(rms(samples), 1e-9))).astype(np.float32)
