"""Batches of clips, read from disk when they are needed: the data never has to fit in memory."""

import threading
from queue import Queue

import numpy as np

from nn.checks import flag, integer


class ClipSequence:
    """The batch at an index, from clips that may be mapped from disk (Keras calls such a thing a Sequence).

    Parameters
    ----------
    clips : ndarray or memmap, int16 or floating, `(n, samples)`
        Batches hold them as `to_float` returns them.
    labels : ndarray
        The index of each clip's class, `(n,)`, or one-hot rows `(n, n_classes)`.
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
        self.clips = np.asanyarray(clips)
        self.n_classes, self.batch_size = integer(n_classes, "n_classes"), integer(batch_size, "batch_size")
        self.labels = class_indices(labels, self.n_classes)
        if self.clips.shape[:1] != self.labels.shape or not len(self.clips):
            shapes = f"{self.clips.shape}, {self.labels.shape}"
            raise ValueError(f"Expected as many labels as clips, and some. Received: arrays of shape {shapes}")
        to_float(self.clips[:1])  # raises for samples of another kind
        if augment is not None and not callable(augment):
            raise ValueError(f"Expected a function. Received: augment={augment!r}")
        self.shuffle, self.seed, self.augment = flag(shuffle, "shuffle"), integer(seed, "seed", minimum=0), augment
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
        rows = np.sort(self._order[index * self.batch_size : (index + 1) * self.batch_size])  # as they lie on the disk
        samples, targets = to_float(self.clips[rows]), one_hot(self.labels[rows], self.n_classes)
        if self.augment is not None:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            samples, targets = map(np.asarray, self.augment(samples, targets, rng))
            if samples.dtype.kind != "f":
                raise ValueError(f"Expected floating samples in -1..1 from augment. Received: {samples.dtype}")
        return samples, targets


def to_float(samples):
    """16-bit samples as float32 in -1..1; float32 and float64 as they are, other floating ones as float32.

    Raises ValueError for any other kind.
    """
    if samples.dtype in (np.float32, np.float64):
        return samples
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    if samples.dtype.newbyteorder("=") != np.int16:
        raise ValueError(f"Expected samples of 16 bit or floating. Received: {samples.dtype}")
    return samples.astype(np.float32) / 32768


def class_indices(labels, n_classes):
    """Labels as whole numbers `(n,)`, from those or from one-hot rows `(n, n_classes)`. Raises ValueError."""
    labels = np.asarray(labels)
    if labels.shape[1:] == (n_classes,) and labels.dtype.kind in "biuf":
        if np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
            return labels.argmax(axis=1)
    elif labels.ndim == 1 and labels.dtype.kind in "iu" and ((labels >= 0) & (labels < n_classes)).all():
        return labels
    found = f"{labels.dtype} of shape {labels.shape}"
    if labels.size and labels.dtype.kind in "iuf":
        found += f", from {labels.min()} to {labels.max()}"
    raise ValueError(f"Expected labels from 0 to {n_classes - 1}, whole numbers, or one-hot rows. Received: {found}")


def one_hot(labels, n_classes):
    """Rows of float32 `(n, n_classes)` with a one in the column of each label."""
    return np.eye(n_classes, dtype=np.float32)[labels]


def prefetch(sequence):
    """Iterate over the batches of `sequence`, read by a thread that stays a few batches in front."""
    queue, stopped = Queue(4), threading.Event()

    def read():
        try:
            for index in range(len(sequence)):
                queue.put((sequence[index], None))
                if stopped.is_set():
                    return
        except BaseException as error:  # handed to the thread that waits for the batch
            queue.put((None, error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        for _ in range(len(sequence)):
            batch, error = queue.get()
            if error is not None:
                raise error
            yield batch
    finally:
        stopped.set()
        while not queue.empty():
            queue.get_nowait()
        reader.join()
