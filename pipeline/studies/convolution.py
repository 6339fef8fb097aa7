"""Does convolution help, and why? The experiments of notebooks 04 and 05, and what is concluded from them."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import resample

from nn.data import to_float
from pipeline.corpus import dataset
from pipeline.learning.evaluation import by_recording, exact_interval, piano_probabilities, recording_clips
from pipeline.learning.networks import dense_network, thesis_network
from pipeline.song.recognition import PIANO
from pipeline.studies.experiments import BY_CLIP, BY_SOURCE, FALLING, Experiment, split

MANY, SEVERAL = tuple(range(10)), tuple(range(5))  # seeds: of the comparison by source, and of all others
THESIS, DENSE = "thesis network", "dense, normalised decibels"
RAW, SAMPLES = "dense, raw decibels", "dense, samples"
AS_MANY_PARAMETERS = (9, 250)  # units of a dense network with the parameters of the thesis network, within a hundred
RESAMPLES = 10_000  # of the bootstrap
ABOUT = ["network", "protocol", "schedule"]  # what an experiment is known by in tables
ROWS = ["protocol", "split", "recording", "label", "clips"]  # the columns of `answers` in front of the runs

DENSE_NETWORKS = {
    SAMPLES: partial(dense_network, sound="samples"),
    RAW: partial(dense_network, sound="decibels"),
    DENSE: dense_network,
}


def dense_experiments(many=MANY, several=SEVERAL):
    """The dense networks of notebook 04, under both protocols, and the best of them with a falling learning rate."""
    found = [
        Experiment(name, network, many if (name, protocol) == (DENSE, BY_SOURCE) else several, protocol)
        for protocol in (BY_SOURCE, BY_CLIP)
        for name, network in DENSE_NETWORKS.items()
    ]
    return [*found, Experiment(DENSE, dense_network, several, schedule=FALLING)]


def thesis_experiments(many=MANY, several=SEVERAL):
    """The thesis network under both protocols, and with a falling learning rate."""
    return [
        Experiment(THESIS, thesis_network, many),
        Experiment(THESIS, thesis_network, several, BY_CLIP),
        Experiment(THESIS, thesis_network, several, schedule=FALLING),
    ]


def ablations(seeds=SEVERAL):
    """What is left of the result when one thing is taken away from a network."""
    pictures = {"sound": "pictures"}
    return [
        Experiment("dense, as many parameters", partial(dense_network, units=AS_MANY_PARAMETERS), seeds),
        Experiment("thesis network, frozen filters", thesis_network, seeds, frozen=True),
        Experiment("thesis network, permuted pixels", partial(thesis_network, **pictures), seeds, permuted=True),
        Experiment("dense, permuted pixels", partial(dense_network, **pictures), seeds, permuted=True),
        Experiment("thesis network, raw decibels", partial(thesis_network, sound="decibels"), seeds),
    ]


def answers(runs, clips_folder):
    """How many clips of each held-out recording every run has right: a DataFrame, a row a recording.

    Columns: protocol, split, recording (a number), label and clips; then one a run, named by `column`. In the
    validation split it is the answer after the last epoch; in the test split, that after the epoch with the lowest
    validation loss.
    """
    _, labels, table, class_names = dataset.load(clips_folder)
    is_piano, tables = labels == class_names.index(PIANO), []
    for protocol in dict.fromkeys(run.experiment.protocol for run in runs):
        parts = split(table, labels, protocol)
        rows = np.concatenate([parts["validation"], parts["test"]])
        held_out = table.iloc[rows].assign(protocol=protocol, clips=1)
        held_out["split"] = np.repeat(["validation", "test"], [len(parts["validation"]), len(parts["test"])])
        held_out["recording"] = pd.factorize(held_out["recording"])[0]
        own = [run for run in runs if run.experiment.protocol == protocol]
        found = {column(run): _right(run, is_piano[rows], len(parts["validation"])) for run in own}
        counted = pd.concat([held_out[ROWS], pd.DataFrame(found, index=held_out.index)], axis=1)
        tables.append(counted.groupby(ROWS[:-1], sort=False).sum().reset_index())
    return pd.concat(tables, ignore_index=True)


def column(run):
    """The name of a run in a table."""
    return " | ".join((run.experiment.name, run.experiment.protocol, run.experiment.schedule, str(run.seed)))


def _right(run, is_piano, n_validation):
    best = int(run.model.history.epochs["val_loss"].argmin())
    probability = run.probabilities[-1].copy()
    probability[n_validation:] = run.probabilities[best, n_validation:]
    return ((probability > 0.5) == is_piano).astype(int)


def accuracies(table, part="validation"):
    """The accuracy of each experiment in a table of `answers`: a DataFrame with seeds, mean, low and high.

    `low` and `high` are the ends of a 95 % interval: recordings and seeds are drawn anew (`drawn`).
    """
    rows = {}
    for about in _experiments(table):
        rows[about] = [len(_columns(table, about)), *_with_ends(drawn(table, about, part))]
    found = pd.DataFrame.from_dict(rows, orient="index", columns=["seeds", "accuracy", "low", "high"])
    found.index = pd.MultiIndex.from_tuples(found.index, names=ABOUT)
    return found.reset_index()


def difference(table, first, second, part="validation"):
    """How much more accurate one experiment is than another: (difference, low, high) with a 95 % interval.

    `first` and `second` are (network, protocol, schedule). The bootstrap is paired: both are asked about the same
    drawn recordings, and where they have the same number of seeds, about the same drawn seeds (Efron and Tibshirani,
    1993).
    """
    return _with_ends(drawn(table, first, part) - drawn(table, second, part))


def drawn(table, about, part="validation"):
    """The accuracy of an experiment in a table of `answers`, and that of each resample: see `resampled`."""
    recordings = table[(table["protocol"] == about[1]) & (table["split"] == part)]
    return resampled(recordings[_columns(table, about)], recordings["clips"], recordings["label"])


def resampled(right, clips, labels):
    """An accuracy, and then that of each of `RESAMPLES` resamples: float array.

    `right` (recordings, seeds) are the clips that are right, of `clips` (recordings,). Recordings are drawn with
    replacement within each class of `labels`, as clips of one recording resemble each other; seeds are drawn too. The
    draws depend on the recordings and the number of seeds alone, so that those of two experiments pair.
    """
    right, clips, labels = np.asarray(right, float), np.asarray(clips, float), pd.Series(labels).reset_index(drop=True)
    rng, n_seeds = np.random.default_rng(0), right.shape[1]
    weights = np.ones((RESAMPLES + 1, len(right)))
    for label in labels.unique():
        same = np.flatnonzero(labels == label)
        weights[1:, same] = rng.multinomial(len(same), np.full(len(same), 1 / len(same)), RESAMPLES)
    seeds = np.ones((RESAMPLES + 1, n_seeds))
    seeds[1:] = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), RESAMPLES)
    return ((weights @ right) / (weights @ clips)[:, None] * seeds).sum(axis=1) / n_seeds


def _with_ends(values):
    """The first of the values of `resampled`, and the ends of the 95 % interval of the others."""
    return (values[0], *np.quantile(values[1:], (0.025, 0.975)))


def _columns(table, about):
    return [name for name in table if name.startswith(" | ".join(about) + " | ")]


def _experiments(table):
    return list(dict.fromkeys(tuple(name.split(" | ")[:3]) for name in table if " | " in name))


FRAMES = (0, 1, 2, 5, 10, 20, 35, 50)
SEMITONES = (-12, -7, -5, -3, -2, -1, 0, 1, 2, 3, 5, 7, 12)


def shifted(clips, frames=0, semitones=0):
    """Float clips `(n, samples)`, later by frames of 10 ms, or played faster, and so higher, by semitones.

    What leaves a clip at its end comes in again at its beginning; a clip that became shorter begins again.
    """
    if semitones:
        n = clips.shape[1]
        faster = resample(clips, round(n / 2 ** (semitones / 12)), axis=1)
        return np.tile(faster, (1, 2))[:, :n].astype(np.float32)
    return np.roll(clips, 160 * frames, axis=1)


def accuracy_when_shifted(runs, clips, labels):
    """A row for each run and shift: network, seed, shift ("frames" or "semitones"), by, accuracy, and the share kept.

    `kept` is the share of clips that are given the same class as without a shift.
    """
    clips, rows = to_float(clips), []
    before = [run.model.predict(clips).argmax(axis=1) for run in runs]
    for kind, amounts in (("frames", FRAMES), ("semitones", SEMITONES)):
        for by in amounts:
            moved = shifted(clips, **{kind: by})
            for run, first in zip(runs, before):
                said = run.model.predict(moved).argmax(axis=1)
                rows.append((run.experiment.name, run.seed, kind, by, np.mean(said == labels), np.mean(said == first)))
    return pd.DataFrame(rows, columns=["network", "seed", "shift", "by", "accuracy", "kept"])


def gains(table):
    """How much more accurate the thesis network is than the best dense one, by protocol, schedule and split.

    `table`: of `answers`, of both networks. Columns: name, group (the split), value, low, high.
    """
    found, rows = _experiments(table), []
    for _, protocol, schedule in (about for about in found if about[0] == THESIS and (DENSE, *about[1:]) in found):
        pair = (THESIS, protocol, schedule), (DENSE, protocol, schedule)
        name = f"{protocol}, {schedule} rate"
        rows += [(f"{name}, {part}", part, *difference(table, *pair, part)) for part in ("validation", "test")]
    return pd.DataFrame(rows, columns=["name", "group", "value", "low", "high"])


def sample_clips(folder):
    """The clips of songs whose names begin with their class, and their table, as `folder_clips` gives them."""
    songs = sorted(path for label in ("piano", "other") for path in Path(folder).glob(f"{label}-*"))
    return recording_clips((path, path.stem, path.name.partition("-")[0].title()) for path in songs)


def on_recordings(models, clips, table):
    """What models say of whole recordings: a row for each model and recording.

    `models`: dict of network to list of Model; `clips` and `table` are those of `folder_clips`. Columns: network, seed,
    recording, label, seconds (clips), piano_votes (the share of clips), piano_probability, predicted_piano.
    """
    found = [
        by_recording(table, piano_probabilities(model, clips)).assign(network=name, seed=model.seed)
        for name, group in models.items()
        for model in group
    ]
    rows = pd.concat(found, ignore_index=True).rename(columns={"clips": "seconds"})
    first = ["network", "seed", "recording", "label", "seconds"]
    return rows[[*first, "piano_votes", "piano_probability", "predicted_piano"]]


def recording_accuracies(rows):
    """The shares of recordings and of seconds that each network has right: a DataFrame, a row a network.

    `rows`: of `on_recordings`. recordings and seconds are means over the seeds. The interval of recordings is the exact
    one of the first seed; that of seconds is a bootstrap over recordings and seeds.
    """
    found = {}
    for name, part in rows.groupby("network", sort=False):
        is_piano = part["label"] == PIANO
        part = part.assign(right=part["predicted_piano"] == is_piano)
        part["right_clips"] = np.where(is_piano, part["piano_votes"], 1 - part["piano_votes"]) * part["seconds"]
        first = part[part["seed"] == part["seed"].iloc[0]]
        low, high = exact_interval(first["right"].sum(), len(first))
        right = part.pivot(index="recording", columns="seed", values="right_clips")
        about = first.set_index("recording").loc[right.index]
        seconds, seconds_low, seconds_high = _with_ends(resampled(right, about["seconds"], about["label"]))
        found[name] = {
            "seeds": part["seed"].nunique(),
            "recordings": part["right"].mean(),
            "recordings_low": low,
            "recordings_high": high,
            "seconds": seconds,
            "seconds_low": seconds_low,
            "seconds_high": seconds_high,
        }
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("network")
