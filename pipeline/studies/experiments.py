"""Experiments: networks trained on the same clips from several seeds, and what they answer for held-out clips.

Runs are side by side, one thread each. Every run is a model file, written after each epoch, and beside it an array of
the probabilities that the network gave to the held-out clips. A stopped run goes on and a complete one is only read; a
run of other clips, another network or other settings begins anew.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nn import CategoricalCrossentropy, ClipSequence, MelSpectrogram, Model, ModelFileError, RMSprop, parallel
from nn.callbacks import Callback, LearningRateSchedule, ModelCheckpoint
from nn.training import train_batch
from pipeline import files
from pipeline.corpus import dataset
from pipeline.corpus.catalogue import SPLITS
from pipeline.learning.networks import INPUT_SHAPE
from pipeline.learning.training import LEARNING_RATE, cosine, every_nth
from pipeline.live import line
from pipeline.song.recognition import PIANO
from pipeline.workers import Pool

POINTS = 100  # of a training curve
PERMUTATION = 7  # the seed of the one order of pixels that all permuted pictures have
BY_SOURCE, BY_CLIP = "by source", "by clip"
CONSTANT, FALLING = "constant", "falling"
FIELDS = ("protocol", "schedule", "learning_rate", "frozen", "permuted")  # of an experiment, that a run remembers


@dataclass(frozen=True)
class Experiment:
    """A network, how it is trained, and from which seeds.

    Attributes
    ----------
    name : str
        Of the network in tables and figures.
    network : callable
        `network(class_names, seed=seed)` returns a new Model.
    seeds : tuple of int
    protocol : BY_SOURCE or BY_CLIP
        What is held out: the sources of the dataset's validation and test splits, or clips drawn at random.
    schedule : CONSTANT or FALLING
        Of the learning rate; it falls along half a cosine.
    learning_rate : float
        At the start.
    frozen : bool
        The kernels and biases of all convolutions keep their random start.
    permuted : bool
        The pixels of every mel picture are put into one fixed random order. The network takes pictures then.
    """

    name: str
    network: object
    seeds: tuple
    protocol: str = BY_SOURCE
    schedule: str = CONSTANT
    learning_rate: float = LEARNING_RATE
    frozen: bool = False
    permuted: bool = False


@dataclass(frozen=True)
class Run:
    """One training of an experiment: its Model, and its answers.

    `probabilities`: of Piano after each epoch, for the clips of the validation split and then of the test split:
    `(epochs, clips)`.
    """

    experiment: Experiment
    model: Model
    probabilities: np.ndarray

    @property
    def seed(self):
        return self.model.seed


def run(experiments, clips_folder, folder, epochs=5, batch_size=32, limit=None, workers=None):
    """Train every network from each of its seeds and return the Runs, in the order of `experiments`.

    Parameters
    ----------
    clips_folder : a dataset made by `pipeline.corpus.dataset.build`
    folder : where the runs are kept
    limit : int, optional
        Train on every n-th clip: the largest n that leaves this many.
    workers : int, optional
        How many runs are trained at the same time; one a core by default.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    options = (str(clips_folder), folder, epochs, batch_size, limit)
    tasks = [(experiment, seed, *options) for experiment in experiments for seed in experiment.seeds]
    with line() as shown, Pool(workers) as pool:
        for done, finished in enumerate(pool.run(_train, tasks), 1):
            finished.result()
            shown.show(f"{done} of {len(tasks)} runs")
        shown.show(f"{len(tasks)} runs of {epochs} epochs")
    found = [(experiment, _path(folder, experiment, seed)) for experiment, seed, *_ in tasks]
    return [Run(experiment, Model.load(path), np.load(_answers(path))) for experiment, path in found]


def _train(experiment, seed, clips_folder, folder, epochs, batch_size, limit):
    """In a process of its own: one run, from where it was stopped."""
    parallel.set_threads(1)
    path, falls = _path(folder, experiment, seed), experiment.schedule == FALLING
    clips, labels, table, class_names = dataset.load(clips_folder)
    model = experiment.network(class_names, seed=seed)
    model.metadata["experiment"] = {
        "clips": dataset.fingerprint(clips_folder),
        **{field: getattr(experiment, field) for field in FIELDS},
        "batch_size": batch_size,
        "limit": limit,
        **({"epochs": epochs} if falls else {}),
    }
    model = _stored(path, model, epochs) or model
    n_done = len(model.history.epoch_rows)
    if n_done == epochs:
        return
    parts = {
        name: every_nth(rows, limit if name == "train" else None)
        for name, rows in split(table, labels, experiment.protocol).items()
    }
    options = {"batch_size": batch_size, "augment": permuted_pictures() if experiment.permuted else None}
    data, *held_out = (
        ClipSequence(clips[rows], labels[rows], len(class_names), shuffle=name == "train", seed=seed, **options)
        for name, rows in parts.items()
    )
    callbacks = [HeldOut(*held_out, _answers(path), n_done), ModelCheckpoint(path, "loss", save_best_only=False)]
    if experiment.frozen:
        callbacks.append(Frozen(model))
    if falls:
        callbacks.append(LearningRateSchedule(lambda epoch: experiment.learning_rate * cosine(epoch / epochs)))
    optimizer = model.optimizer or RMSprop(experiment.learning_rate)
    model.fit(data, epochs=epochs - n_done, optimizer=optimizer, callbacks=callbacks, progress=False)
    if len(model.history.epoch_rows) < epochs:
        raise KeyboardInterrupt


