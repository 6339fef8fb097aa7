"""Batches of clips, read from disk when they are needed: the data never has to fit in memory."""

import threading
from queue import Queue

import numpy as np


class ClipSequence:
    """The batch at an index, from clips that may be mapped from disk (Keras calls such a thing a Sequence).

    Parameters
    ----------
    clips : ndarray or memmap, int16 or floating, `(n, samples)`
        16-bit samples come out as float32 in -1..1, floating ones as they are.
    labels : ndarray of int, `(n,)`
        Index of each clip's class.
    n_classes : int
    batch_size : int
        The last batch holds what is left over.
    shuffle : bool
        Another order in each epoch, fixed by `seed` and the number of the epoch alone.
    augment : callable, optional
        `augment(samples, targets, rng) -> samples, targets` for a whole batch, with a generator fixed by seed, epoch
        and batch.

    Raises ValueError if clips and labels do not fit together, or are of another kind.
    """

    def __init__(self, clips, labels, n_classes, batch_size=32, shuffle=False, seed=0, augment=None):
        self.clips, self.labels = clips, np.asarray(labels)
        if len(clips) != len(self.labels) or len(clips) == 0:
            raise ValueError(f"Expected as many labels as clips, and some. Received: {len(clips)}, {len(self.labels)}")
        if self.labels.dtype.kind not in "iu" or self.labels.min() < 0 or self.labels.max() >= n_classes:
            found = f"{self.labels.min()} to {self.labels.max()}, {self.labels.dtype}"
            raise ValueError(f"Expected labels from 0 to {n_classes - 1}, whole numbers. Received: {found}")
        if batch_size < 1:
            raise ValueError(f"Expected at least one clip in a batch. Received: batch_size={batch_size}")
        self.n_classes, self.batch_size, self.shuffle = n_classes, batch_size, shuffle
        self.seed, self.augment = seed, augment
        self.start_epoch(0)

    def start_epoch(self, epoch):
        """Put the clips in the order of `epoch`, counted from 0."""
        self.epoch = epoch
        self._order = np.arange(len(self.clips))
        if self.shuffle:
            np.random.default_rng((self.seed, epoch)).shuffle(self._order)

    def __len__(self):
        return -(-len(self.clips) // self.batch_size)

    def __getitem__(self, index):
        """Samples `(batch, samples)` and one-hot targets float32 `(batch, classes)` of one batch."""
        if not 0 <= index < len(self):
            raise IndexError(f"Expected a batch from 0 to {len(self) - 1}. Received: {index}")
        rows = np.sort(self._order[index * self.batch_size : (index + 1) * self.batch_size])  # kind to the disk
        samples = to_float(self.clips[rows])
        targets = np.eye(self.n_classes, dtype=np.float32)[self.labels[rows]]
        if self.augment is not None:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            samples, targets = self.augment(samples, targets, rng)
        return samples, targets


def to_float(samples):
    """16-bit samples as float32 in -1..1; floating ones as they are. Raises ValueError for any other kind."""
    if samples.dtype.kind == "f":
        return samples
    if samples.dtype != np.int16:
        raise ValueError(f"Expected samples of 16 bit or floating. Received: {samples.dtype}")
    return samples.astype(np.float32) / 32768


def prefetch(sequence, n_ahead=4):
    """Iterate over the batches of `sequence`, read by a thread that stays up to `n_ahead` batches in front."""
    queue, stopped = Queue(n_ahead), threading.Event()

    def read():
        try:
            for index in range(len(sequence)):
                queue.put((sequence[index], None))
                if stopped.is_set():
                    return
            queue.put((None, None))
        except Exception as error:  # handed to the thread that waits for the batch
            queue.put((None, error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while True:
            batch, error = queue.get()
            if error is not None:
                raise error
            if batch is None:
                return
            yield batch
    finally:
        stopped.set()
        while not queue.empty():
            queue.get_nowait()
        reader.join()
