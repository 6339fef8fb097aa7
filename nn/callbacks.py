"""Callbacks: what else happens at the edges of an epoch.

What was best so far is read from the model's history, which is saved with it.
"""

import csv

import numpy as np

from nn import checks


class Callback:
    """Base class; `epoch` counts from 0, `row` holds loss, accuracy and the validation's figures by name."""

    def on_epoch_begin(self, model, epoch):
        """Called before the first batch of an epoch."""

    def on_batch_end(self, model):
        """Called after each step of the optimizer."""

    def on_epoch_end(self, model, epoch, row):
        """Called after validation; training stops if it returns True."""

    def on_train_end(self, model):
        """Called after the last epoch, but not after Ctrl-C or an error."""


class LearningRateSchedule(Callback):
    """Sets the learning rate of each epoch to `schedule(epoch)`."""

    def __init__(self, schedule):
        if not callable(schedule):
            raise ValueError(f"Expected a function of the epoch. Received: schedule={schedule!r}")
        self.schedule = schedule

    def on_epoch_begin(self, model, epoch):
        model.optimizer.learning_rate = self.schedule(epoch)


class MovingAverage(Callback):
    """Lets the arrays of a second model follow those of the one in training, as their exponential moving average.

    The average fluctuates less than the weights of single steps, and is often the better network (Polyak, 1992).
    `average` is a Model of the same layers, and of the same weights if the model was trained before without it;
    `n_steps`, how far back the average reaches.
    """

    def __init__(self, average, n_steps=1000):
        if not hasattr(average, "layers"):
            raise ValueError(f"Expected a Model. Received: average={average!r}")
        self.average, self.rate = average, 1 / max(checks.number(n_steps, "n_steps", minimum=0), 1)

    def on_epoch_begin(self, model, epoch):
        if repr(self.average.layers) != repr(model.layers) or self.average.input_shape != model.input_shape:
            raise ValueError("Expected a MovingAverage of a model with the same layers as the one in training")

    def on_batch_end(self, model):
        rate = max(self.rate, 1 / len(model.history.batch_rows))  # at first the mean of all steps so far
        for follower, leader in ((self.average.params, model.params), (self.average.buffers, model.buffers)):
            for key, array in follower.items():
                array += (rate * (leader[key] - array)).astype(array.dtype)


class ModelCheckpoint(Callback):
    """Saves the model at `path` after each epoch, or only when `monitor` has become better."""

    def __init__(self, path, monitor="val_loss", save_best_only=True):
        self.path, self.monitor = checks.path(path, "path"), checks.text(monitor, "monitor")
        self.save_best_only = checks.flag(save_best_only, "save_best_only")

    def on_epoch_end(self, model, epoch, row):
        if not self.save_best_only or _epochs_since_best(model, self.monitor) == 0:
            model.save(self.path)


class EarlyStopping(Callback):
    """Stops when `monitor` has not become better for `patience` epochs.

    With `restore_best_weights` the model ends with weights and running statistics of the best epoch of this training,
    whether it was stopped or not.
    """

    def __init__(self, monitor="val_loss", patience=2, restore_best_weights=False):
        self.monitor, self.patience = checks.text(monitor, "monitor"), checks.integer(patience, "patience", minimum=0)
        self.restore_best_weights = checks.flag(restore_best_weights, "restore_best_weights")
        self._best = {}

    def on_epoch_end(self, model, epoch, row):
        n_epochs = _epochs_since_best(model, self.monitor)
        if n_epochs == 0 and self.restore_best_weights:
            self._best = {key: array.copy() for key, array in (model.params | model.buffers).items()}
        return n_epochs >= max(self.patience, 1)

    def on_train_end(self, model):
        for key, array in self._best.items():
            (model.params | model.buffers)[key][...] = array
        self._best = {}


class CSVLogger(Callback):
    """Appends a line for each epoch to the file at `path`; raises ValueError for figures that it has no column for."""

    def __init__(self, path):
        self.path = checks.path(path, "path")

    def on_epoch_end(self, model, epoch, row):
        with open(self.path, "a+", newline="") as file:
            file.seek(0)
            columns = next(csv.reader(file), None)
            writer = csv.DictWriter(file, columns or ["epoch", *row])
            if columns is None:
                writer.writeheader()
            writer.writerow({"epoch": epoch + 1} | row)


def _epochs_since_best(model, monitor):
    """How long ago `monitor` was best in all of the model's history, so that a resumed training knows of it.

    Accuracies are to grow, everything else to shrink; what is no number is never best.
    """
    rows = model.history.epoch_rows
    if monitor not in rows[-1]:
        raise ValueError(f"Expected one of {', '.join(rows[-1])}. Received: monitor={monitor!r}")
    values = np.array([row[monitor] for row in rows if monitor in row])
    losses = np.where(np.isnan(values), np.inf, -values if "accuracy" in monitor else values)
    return len(values) - 1 - losses.argmin()
