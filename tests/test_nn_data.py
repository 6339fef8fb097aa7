"""The data generator: batches from disk, in an order of each epoch, read ahead by a thread that ends."""

import sys
import threading

import numpy as np
import pytest

from nn import ClipSequence
from nn.data import prefetch


def sequence(n=23, **options):
    clips = np.arange(n * 4, dtype=np.int16).reshape(n, 4)
    return ClipSequence(clips, np.arange(n) % 3, 3, **({"batch_size": 5} | options))


def test_batches_in_order_with_a_smaller_last_one():
    batches = [sequence()[i] for i in range(len(sequence()))]
    assert [len(samples) for samples, _ in batches] == [5, 5, 5, 5, 3]
    samples = np.concatenate([samples for samples, _ in batches])
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples * 32768, np.arange(23 * 4).reshape(23, 4))
    targets = np.concatenate([targets for _, targets in batches])
    np.testing.assert_array_equal(targets, np.eye(3)[np.arange(23) % 3])
    with pytest.raises(IndexError, match="0 to 4"):
        sequence()[5]


def test_shuffling_is_fixed_by_seed_and_epoch():
    def order(epoch, **options):
        data = sequence(shuffle=True, **options)
        data.start_epoch(epoch)
        return [tuple(samples[:, 0] * 32768 // 4) for samples, _ in prefetch(data)]

    assert order(0) == order(0)
    assert order(3) == order(3)
    assert order(0) != order(1)
    assert order(0) != order(0, seed=1)
    assert sorted(sum(order(2), ())) == list(range(23))


def test_clips_stay_on_disk(tmp_path):
    clips = np.memmap(tmp_path / "clips", np.int16, "w+", shape=(50, 16_000))
    clips[:] = np.arange(50)[:, np.newaxis]
    data = ClipSequence(np.memmap(tmp_path / "clips", np.int16, "r", shape=(50, 16_000)), np.zeros(50, int), 1)
    assert isinstance(data.clips, np.memmap)
    samples, _ = data[1]
    assert samples.shape == (18, 16_000)
    assert type(samples) is np.ndarray
    np.testing.assert_array_equal(samples[:, 0] * 32768, np.arange(32, 50))


def test_augmentation_is_fixed_by_seed_epoch_and_batch():
    def augment(samples, targets, rng):
        return samples + rng.random(), targets[::-1]

    data, plain = sequence(augment=augment, seed=7), sequence()
    samples, targets = data[2]
    np.testing.assert_array_equal(samples, data[2][0])
    noise = np.random.default_rng((7, 0, 2)).random()
    np.testing.assert_allclose(samples, plain[2][0] + noise, rtol=1e-6)
    np.testing.assert_array_equal(targets, plain[2][1][::-1])
    data.start_epoch(1)
    assert (data[2][0] != samples).all()


def test_mistakes_are_named():
    clips = np.zeros((4, 8), np.int16)
    with pytest.raises(ValueError, match="as many labels as clips"):
        ClipSequence(clips, [0, 1], 2)
    with pytest.raises(ValueError, match="as many labels as clips"):
        ClipSequence(clips[:0], np.array([], int), 2)
    one_hot = np.eye(2)[[0, 1, 1, 0]]
    for labels in (
        [0, 1, 2, 0], [0, -1, 0, 1], [0.0, 1.0, 1.0, 0.0], [True, False, True, False], ["a", "b", "b", "a"],
        [0, None, 1, 0], one_hot[:, :1], one_hot.astype(str), one_hot / 2, one_hot * np.nan, one_hot * 0,
        one_hot[np.newaxis], 1,
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"labels from 0 to 1, whole numbers, or one-hot rows. Received"):
            ClipSequence(clips, np.array(labels), 2)
    for dtype in ("int32", "uint16", "uint8", "bool", "complex64", "U1", "O"):
        with pytest.raises(ValueError, match="16 bit or floating"):
            ClipSequence(clips.astype(dtype), [0, 1, 1, 0], 2)
    for value in (-1, np.nan, 1.5, True, "2", None):
        for name in ("n_classes", "batch_size", "seed"):
            with pytest.raises(ValueError, match=f"Received: {name}="):
                ClipSequence(clips, [0, 1, 1, 0], **{"n_classes": 2, name: value})
    for name in ("shuffle", "augment"):
        with pytest.raises(ValueError, match=f"Received: {name}="):
            ClipSequence(clips, [0, 1, 1, 0], 2, **{name: "yes"})


def test_one_hot_labels():
    labels = np.arange(23) % 3
    for kind in (bool, int, np.float32):
        data = ClipSequence(np.zeros((23, 4), np.int16), np.eye(3, dtype=kind)[labels], 3)
        np.testing.assert_array_equal(data.labels, labels)
        np.testing.assert_array_equal(data[0][1], np.eye(3)[labels])


@pytest.mark.parametrize("kind", [np.int16, np.int64, bool])
def test_augment_gives_floating_samples(kind):
    with pytest.raises(ValueError, match=r"from augment. Received"):
        sequence(augment=lambda samples, targets, rng: (samples.astype(kind), targets))[0]


def test_reading_ahead_ends_with_the_loop_that_needed_it():
    before = threading.active_count()
    assert len(list(prefetch(sequence()))) == 5
    for n_batches in (1, 3):
        batches = prefetch(sequence(n=500))
        for _ in range(n_batches):
            next(batches)
        batches.close()
    assert threading.active_count() == before


def test_reading_ahead_stays_a_few_batches_in_front():
    data, read = sequence(n=500), []
    original = type(data).__getitem__

    class Counting(ClipSequence):
        def __getitem__(self, index):
            read.append(index)
            return original(self, index)

    data.__class__ = Counting
    for number, _ in enumerate(prefetch(data)):
        assert max(read) <= number + 6
    assert read == list(range(100))


def test_an_error_while_reading_arrives_where_the_batch_was_wanted():
    def augment(samples, targets, rng):
        raise ZeroDivisionError("from the augmentation")

    def leave(samples, targets, rng):
        sys.exit("from the augmentation")

    before = threading.active_count()
    for function, error in ((augment, ZeroDivisionError), (leave, SystemExit)):
        with pytest.raises(error, match="from the augmentation"):
            list(prefetch(sequence(augment=function)))
    assert threading.active_count() == before
