"""Audio augmentation: each step does what its name says, none breaks a sample, and a seed repeats it."""

from collections import Counter

import numpy as np
import pytest
from scipy.signal import welch

from pipeline.corpus import augment, catalogue, codecs, noises
from pipeline.corpus.augment import RATE


def music(seconds=4):
    """Notes with attack and decay, of several octaves."""
    t = np.arange(seconds * RATE) / RATE
    beat = t % 0.5
    pitch = 220 * 2 ** (np.floor(t / 0.5) % 12 / 12)
    return (
        0.2 * np.exp(-4 * beat) * sum(np.sin(2 * np.pi * np.cumsum(k * pitch) / RATE) / k for k in range(1, 12))
    ).astype(np.float32)


def power(samples, low, high):
    frequency, density = welch(samples, RATE, nperseg=2048)
    return density[(frequency >= low) & (frequency < high)].sum()


def click(seconds):
    return np.eye(1, seconds * RATE, dtype=np.float32)[0]


STEPS = [augment.room, augment.equalize, augment.band_limit, augment.compress, augment.codec]


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.__name__)
def test_each_step_keeps_length_and_is_seeded(step):
    sound = music()
    for seed in range(5):
        first, second = (step(sound, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.shape == sound.shape
        assert first.dtype == np.float32
        assert np.isfinite(first).all()
        assert not np.array_equal(first, sound)


def test_the_augmentation_never_leaves_the_range():
    sound, quiet = music(), 0
    for seed in range(60):
        made, _ = augment.augment(sound, np.random.default_rng(seed))
        peak = np.abs(made).max()
        assert made.dtype == np.float32
        assert len(made) == len(sound)
        assert 0.005 < peak <= 1
        quiet += peak < 0.1
    assert quiet > 3  # soft recordings are among them


def test_a_clean_excerpt_changes_in_level_alone(monkeypatch):
    monkeypatch.setitem(catalogue.augmentations("default"), "clean", 1.0)
    sound = music()
    made, noise = augment.augment(sound, np.random.default_rng(0))
    assert noise is None
    assert np.corrcoef(made, sound)[0, 1] > 0.99999


def test_each_augmentation_is_as_frequent_as_its_probability(monkeypatch):
    tone, made = np.sin(np.arange(1600) / 5).astype(np.float32), Counter()
    for step in ("room", "equalize", "band_limit", "compress", "codec"):
        monkeypatch.setattr(augment, step, lambda samples, rng, step=step: made.update([step]) or samples)
    monkeypatch.setattr(augment, "background", lambda n, rng: made.update(["noise"]) or np.zeros(n, np.float32))
    for seed in range(2000):
        samples = np.abs(augment.augment(tone, np.random.default_rng(seed))[0])
        made["clipping"] += np.mean(samples > 0.999 * samples.max()) > 0.1
    chances = {
        "room": 0.5,
        "equalize": 0.6,
        "band_limit": 0.25,
        "noise": 0.4,
        "compress": 0.25,
        "codec": 0.3,
        "clipping": 0.06,
    }
    for step, chance in chances.items():  # of the four fifths that are not clean
        assert made[step] / 2000 == pytest.approx(0.8 * chance, abs=0.035 if chance > 0.1 else 0.02), step


def test_silence_stays_silent_and_finite(monkeypatch):
    monkeypatch.setitem(catalogue.augmentations("default"), "codec", 0.0)
    silent = np.zeros(2 * RATE, np.float32)
    for seed in range(20):
        made, _ = augment.augment(silent, np.random.default_rng(seed))
        assert np.isfinite(made).all()
        assert np.abs(made).max() < 0.01


def test_noise_is_reported_at_its_level(monkeypatch):
    for name, probability in {"clean": 0, "room": 0, "equalizer": 0, "noise": 1}.items():
        monkeypatch.setitem(catalogue.augmentations("default"), name, probability)
    sound = music()
    ratios = []
    for seed in range(20):
        _, noise = augment.augment(sound, np.random.default_rng(seed))
        ratios.append(20 * np.log10(np.std(sound) / np.std(noise)))
    assert min(ratios) > 8
    assert max(ratios) < 46
    assert max(ratios) - min(ratios) > 15


@pytest.mark.parametrize(
    ("codec", "container", "rate"), [("libmp3lame", "mp3", 32000), ("aac", "adts", 32000), ("libopus", "ogg", 24000)]
)
def test_codecs_come_back_in_time(codec, container, rate):
    sound = music()
    back = codecs.round_trip(sound, codec, container, rate)
    assert len(back) == len(sound)
    assert not np.array_equal(back, sound)
    assert np.corrcoef(back, sound)[0, 1] > 0.95


def test_speed_changes_pitch_and_length():
    sound = music()
    lengths = {len(augment.resample_speed(sound, np.random.default_rng(s))) for s in range(40)}
    assert min(lengths) < 0.96 * len(sound)
    assert max(lengths) > 1.04 * len(sound)


def test_a_band_limit_takes_away_highs_or_lows():
    noise = noises.coloured(np.random.default_rng(0), 4 * RATE, 0.0)
    before = power(noise, 0, 60) / power(noise, 1000, 1500), power(noise, 7500, 8000) / power(noise, 1000, 1500)
    for seed in range(12):
        made = augment.band_limit(noise, np.random.default_rng(seed))
        after = power(made, 0, 60) / power(made, 1000, 1500), power(made, 7500, 8000) / power(made, 1000, 1500)
        assert after[0] < 0.9 * before[0] or after[1] < 0.9 * before[1]


def test_a_room_rings_on():
    made = augment.room(click(2), np.random.default_rng(1))
    assert np.abs(made[100:]).max() > 0
    assert np.argmax(np.abs(made)) == 0


@pytest.mark.parametrize("seed", range(8))
def test_a_room_dies_away_by_60_db_in_its_time(seed):
    decay = np.exp(np.random.default_rng(seed).uniform(np.log(0.15), np.log(2.5)))  # the first number that a room draws
    made, times = augment.room(click(3), np.random.default_rng(seed)), np.array([0.35, 0.65]) * min(decay, 2)
    early, late = (np.std(made[int(time * RATE) : int((time + 0.1 * decay) * RATE)]) for time in times)
    assert 20 * np.log10(early / late) == pytest.approx(60 * (times[1] - times[0]) / decay, abs=5)


def test_an_equalizer_stays_within_about_12_db():
    made = [augment.equalize(click(1), np.random.default_rng(seed)) for seed in range(200)]
    gains = 20 * np.log10(np.abs(np.fft.rfft(made))[:, 100:7000:100])
    assert 5 < np.quantile(np.abs(gains), 0.95) < 12


def test_compression_brings_loud_and_soft_closer():
    t = np.arange(2 * RATE) / RATE
    sound = (np.where(t < 1, 0.9, 0.05) * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    made = augment.compress(sound, np.random.default_rng(0))
    assert np.std(made[: RATE // 2]) / np.std(made[-RATE // 4 :]) < 0.9 * np.std(sound[: RATE // 2]) / np.std(
        sound[-RATE // 4 :]
    )


@pytest.mark.parametrize("kind", noises.KINDS)
def test_noises_are_heard_and_seeded(kind):
    first, second = (noises.KINDS[kind](np.random.default_rng(5), 3 * RATE) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert np.abs(first).max() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("slope", [0, 1, 2])
def test_coloured_noise_falls_by_its_slope(slope):
    made = noises.coloured(np.random.default_rng(0), 10 * RATE, slope)
    ratio = power(made, 450, 550) / power(made, 3950, 4050)  # three octaves
    assert np.log(ratio) / np.log(8) == pytest.approx(slope, abs=0.15)
