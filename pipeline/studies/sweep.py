"""A search for better hyperparameters: many short trainings of networks that Optuna proposes, the weak ones pruned.

A study is Optuna's journal file, or a database by its URL. Any number of processes and machines may work on it.
"""

import argparse
import sys
import uuid
from functools import partial
from pathlib import Path

import numpy as np

from nn import (
    BatchNormalization,
    ClipSequence,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPooling2D,
    MelSpectrogram,
    Model,
    ReLU,
    RMSprop,
    Softmax,
    parallel,
)
from nn.callbacks import Callback
from pipeline import parsing
from pipeline.corpus import dataset
from pipeline.errors import PipelineError
from pipeline.learning.networks import CLASS_NAMES, INPUT_SHAPE
from pipeline.workers import Pool, WorkerDied

FILTER_SHAPES = ("3x3", "5x5", "3x7", "7x3")  # frames x mels; 7x7 in every layer would cost twice as much
MOST_FILTERS = 32  # as in the thesis network


def study_network(trial, class_names=CLASS_NAMES, seed=0):
    """The network that an Optuna trial proposes: its depth, filters, filter shape, pool size and dropout."""
    shape = tuple(map(int, trial.suggest_categorical("filter_shape", FILTER_SHAPES).split("x")))
    pool_size, filters = trial.suggest_int("pool_size", 2, 3), trial.suggest_categorical("filters", (4, 8, 16))
    layers = [MelSpectrogram(), BatchNormalization(momentum=0.9)]
    for depth in range(trial.suggest_int("depth", 2, 5)):
        convolution = Conv2D(min(filters * 2**depth, MOST_FILTERS), shape)
        layers += [convolution, ReLU(), MaxPooling2D(pool_size, padding="same")]
    layers += [Flatten(), Dropout(trial.suggest_float("dropout", 0.0, 0.6, step=0.1)), Dense(64), ReLU()]
    return Model([*layers, Dense(len(class_names)), Softmax()], INPUT_SHAPE, class_names, seed)


def run_study(name, storage, clips_dir, n_trials, n_clips, epochs, workers=None, dask=None, seed=0, progress=None):
    """Bring a study to `n_trials` finished trials; a study that has them already is only opened.

    Parameters
    ----------
    name : str
    storage : str or Path
        The file of Optuna's journal, or the URL of any Optuna storage, such as "postgresql://...".
    clips_dir : str or Path
        A folder made by `pipeline.corpus.dataset.build`.
    n_clips : int
        Clips that a trial learns from, equally many of each class; it is validated on half as many.
    epochs : int
        Of each trial; the value of a trial is the best validation accuracy of its epochs.
    workers, dask
        Where the trials run, one thread each; see `pipeline.workers.Pool`.
    progress : callable, optional
        `progress("searching", trials_done, n_trials)`.

    Returns
    -------
    optuna.Study
        Every trial has the user attributes `epochs` (a list of dicts, as in `History.epochs`) and `parameters`.

    With one worker a seed fixes the trials; with more, the sampler's choices depend on their timing. Raises
    PipelineError for a study that was begun with other clips, epochs or another seed, and for a storage that cannot be
    opened.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings = {"n_clips": n_clips, "epochs": epochs, "seed": seed}
    try:
        if not _is_url(storage):
            Path(storage).parent.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(storage=_open(storage), study_name=name, direction="maximize", load_if_exists=True)
    except Exception as error:  # of the system, of a database's driver that is not installed, of the database
        raise PipelineError(
            "study",
            f"{storage} cannot hold a study ({type(error).__name__}: {error}); give a new file, or the URL of a "
            "database whose driver is installed.",
        ) from error
    if study.user_attrs.get("settings", settings) != settings:
        raise PipelineError(
            "study",
            f"The study {name} in {storage} was begun with {study.user_attrs['settings']}; choose another name.",
        )
    study.set_user_attr("settings", settings)
    begun, done, run = len(study.trials), len(_finished(study)), uuid.uuid4().hex
    tasks = ((name, str(storage), str(clips_dir), settings, seed + begun + i, run) for i in range(n_trials - done))
    if done < n_trials:
        clips = dataset.fingerprint(clips_dir)
        if study.user_attrs.get("clips", clips) != clips:
            raise PipelineError(
                "study", f"The study {name} in {storage} was begun with other clips; choose another name."
            )
        study.set_user_attr("clips", clips)
        with Pool(workers, dask) as pool:
            for finished in pool.run(run_trial, tasks):
                if not isinstance(finished.exception(), WorkerDied):
                    finished.result()
                done += 1
                if progress:
                    progress("searching", done, n_trials)
        for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
            if trial.user_attrs.get("run") == run:  # its worker died
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def run_trial(name, storage, clips_dir, settings, seed, run):
    """In some process: one more trial of the study, unless it has the trial of this run and seed already."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parallel.set_threads(1)
    study = optuna.load_study(
        study_name=name,
        storage=_open(storage),
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
    )
    task = {"run": run, "sampler_seed": seed}
    if any(task.items() <= trial.user_attrs.items() for trial in _finished(study)):
        return  # a worker finished it, and died before it could report

    def objective(trial):
        for key, value in task.items():
            trial.set_user_attr(key, value)
        return train(trial, clips_dir, **settings)

    study.optimize(objective, n_trials=1)


