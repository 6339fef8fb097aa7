"""An experiment: one network trained on the same data from several seeds, and its results as tables.

Every run is a model file with its history, written after each epoch. A stopped run goes on and a complete one is only
read; a run of other clips, another network or other settings begins anew.
"""

import re
import time
from pathlib import Path

import pandas as pd

from nn import CategoricalCrossentropy, ClipSequence, Model, ModelCheckpoint, ModelFileError, RMSprop
from nn.parallel import one_blas_thread
from nn.training import train_batch
from pipeline.corpus import dataset
from pipeline.learning.training import subsample
from pipeline.live import line

POINTS = 100  # of a training curve, each the mean of the batches between it and the one before


def train(name, network, clips_folder, folder, seeds, epochs, batch_size=32, learning_rate=1e-3, limit=None):
    """Train `network(class_names, seed=seed)` once for each seed and return the models.

    Parameters
    ----------
    name : str
        Of the experiment, in words: the runs are `folder`/NAME-seed-N.npz, with a hyphen between the words.
    clips_folder : a dataset made by `pipeline.corpus.dataset.build`
    limit : int, optional
        As in `pipeline.learning.training.subsample`.

    Raises KeyboardInterrupt if Ctrl-C has ended a run.
    """
    train_split, val_split = (subsample(dataset.load(clips_folder, split), limit) for split in ("train", "validation"))
    class_names = dataset.load(clips_folder, "train")[3]
    validation = ClipSequence(*val_split, len(class_names), batch_size)
    settings = {
        "clips": dataset.fingerprint(clips_folder),
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "limit": limit,
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    models = []
    with line() as shown:
        for seed in seeds:
            path = Path(folder) / f"{hyphenated(name)}-seed-{seed}.npz"
            shown.prefix = f"{name}, seed {seed}: "
            model = network(class_names, seed=seed)
            model.metadata["experiment"] = settings
            model = _stored(path, model, epochs) or model
            missing = epochs - len(model.history.epoch_rows)
            if missing > 0:
                data = ClipSequence(*train_split, len(class_names), batch_size, shuffle=True, seed=seed)
                optimizer = model.optimizer or RMSprop(learning_rate)
                keep = ModelCheckpoint(path, monitor="loss", save_best_only=False)
                model.fit(data, validation_data=validation, epochs=missing, optimizer=optimizer, callbacks=[keep])
                if len(model.history.epoch_rows) < epochs:
                    raise KeyboardInterrupt
            models.append(model)
        shown.show(f"{name}: {len(models)} runs of {epochs} epochs")
    return models


def _stored(path, new, epochs):
    """The run at `path`, if it has the layers and settings of the model `new` and is not longer; else None."""
    try:
        model = Model.load(path)
    except ModelFileError:
        return None
    same = _experiment(model) == _experiment(new) and len(model.history.epoch_rows) <= epochs
    return model if same else None


def _experiment(model):
    layers = [(type(layer).__name__, layer.config()) for layer in model.layers]
    return layers, model.class_names, model.seed, model.metadata.get("experiment")


def hyphenated(name):
    """The name of an experiment as part of a file name: its words with hyphens between them."""
    return "-".join(re.findall(r"[a-z]+", name))


def curves(models_by_name):
    """Training curves: a row a point, with network, seed, epoch (fraction of epochs passed), loss and accuracy.

    `models_by_name`: dict of name to models, one a seed. Each point summarises a hundredth of the batches: the mean of
    their accuracies and the median of their losses, since a single loss may be a thousand times the others.
    """
    tables = []
    for name, models in models_by_name.items():
        for model in models:
            batches = model.history.batches
            per_epoch = batches["batch"].max() + 1
            place = batches["epoch"] - 1 + (batches["batch"] + 0.5) / per_epoch
            size = -(-len(batches) // POINTS)
            groups = batches.assign(epoch=place).groupby(batches.index // size)
            points = groups.agg(epoch=("epoch", "mean"), loss=("loss", "median"), accuracy=("accuracy", "mean"))
            tables.append(points.assign(network=name, seed=model.seed))
    return pd.concat(tables, ignore_index=True)[["network", "seed", "epoch", "loss", "accuracy"]]


def epochs(models_by_name):
    """A row an epoch: network, seed, parameters, epoch, and the metrics of `History.epochs`."""
    tables = []
    for name, models in models_by_name.items():
        for model in models:
            n_parameters = sum(layer.n_parameters for layer in model.layers)
            about = {"network": name, "seed": model.seed, "parameters": n_parameters}
            tables.append(model.history.epochs.reset_index().assign(**about))
    table = pd.concat(tables, ignore_index=True)
    first = ["network", "seed", "parameters", "epoch"]
    return table[first + [column for column in table if column not in first]]


def outcome(table):
    """The results of each network, a row a metric: mean, lowest and highest over the seeds.

    `table`: of `epochs`. The metrics are those of the last epoch and, as "best val_accuracy", of a run's best epoch.
    """
    runs = table.groupby(["network", "seed"], sort=False)
    figures = runs[["loss", "accuracy", "val_loss", "val_accuracy"]].last()
    figures["best val_accuracy"] = runs["val_accuracy"].max()
    rows = figures.melt(ignore_index=False, var_name="figure").groupby(["figure", "network"], sort=False)["value"]
    return rows.agg(["mean", "min", "max"])


def step_time(model, samples, targets, repeats=10):
    """Milliseconds that one step of training takes on a batch: the fastest of `repeats`, after one to warm up."""
    model.optimizer, loss, times = RMSprop(), CategoricalCrossentropy(), []
    with one_blas_thread():
        for _ in range(repeats + 1):
            started = time.perf_counter()
            train_batch(model, samples, targets, loss)
            times.append(time.perf_counter() - started)
    return 1000 * min(times[1:])
