"""Callbacks: what else happens at the edges of an epoch."""

import csv
import os

import numpy as np


class Callback:
    """Base class; `epoch` counts from 0, `row` holds loss, accuracy and the validation's figures by name."""

    def on_epoch_begin(self, model, epoch):
        """Called before the first batch of an epoch."""

    def on_epoch_end(self, model, epoch, row):
        """Called after validation; training stops if it returns True."""


class LearningRateSchedule(Callback):
    """Sets the learning rate of each epoch to `schedule(epoch)`."""

    def __init__(self, schedule):
        self.schedule = schedule

    def on_epoch_begin(self, model, epoch):
        model.optimizer.learning_rate = self.schedule(epoch)


class ModelCheckpoint(Callback):
    """Saves the model at `path` after each epoch, or only when `monitor` has become better."""

    def __init__(self, path, monitor="val_loss", save_best_only=True):
        self.path, self.save_best_only = path, save_best_only
        self._best = _Best(monitor)

    def on_epoch_end(self, model, epoch, row):
        if self._best.improves(row) or not self.save_best_only:
            model.save(self.path)


class EarlyStopping(Callback):
    """Stops when `monitor` has not become better for `patience` epochs."""

    def __init__(self, monitor="val_loss", patience=2):
        self.patience, self.waited = patience, 0
        self._best = _Best(monitor)

    def on_epoch_end(self, model, epoch, row):
        self.waited = 0 if self._best.improves(row) else self.waited + 1
        return self.waited >= self.patience


class CSVLogger(Callback):
    """Appends a line for each epoch to the file at `path`."""

    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, model, epoch, row):
        is_new = not os.path.exists(self.path)
        with open(self.path, "a", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", *row])
            if is_new:
                writer.writeheader()
            writer.writerow({"epoch": epoch + 1} | row)


class _Best:
    """The best value of a figure so far: accuracies are to grow, everything else to shrink."""

    def __init__(self, monitor):
        self.monitor, self.sign, self.value = monitor, -1 if "accuracy" in monitor else 1, np.inf

    def improves(self, row):
        if self.monitor not in row:
            raise ValueError(f"Expected one of {', '.join(row)}. Received: monitor={self.monitor!r}")
        value = self.sign * row[self.monitor]
        if value < self.value:
            self.value = value
            return True
        return False