def train(trial, clips_dir, n_clips, epochs, seed):
    """Train the network of a trial and return its best validation accuracy; raises TrialPruned."""
    import optuna

    batch_size = trial.suggest_categorical("batch_size", (16, 32, 64, 128))
    optimizer = RMSprop(trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True))
    rng = np.random.default_rng(seed)
    class_names, data = _draw(clips_dir, "train", n_clips, rng, batch_size=batch_size, shuffle=True, seed=seed)
    _, validation = _draw(clips_dir, "validation", n_clips // 2, rng)
    model = study_network(trial, class_names, seed)
    trial.set_user_attr("parameters", sum(layer.n_parameters for layer in model.layers))
    reporter = _Reporter(trial, epochs)
    try:
        options = {"validation_data": validation, "epochs": epochs, "optimizer": optimizer}
        model.fit(data, callbacks=[reporter], progress=False, **options)
    except FloatingPointError:  # the learning rate was too large
        raise optuna.TrialPruned from None
    if reporter.pruned:
        raise optuna.TrialPruned
    if len(reporter.rows) < epochs:  # Ctrl-C
        raise KeyboardInterrupt
    return max(row["val_accuracy"] for row in reporter.rows)


class _Reporter(Callback):
    """Reports each epoch to Optuna, and stops a trial that Optuna prunes."""

    def __init__(self, trial, epochs):
        self.trial, self.epochs, self.rows, self.pruned = trial, epochs, [], False

    def on_epoch_end(self, model, epoch, row):
        self.rows.append(row)
        self.trial.set_user_attr("epochs", self.rows)
        self.trial.report(row["val_accuracy"], epoch)
        is_last = epoch + 1 == self.epochs  # then there is nothing left to prune
        self.pruned = not is_last and self.trial.should_prune()
        return self.pruned


def _draw(clips_dir, split, n_clips, rng, **options):
    """The names of the classes, and `n_clips` clips of a split, equally many of each, as a ClipSequence."""
    clips, labels, _, class_names = dataset.load(clips_dir, split)
    rows = [np.flatnonzero(labels == label) for label in range(len(class_names))]
    rows = np.sort(np.concatenate([rng.permutation(found)[: n_clips // len(class_names)] for found in rows]))
    return class_names, ClipSequence(clips[rows], labels[rows], len(class_names), **options)


def _open(storage):
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return str(storage) if _is_url(storage) else JournalStorage(JournalFileBackend(str(storage)))


def _is_url(storage):
    return "://" in str(storage)


def _finished(study):
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")]


def main(arguments=None):
    """Run the command line; returns its exit code."""
    from tqdm import tqdm

    parser = argparse.ArgumentParser(
        prog="python -m pipeline.studies.sweep", description="Search for better hyperparameters."
    )
    add = parser.add_argument
    add("clips", help="a folder made by python -m pipeline.corpus.dataset")
    add("--name", default="sweep", help="of the study (default: sweep)")
    add("--storage", default="data/generated/sweep.journal", help="a file, or the URL of an Optuna storage")
    add("--trials", type=parsing.count, default=40, help="finished trials that the study shall have (default: 40)")
    least_8 = partial(parsing.count, least=8)
    add("--n-clips", type=least_8, default=2000, help="clips that a trial learns from (default: 2000)")
    add("--epochs", type=parsing.count, default=3)
    add("--workers", type=parsing.count, help="processes on this machine (default: one a core)")
    add("--dask", metavar="ADDRESS", help="the workers of this Dask scheduler instead")
    add("--seed", type=parsing.seed, default=0)
    options = parser.parse_args(arguments)
    try:
        with tqdm(total=options.trials, unit="trial") as bar:
            study = run_study(
                options.name,
                options.storage,
                options.clips,
                n_trials=options.trials,
                n_clips=options.n_clips,
                epochs=options.epochs,
                workers=options.workers,
                dask=options.dask,
                seed=options.seed,
                progress=lambda _, done, total: bar.update(done - bar.n),
            )
    except PipelineError as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 2
    try:
        best = study.best_trial
    except ValueError:
        print("sweep: all trials were pruned; ask for more --trials", file=sys.stderr)
        return 1
    print(f"trial {best.number}: validation accuracy {best.value:.4f} with {best.params}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
