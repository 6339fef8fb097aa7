"""From a dataset of clips to a model file: the training of the network that ships, and of anybody's own.

Training goes on from its last epoch if it was stopped. What is judged and kept is the moving average of the weights, which
does not wander from epoch to epoch as they do. Where a folder of whole recordings is given, every epoch is judged by
them, and the best is kept: clips of rendered sound go on improving long after real songs have not.
"""

from contextlib import suppress
from pathlib import Path

import numpy as np

from nn import ClipSequence, Model, ModelFileError, RMSprop
from nn.callbacks import Callback, LearningRateSchedule, MovingAverage
from pipeline.corpus.dataset import fingerprint, load
from pipeline.errors import SourceError
from pipeline.learning.evaluation import binary_figures, by_recording, folder_clips, piano_probabilities
from pipeline.learning.networks import recognizer_network
from pipeline.song.audio import rms
from pipeline.song.recognition import PIANO


class Validation(Callback):
    """After each epoch, adds loss and accuracy of the averaged model on validation clips to the epoch's row."""

    def __init__(self, average, data):
        self.average, self.data = average, data

    def on_epoch_end(self, model, epoch, row):
        row |= {f"val_{key}": value for key, value in self.average.evaluate(self.data).items()}


class RecordingsMonitor(Callback):
    """After each epoch, judges the recordings of a folder and adds their figures to the epoch's row."""

    def __init__(self, average, folder):
        self.average, (self.clips, self.table) = average, folder_clips(folder)

    def on_epoch_end(self, model, epoch, row):
        probabilities = piano_probabilities(self.average, self.clips)
        recordings = by_recording(self.table, probabilities)
        is_piano = recordings["label"] == PIANO
        figures = binary_figures(is_piano, recordings["piano_probability"])
        clip_figures = binary_figures(self.table["label"] == PIANO, probabilities)
        row |= {
            "recordings_f1": figures["f1"],
            "recordings_auc": figures["auc"],
            "recordings_loss": log_loss(is_piano, recordings["piano_probability"]),
            "recordings_clips_balanced_accuracy": clip_figures["balanced_accuracy"],
            "recordings_clips_auc": clip_figures["auc"],
        }
        print({key: round(value, 4) for key, value in row.items()}, flush=True)


def log_loss(is_piano, probability, smoothed=False):
    """Mean cross-entropy of probabilities that something is a piano, each class counting the same.

    `smoothed`: with the targets of Platt (1999), which are never quite 0 and 1. Where scores tell the classes apart
    without a mistake, no scale of them would be the best one without these.
    """
    is_piano, probability = np.asarray(is_piano, bool), np.clip(np.asarray(probability), 1e-6, 1 - 1e-6)
    n_pianos, n_others = is_piano.sum(), (~is_piano).sum()
    target = (
        np.where(is_piano, (n_pianos + 1) / (n_pianos + 2), 1 / (n_others + 2)) if smoothed else is_piano.astype(float)
    )
    loss = -target * np.log(probability) - (1 - target) * np.log(1 - probability)
    return float((loss[is_piano].mean() + loss[~is_piano].mean()) / 2)


def hide_piano(share=0.1, piano=0):
    """An augmentation that lays clips of other sound over some clips of piano: a piano with something is no solo.

    Returns `augment(samples, targets, rng)` for a ClipSequence. A `share` of the piano clips of a batch gets another
    clip of the batch on top, 10 dB softer to 6 dB louder, and its label.
    """

    def augment(samples, targets, rng):
        pianos, others = np.flatnonzero(targets[:, piano]), np.flatnonzero(targets[:, piano] == 0)
        chosen = pianos[rng.random(len(pianos)) < share]
        if len(others):
            for row, other in zip(chosen, rng.choice(others, len(chosen))):
                ratio = rms(samples[row]) / max(rms(samples[other]), 1e-6) * 10 ** (rng.uniform(-10, 6) / 20)
                samples[row] += samples[other] * ratio
                targets[row] = targets[other]
        return samples, targets

    return augment


