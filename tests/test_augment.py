"""The disturbances: each does what it says, none breaks a sample, and the same seed disturbs alike."""

import numpy as np
import pytest
from scipy.signal import welch

from pipeline.corpus import augment, noises
from pipeline.corpus.augment import RATE, Chances


def music(seconds=4):
    """Notes with attack and decay, of several octaves."""
    t = np.arange(seconds * RATE) / RATE
    beat = t % 0.5
    pitch = 220 * 2 ** (np.floor(t / 0.5) % 12 / 12)
    return (0.2 * np.exp(-4 * beat) * sum(np.sin(2 * np.pi * np.cumsum(k * pitch) / RATE) / k for k in range(1, 12))).astype(np.float32)


def power(samples, low, high):
    frequency, density = welch(samples, RATE, nperseg=2048)
    return density[(frequency >= low) & (frequency < high)].sum()


STEPS = [augment.room, augment.equalize, augment.band_limit, augment.compress, augment.codec]


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.__name__)
def test_each_step_keeps_length_and_is_seeded(step):
    sound = music()
    for seed in range(5):
        first, second = (step(sound, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.shape == sound.shape and first.dtype == np.float32 and np.isfinite(first).all()
        assert not np.array_equal(first, sound)


def test_the_chain_never_leaves_the_range():
    sound, quiet = music(), 0
    for seed in range(60):
        made = augment.augment(sound, np.random.default_rng(seed)).samples
        peak = np.abs(made).max()
        assert made.dtype == np.float32 and len(made) == len(sound) and 0.005 < peak <= 1
        quiet += peak < 0.1
    assert quiet > 3  # soft recordings are among them


def test_a_clean_excerpt_changes_in_level_alone():
    sound = music()
    made = augment.augment(sound, np.random.default_rng(0), Chances(clean=1.0))
    assert made.noise is None
    assert np.corrcoef(made.samples, sound)[0, 1] > 0.99999


def test_silence_stays_silent_and_finite():
    silent = np.zeros(2 * RATE, np.float32)
    for seed in range(20):
        made = augment.augment(silent, np.random.default_rng(seed), Chances(codec=0.0))
        assert np.isfinite(made.samples).all() and np.abs(made.samples).max() < 0.01


def test_noise_is_reported_at_its_level():
    sound = music()
    ratios = []
    for seed in range(20):
        made = augment.augment(sound, np.random.default_rng(seed), Chances(clean=0, room=0, equalizer=0, noise=1))
        ratios.append(20 * np.log10(np.std(sound) / np.std(made.noise)))
    assert 8 < min(ratios) and max(ratios) < 46 and max(ratios) - min(ratios) > 15


@pytest.mark.parametrize("codec, container, rate", [("libmp3lame", "mp3", 32000), ("aac", "adts", 32000), ("libopus", "ogg", 24000)])
def test_codecs_come_back_in_time(codec, container, rate):
    sound = music()
    back = augment.round_trip(sound, codec, container, rate)
    assert len(back) == len(sound) and not np.array_equal(back, sound)
    assert np.corrcoef(back, sound)[0, 1] > 0.95


def test_speed_changes_pitch_and_length():
    sound = music()
    lengths = {len(augment.resample_speed(sound, np.random.default_rng(s))) for s in range(40)}
    assert min(lengths) < 0.96 * len(sound) and max(lengths) > 1.04 * len(sound)


def test_a_band_limit_takes_away_highs_or_lows():
    noise = noises.coloured(np.random.default_rng(0), 4 * RATE, 0.0)
    before = power(noise, 0, 60) / power(noise, 1000, 1500), power(noise, 7500, 8000) / power(noise, 1000, 1500)
    for seed in range(12):
        made = augment.band_limit(noise, np.random.default_rng(seed))
        after = power(made, 0, 60) / power(made, 1000, 1500), power(made, 7500, 8000) / power(made, 1000, 1500)
        assert after[0] < 0.9 * before[0] or after[1] < 0.9 * before[1]


def test_a_room_rings_on():
    click = np.zeros(2 * RATE, np.float32)
    click[100] = 1
    made = augment.room(click, np.random.default_rng(1))
    assert np.abs(made[200:]).max() > 0 and np.argmax(np.abs(made)) == 100


def test_compression_brings_loud_and_soft_closer():
    t = np.arange(2 * RATE) / RATE
    sound = (np.where(t < 1, 0.9, 0.05) * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    made = augment.compress(sound, np.random.default_rng(0))
    assert np.std(made[:RATE // 2]) / np.std(made[-RATE // 4:]) < 0.9 * np.std(sound[:RATE // 2]) / np.std(sound[-RATE // 4:])


@pytest.mark.parametrize("kind", noises.KINDS)
def test_noises_are_heard_and_seeded(kind):
    first, second = (noises.KINDS[kind](np.random.default_rng(5), 3 * RATE) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32 and np.isfinite(first).all() and np.abs(first).max() == pytest.approx(1, abs=1e-4)