def split(table, labels, protocol):
    """The rows of a dataset in each split of a protocol: a dict of "train", "validation" and "test".

    BY_SOURCE are the splits of the dataset. BY_CLIP gives each as many clips of each class, drawn from the whole
    dataset, so that most recordings are in all three.
    """
    rows = {name: np.flatnonzero(table["split"] == name) for name in SPLITS}
    if protocol == BY_CLIP:
        rng = np.random.default_rng(0)
        drawn = {label: list(rng.permutation(np.flatnonzero(labels == label))) for label in np.unique(labels)}
        rows = {name: np.sort([drawn[label].pop() for label in labels[part]]) for name, part in rows.items()}
    return rows


def permuted_pictures():
    """An `augment` for a ClipSequence that gives mel pictures `(batch, 1, frames, mels)`, all in one random order."""
    mel = MelSpectrogram()
    shape = mel.build(INPUT_SHAPE, None)
    order = np.random.default_rng(PERMUTATION).permutation(np.prod(shape))

    def augment(samples, targets, rng):
        pictures = mel.forward(samples).reshape(len(samples), -1)
        return pictures[:, order].reshape(-1, *shape), targets

    return augment


class Frozen(Callback):
    """Gives the convolutions of a model their kernels and biases back after each step."""

    def __init__(self, model):
        self.start = {key: array.copy() for key, array in model.params.items() if key.startswith("conv2d")}

    def on_batch_end(self, model):
        params = model.params
        for key, array in self.start.items():
            params[key][...] = array


class HeldOut(Callback):
    """Adds the metrics of validation clips to the row of each epoch, and keeps the answers to all held-out clips."""

    def __init__(self, validation, test, path, n_done):
        self.validation, self.test, self.path = validation, test, path
        self.answers = list(np.load(path)[:n_done]) if n_done else []

    def on_epoch_end(self, model, epoch, row):
        found = [np.concatenate([model.predict(batch) for batch, _ in data]) for data in (self.validation, self.test)]
        own = found[0][np.arange(len(found[0])), self.validation.labels]
        row |= {
            "val_loss": float(-np.log(np.maximum(own, 1e-7)).mean()),
            "val_accuracy": float((found[0].argmax(axis=1) == self.validation.labels).mean()),
        }
        self.answers.append(np.concatenate(found)[:, model.class_names.index(PIANO)])
        files.write_array(self.path, np.stack(self.answers))


def _path(folder, experiment, seed):
    name = hyphenated(f"{experiment.name} {experiment.protocol} {experiment.schedule}")
    return folder / f"{name}-seed-{seed}.npz"


def hyphenated(name):
    """The name of an experiment as part of a file name: its words with hyphens between them."""
    return "-".join(re.findall(r"[a-z0-9]+", name))


def _answers(path):
    return path.with_suffix(".held-out.npy")


def _stored(path, new, epochs):
    """The run at `path`, if it has the layers and settings of the model `new` and is not longer; else None."""
    try:
        model = Model.load(path)
    except ModelFileError:
        return None
    same = _settings(model) == _settings(new) and len(model.history.epoch_rows) <= epochs
    return model if same and _answers(path).exists() else None


def _settings(model):
    layers = [(type(layer).__name__, layer.config()) for layer in model.layers]
    return layers, model.class_names, model.seed, model.metadata.get("experiment")


def curves(runs):
    """Training curves: a row a point, with network, protocol, schedule, seed, epoch, loss and accuracy.

    Each point summarises a hundredth of the batches: the mean of their accuracies and the median of their losses, since
    a single loss may be a thousand times the others. `epoch` is the fraction of epochs passed.
    """
    tables = []
    for run in runs:
        batches = run.model.history.batches
        per_epoch = batches["batch"].max() + 1
        place = batches["epoch"] - 1 + (batches["batch"] + 0.5) / per_epoch
        groups = batches.assign(epoch=place).groupby(batches.index // -(-len(batches) // POINTS))
        points = groups.agg(epoch=("epoch", "mean"), loss=("loss", "median"), accuracy=("accuracy", "mean"))
        tables.append(points.assign(**_about(run)))
    table = pd.concat(tables, ignore_index=True)
    return table[[*_about(runs[0]), "epoch", "loss", "accuracy"]]


def epochs(runs):
    """A row an epoch: what `curves` says of a run, its number of parameters, and the metrics of `History.epochs`."""
    tables = []
    for run in runs:
        n_parameters = sum(layer.n_parameters for layer in run.model.layers)
        tables.append(run.model.history.epochs.reset_index().assign(**_about(run), parameters=n_parameters))
    table = pd.concat(tables, ignore_index=True)
    first = [*_about(runs[0]), "parameters", "epoch"]
    return table[first + [column for column in table if column not in first]]


def _about(run):
    experiment = run.experiment
    return {
        "network": experiment.name,
        "protocol": experiment.protocol,
        "schedule": experiment.schedule,
        "seed": run.seed,
    }


def step_time(model, samples, targets, repeats=10):
    """Milliseconds that one step of training takes on a batch: the fastest of `repeats`, after one to warm up."""
    model.optimizer, loss, times = RMSprop(), CategoricalCrossentropy(), []
    with parallel.one_blas_thread():
        for _ in range(repeats + 1):
            started = time.perf_counter()
            train_batch(model, samples, targets, loss)
            times.append(time.perf_counter() - started)
    return 1000 * min(times[1:])