def train(
    dataset,
    out,
    network=recognizer_network,
    epochs=6,
    batch_size=32,
    learning_rate=1e-3,
    seed=0,
    recordings=None,
    monitor="val_loss",
    augment=None,
    limit=None,
    without=(),
    progress=True,
):
    """Train `network(class_names, seed)` on a dataset folder and write the model of its best epoch to `out`.

    Parameters
    ----------
    dataset : folder made by `pipeline.corpus.dataset.build`
    recordings : folder of whole recordings, one sub-folder a class, that judges each epoch (never trained on)
    monitor : the figure by which the best epoch is chosen; "val_..." or "recordings_..."
    limit : int, optional; use every n-th clip only, so that at least this many are left for training, and not twice as many
    without : kinds of recordings (`pipeline.corpus.catalogue.shares`) whose clips are left out

    Returns the Model of the best epoch. Checkpoints beside `out` let a stopped training go on, and a finished one go on
    with more epochs; delete them to begin anew. Raises SourceError if they are of other clips or another network, or
    know nothing of `monitor`, and KeyboardInterrupt if Ctrl-C has ended it.
    """
    class_names = load(dataset, "train")[3]
    clips, validation_clips = (thinned(load(dataset, split), limit, without) for split in ("train", "validation"))
    data = ClipSequence(*clips, len(class_names), batch_size, shuffle=True, seed=seed, augment=augment)
    validation = ClipSequence(*validation_clips, len(class_names), batch_size)
    checkpoint = Path(f"{out}.checkpoint.npz")
    average, model = (network(class_names, seed=seed) for _ in range(2))
    model.metadata["training"] = settings = {
        "clips": fingerprint(dataset),
        "network": repr(model.layers),
        "limit": limit,
        "without": list(without),
        "seed": seed,
    }
    with suppress(ModelFileError):
        saved = Model.load(checkpoint)
        average, model = Model.load(_average_of(checkpoint, len(saved.history.epoch_rows))), saved
    if model.metadata.get("training") != settings or any(monitor not in row for row in model.history.epoch_rows):
        raise SourceError(
            "checkpoint",
            f"{checkpoint} is of a training of other clips or another network, or one that was not judged by "
            f"{monitor}; delete it, or train to another file.",
        )
    callbacks = [
        LearningRateSchedule(lambda epoch: learning_rate * cosine(epoch / epochs)),
        MovingAverage(average, len(data) / 4),
    ]
    callbacks.append(Validation(average, validation))
    if recordings:
        callbacks.append(RecordingsMonitor(average, recordings))
    callbacks.append(KeepBest(average, out, checkpoint, monitor))
    remaining = epochs - len(model.history.epoch_rows)
    if remaining > 0:
        optimizer = model.optimizer or RMSprop(learning_rate)
        model.fit(data, epochs=remaining, optimizer=optimizer, callbacks=callbacks, progress=progress)
    if len(model.history.epoch_rows) < epochs:  # nothing else ends it early
        raise KeyboardInterrupt
    return Model.load(out)


def thinned(split, limit, without=()):
    """Clips and labels of a split as `dataset.load` gives it: every n-th, the largest n that leaves `limit` (None: all).

    Those whose kind is among `without` do not count.
    """
    clips, labels, table = split[:3]
    rows = np.flatnonzero(~table["kind"].isin(without))
    step = max(len(rows) // limit, 1) if limit else 1
    chosen = rows[::step] if len(rows) < len(clips) else slice(None, None, step)  # a slice stays a map of the file
    return clips[chosen], labels[chosen]


class KeepBest(Callback):
    """Saves both models after every epoch, and the averaged one as `out` after the best one by `monitor` so far.

    An epoch is over when the checkpoint is there: a training that was killed before begins it again, from the same average.
    """

    def __init__(self, average, out, checkpoint, monitor):
        self.average, self.out, self.checkpoint, self.monitor = average, out, checkpoint, monitor

    def on_epoch_end(self, model, epoch, row):
        self.average.history = model.history
        sign = -1 if self.monitor.endswith("loss") else 1
        values = [sign * earlier[self.monitor] for earlier in model.history.epoch_rows]
        if values[-1] >= max(values):
            self.average.save(self.out, include_optimizer=False)
        self.average.save(_average_of(self.checkpoint, epoch + 1))
        model.save(self.checkpoint)
        _average_of(self.checkpoint, epoch).unlink(missing_ok=True)


def _average_of(checkpoint, n_epochs):
    """The file of the averaged model that belongs to a checkpoint of `n_epochs`."""
    return checkpoint.with_name(f"{checkpoint.name}.average-{n_epochs}.npz")


def cosine(progress):
    """A learning rate's factor: from 1 at the start to 0 at the end, along half a cosine (Loshchilov, Hutter, 2017)."""
    return 0.5 * (1 + np.cos(np.pi * progress))
