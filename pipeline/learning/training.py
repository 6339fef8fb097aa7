"""From a dataset of clips to a model file: the training of the released network and of one's own.

A training that was stopped goes on from its last epoch. The moving average of the weights is evaluated and kept, since
it fluctuates less from epoch to epoch than the weights. A folder of whole recordings can choose the best epoch: the
metrics of rendered clips go on improving long after those of real songs.
"""

from contextlib import suppress
from pathlib import Path

import numpy as np

from nn import ClipSequence, Model, ModelFileError, RMSprop
from nn.callbacks import Callback, LearningRateSchedule, MovingAverage
from pipeline.corpus.dataset import fingerprint, load
from pipeline.errors import SourceError
from pipeline.learning.evaluation import binary_metrics, by_recording, folder_clips, piano_probabilities
from pipeline.learning.networks import recognizer_network
from pipeline.song.audio import rms
from pipeline.song.recognition import PIANO

BATCH_SIZE = 32
LEARNING_RATE = 1e-3  # at the start


class Validation(Callback):
    """Adds the averaged model's loss and accuracy on validation clips to the row of each epoch."""

    def __init__(self, average, data):
        self.average, self.data = average, data

    def on_epoch_end(self, model, epoch, row):
        row |= {f"val_{key}": value for key, value in self.average.evaluate(self.data).items()}


class RecordingsMonitor(Callback):
    """Adds the averaged model's metrics on the recordings of a folder to the row of each epoch."""

    def __init__(self, average, folder):
        self.average, (self.clips, self.table) = average, folder_clips(folder)

    def on_epoch_end(self, model, epoch, row):
        probabilities = piano_probabilities(self.average, self.clips)
        recordings = by_recording(self.table, probabilities)
        is_piano = recordings["label"] == PIANO
        of_recordings = binary_metrics(is_piano, recordings["piano_probability"])
        of_clips = binary_metrics(self.table["label"] == PIANO, probabilities)
        row |= {
            "recordings_f1": of_recordings["f1"],
            "recordings_auc": of_recordings["auc"],
            "recordings_loss": log_loss(is_piano, recordings["piano_probability"]),
            "recordings_clips_balanced_accuracy": of_clips["balanced_accuracy"],
            "recordings_clips_auc": of_clips["auc"],
        }
        print({key: round(value, 4) for key, value in row.items()}, flush=True)


def log_loss(is_piano, probability, smoothed=False):
    """Binary cross-entropy of probabilities of piano, averaged within each class and then over both.

    `smoothed` uses the targets of Platt (1999), which are not quite 0 and 1. Without them no scale of the scores would
    be the best where they separate the classes perfectly.
    """
    is_piano, probability = np.asarray(is_piano, bool), np.clip(np.asarray(probability), 1e-6, 1 - 1e-6)
    target = is_piano.astype(float)
    if smoothed:
        n_pianos, n_others = is_piano.sum(), (~is_piano).sum()
        target = np.where(is_piano, (n_pianos + 1) / (n_pianos + 2), 1 / (n_others + 2))
    loss = -target * np.log(probability) - (1 - target) * np.log(1 - probability)
    return float((loss[is_piano].mean() + loss[~is_piano].mean()) / 2)


def mix_over_piano(share=0.1):
    """An augmentation that mixes other sounds over some clips of piano, which are then no solo piano any more.

    Returns `augment(samples, targets, rng)` for a ClipSequence. It adds another clip of the batch to a `share` of the
    clips of the first class, 10 dB softer to 6 dB louder, and gives them its label.
    """

    def augment(samples, targets, rng):
        pianos, others = np.flatnonzero(targets[:, 0]), np.flatnonzero(targets[:, 0] == 0)
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
    recordings : folder of whole recordings, one sub-folder a class, that evaluates each epoch and trains none
    monitor : the metric that chooses the best epoch; "val_..." or "recordings_..."
    limit : int, optional; as in `subsample`
    without : kinds of recordings (`pipeline.corpus.catalogue.shares`) whose clips are left out

    Returns the Model of the best epoch. Checkpoints in the folder of `out` let a stopped training go on, and a finished
    one with more epochs; delete them to begin anew. Raises SourceError if they are of other clips or another network,
    or lack `monitor`, and KeyboardInterrupt if Ctrl-C has ended it.
    """
    class_names = load(dataset, "train")[3]
    clips, validation_clips = (subsample(load(dataset, split), limit, without) for split in ("train", "validation"))
    data = ClipSequence(*clips, len(class_names), BATCH_SIZE, shuffle=True, seed=seed, augment=augment)
    validation = ClipSequence(*validation_clips, len(class_names), BATCH_SIZE)
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
        what = f"a training of other clips or another network, or one that was not judged by {monitor}"
        raise SourceError("checkpoint", f"{checkpoint} is of {what}; delete it, or train to another file.")
    callbacks = [
        LearningRateSchedule(lambda epoch: LEARNING_RATE * cosine(epoch / epochs)),
        MovingAverage(average, len(data) / 4),
        Validation(average, validation),
        *([RecordingsMonitor(average, recordings)] if recordings else []),
        KeepBest(average, out, checkpoint, monitor),
    ]
    remaining = epochs - len(model.history.epoch_rows)
    if remaining > 0:
        optimizer = model.optimizer or RMSprop(LEARNING_RATE)
        model.fit(data, epochs=remaining, optimizer=optimizer, callbacks=callbacks, progress=progress)
    if len(model.history.epoch_rows) < epochs:  # nothing else ends it early
        raise KeyboardInterrupt
    return Model.load(out)


def subsample(split, limit, without=()):
    """Every n-th clip of a split as `dataset.load` gives it, and its label: the largest n that leaves `limit` clips.

    None leaves all of them. Clips whose kind is in `without` are left out first.
    """
    clips, labels, table = split[:3]
    chosen = every_nth(np.flatnonzero(~table["kind"].isin(without)), limit)
    return clips[chosen], labels[chosen]


def every_nth(rows, limit):
    """Every n-th of some rows: the largest n that leaves `limit` of them, all for None.

    Where they are evenly spaced, they come as a slice, which leaves clips in the file.
    """
    rows = rows[:: max(len(rows) // limit, 1) if limit else 1]
    steps = np.unique(np.diff(rows))
    return slice(rows[0], rows[-1] + 1, steps[0]) if len(steps) == 1 else rows


class KeepBest(Callback):
    """Saves both models after every epoch, and the averaged one as `out` if `monitor` is the best so far.

    The checkpoint ends an epoch. A training that is killed before it begins the epoch again, from the same average.
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
    """The factor of the learning rate: half a cosine, from 1 to 0 (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1 + np.cos(np.pi * progress))
