"""The envelope, the mask, the clips and where in the song they come from."""

import media
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import AudioError, Cancelled
from pipeline.song.cleaning import CLIP, LEVEL, SOFT, THRESHOLD, WINDOW, Clips, clean, cut, cut_array, envelope, mask

RATE = 16_000


def noise(n_samples, level=0.3, seed=0):
    return np.random.default_rng(seed).uniform(-level, level, n_samples).astype(np.float32)


def naive_cut(samples):
    """The same by definition, sample by sample: the oracle. Returns clips and, for each, its samples' positions."""
    peak = np.abs(samples).max(initial=0)
    samples = samples * np.float32(LEVEL / peak if 0 < peak < SOFT else 1)
    loud = np.abs(samples) > THRESHOLD
    positions = np.array([i for i in range(len(samples)) if loud[max(i - WINDOW // 2, 0) : i + WINDOW // 2].any()], int)
    groups = [positions[i : i + CLIP] for i in range(0, len(positions), CLIP)]
    if len(groups) > 1 and len(groups[-1]) < CLIP // 2:
        groups.pop()
    return [np.pad(samples[group], (0, CLIP - len(group))) for group in groups], groups


def naive_timeline(groups, n_samples):
    held = [[np.count_nonzero(group // RATE == second) for group in groups] for second in range(-(-n_samples // RATE))]
    least = min(RATE / 10, max(map(max, held)))
    return [int(np.argmax(each)) if max(each) >= least else -1 for each in held]


@st.composite
def songs(draw):
    """Stretches of sound and silence, and the places where a stream of it is divided."""
    stretches = draw(
        st.lists(st.tuples(st.integers(1, 20_000), st.sampled_from([0.0, 0.0005, 0.0007, 0.3])), min_size=1, max_size=8)
    )
    samples = np.concatenate([noise(n, level, i) for i, (n, level) in enumerate(stretches)])
    places = draw(st.lists(st.integers(0, len(samples)), max_size=12))
    return samples, sorted(places)


@settings(max_examples=60, deadline=None)
@given(songs())
def test_a_stream_gives_the_clips_of_the_whole_however_it_is_divided(song):
    samples, places = song
    expected, groups = naive_cut(samples)
    if sum(map(len, groups)) < (1 if len(samples) >= RATE else 0.3 * RATE):
        return
    clips = cut(np.split(samples, places))
    found = list(clips)
    assert len(found) == len(expected)
    for clip, wanted, group in zip(found, expected, groups):
        assert clip.samples.dtype == np.float32
        assert np.array_equal(clip.samples, wanted)  # bit for bit
        assert (clip.start, clip.stop) == (group[0] / RATE, (group[-1] + 1) / RATE)
    assert clips.n_samples == len(samples)
    assert clips.timeline().tolist() == naive_timeline(groups, len(samples))


def test_blocks_of_one_sample():
    samples = np.concatenate([noise(5000), np.zeros(2000, np.float32), noise(4000)])
    (whole,) = cut_array(samples)[0]
    (clip,) = cut([samples[i : i + 1] for i in range(len(samples))])
    assert np.array_equal(clip.samples, whole)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3000), st.lists(st.integers(0, 2999), max_size=6), st.sampled_from([THRESHOLD, 0.9, 0.0]))
def test_the_mask_is_the_envelope_above_the_threshold(n_samples, places, threshold):
    samples = np.zeros(n_samples, np.float32)
    samples[[i for i in places if i < n_samples]] = -0.5
    assert np.array_equal(mask(samples, threshold), envelope(samples) > threshold)


def test_the_envelope_is_a_centred_maximum_over_50_ms():
    samples = np.zeros(4000, np.float32)
    samples[2000] = -0.25
    (where,) = np.nonzero(envelope(samples))
    assert len(where) == 0.05 * RATE
    assert abs(where.mean() - 2000) <= 0.5
    assert envelope(samples).max() == 0.25


def test_the_threshold_is_that_of_the_16_bit_source():
    assert not mask(np.full(1000, 20 / 32768, np.float32)).any()
    assert mask(np.full(1000, 21 / 32768, np.float32)).all()


def test_silence_is_left_out_and_the_clip_knows_where_it_was():
    samples = np.concatenate([noise(RATE), np.zeros(5 * RATE, np.float32), noise(2 * RATE)])
    clips = cut([samples])
    first, second, _third = clips
    assert (first.start, first.stop) == (0, 1)
    assert second.start == 1
    assert second.stop > 6.9
    assert clips.timeline().tolist() == [0, -1, -1, -1, -1, -1, 1, 2]


@pytest.mark.parametrize(
    ("seconds", "n_clips"), [(0.3, 1), (0.7, 1), (1.0, 1), (1.4, 1), (1.5, 2), (2.0, 2), (2.49, 2)]
)
def test_short_sounds_and_last_parts(seconds, n_clips):
    clips, starts = cut_array(noise(round(seconds * RATE)))
    assert clips.shape == (n_clips, CLIP)
    assert starts.tolist() == list(range(n_clips))
    assert np.array_equal(
        clips.reshape(-1)[round(seconds * RATE) :], np.zeros(max(n_clips * RATE - round(seconds * RATE), 0))
    )


@pytest.mark.parametrize(
    ("kind", "samples"),
    [
        ("too_short", noise(0)),
        ("too_short", noise(4799)),
        ("too_short", np.concatenate([noise(3000), np.zeros(12_999, np.float32)])),
        ("silent", np.zeros(50_000, np.float32)),
    ],
)
def test_too_little_to_judge(kind, samples):
    with pytest.raises(AudioError) as caught:
        cut_array(samples)
    assert caught.value.kind == kind


@pytest.mark.parametrize("n_sound", [1, 3000])
def test_a_song_of_a_second_gets_an_answer_however_short_its_sound_is(n_sound):
    samples = np.concatenate([np.zeros(20_000, np.float32), noise(n_sound) + 0.1, np.zeros(30_000, np.float32)])
    clips = cut([samples])
    (clip,) = clips
    assert np.count_nonzero(clip.samples) == n_sound
    assert 1 < clip.start < clip.stop < 1.5
    assert clips.timeline().tolist() == [-1, 0, -1, -1]


def test_a_metronome_has_a_timeline():
    samples = np.zeros(8 * RATE, np.float32)
    samples[RATE // 2 :: RATE] = 0.5
    clips = cut([samples])
    assert len(list(clips)) == 1
    assert clips.timeline().tolist() == [0] * 8


def song(level):
    """Two seconds of noise, one of silence, one of noise."""
    return np.concatenate([noise(2 * RATE, level), np.zeros(RATE, np.float32), noise(RATE, level, 1)])


def test_a_soft_song_has_the_same_clips_at_every_volume():
    expected = [clip.samples for clip in cut([song(0.06)])]
    for decibels in (-10, -20, -30, -40, -50, -60):
        clips = cut(np.split(song(0.06) * np.float32(10 ** (decibels / 20)), [5000, 40_000]))
        assert np.allclose([clip.samples for clip in clips], expected, atol=1e-6)
        assert clips.timeline().tolist() == [0, 1, -1, 2]
    assert np.abs(expected).max() == pytest.approx(LEVEL)


def test_a_song_of_ordinary_level_is_left_as_it_is_even_where_it_begins_softly():
    samples = np.concatenate([noise(2 * RATE, 0.01), noise(RATE, SOFT + 0.001)])
    blocks = [samples[:RATE], samples[RATE : 2 * RATE], samples[2 * RATE :]]
    assert np.array_equal(np.concatenate([clip.samples for clip in cut(blocks)]), samples)


def test_a_soft_song_is_not_held_back_for_ever(monkeypatch):
    monkeypatch.setattr("pipeline.song.cleaning.LONGEST_SOFT", 3 * RATE)
    began = []

    def blocks():
        for second in range(10):
            began.append(second)
            yield noise(RATE, 0.01)

    next(iter(Clips(blocks)))
    assert began == [0, 1, 2]


def test_a_file_is_cleaned_while_it_is_decoded(tmp_path):
    path = media.write(
        tmp_path / "song.wav", np.concatenate([noise(22 * RATE), np.zeros(3 * RATE, np.float32), noise(5 * RATE)]), RATE
    )
    steps = []
    clips = clean(path, progress=lambda *step: steps.append(step))
    assert len(list(clips)) == 27
    assert clips.n_samples == 30 * RATE
    assert steps == [("decoding", 10, 30), ("decoding", 20, 30), ("decoding", 30, 30)]


def test_cancelling(tmp_path):
    path = media.write(tmp_path / "song.wav", noise(30 * RATE), RATE)

    def progress(step, done, total):
        if done >= 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(clean(path, progress=progress))
