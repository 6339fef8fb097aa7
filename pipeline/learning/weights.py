"""The released model, from its sources to its metrics: `make weights`.

Builds the dataset, trains the network, calibrates it, and writes the model file with a record of how it was made and
how good it is. A run that was stopped goes on. The real recordings that `make recordings` fetched are used where they
are there: `train` to learn from, `dev` to choose the epoch and to calibrate; `test` is left alone. So are sampled
instruments of one's own (`pipeline.corpus.instruments`).
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit

from pipeline import files, parsing
from pipeline.corpus import collection, dataset, instruments, recordings
from pipeline.errors import PipelineError, SourceError
from pipeline.learning import hard_songs, voting
from pipeline.learning.evaluation import (
    as_text,
    by_recording,
    calibration,
    exact_interval,
    folder_clips,
    piano_probabilities,
    with_intervals,
)
from pipeline.learning.training import log_loss, mix_over_piano, train
from pipeline.song.recognition import MODEL_PATH, PIANO

RESULTS = MODEL_PATH.parent / "results" / "model.json"
WITHOUT_DEV = MODEL_PATH.parent / "generated" / "packages-alone.npz"  # a model that no real recordings have chosen

RECIPE = "released"  # the kinds of recordings, their shares, and the augmentations: the tables of data/sounds
THRESHOLDS = np.linspace(-8, 8, 321)  # in log odds
PRIOR = 1 / 6  # the prior probability of solo piano among the songs that people ask about: an assumption
EXCERPT = 5  # clips; the probabilities are calibrated for excerpts longer than a note and shorter than a song


def calibrate(model, clips, table):
    """Scale and shift the scores of the last dense layer by held-out recordings. Returns (scale, shift).

    The scale (temperature; Guo et al., 2017) minimises the cross-entropy of the pooled probabilities of excerpts of
    `EXCERPT` clips. The shift gives the best threshold for recordings the probability `PRIOR`; a clip votes for piano
    above one half. The order of clips by probability stays.

    `clips` (n, samples) and `table` (a row a clip: recording, label) are as `folder_clips` gives them.
    """
    probability = piano_probabilities(model, clips)
    place = table.groupby("recording").cumcount() // EXCERPT
    excerpts = by_recording(table.assign(recording=table["recording"] + " " + place.astype(str)), probability)
    is_piano, score = excerpts["label"] == PIANO, logit(excerpts["piano_probability"])

    def loss(line):
        return log_loss(is_piano, expit(line[0] * score + line[1]), smoothed=True)

    scale = minimize(loss, [1.0, 0.0], method="Nelder-Mead").x[0]
    shift = logit(PRIOR) - scale * _best_threshold(*_correct_at_thresholds(table, probability))
    last = [layer for layer in model.layers if layer.params][-1]
    last.params["kernel"] *= np.float32(scale)
    last.params["bias"] *= np.float32(scale)
    last.params["bias"][model.class_names.index(PIANO)] += np.float32(shift)
    return float(scale), float(shift)


def _correct_at_thresholds(table, probability):
    """Is the majority vote correct at each of `THRESHOLDS`, bool (recordings, thresholds), and which are pianos?"""
    correct, is_piano = [], []
    for _, song in table.assign(probability=probability).groupby("recording", sort=False):
        is_piano.append(song["label"].iloc[0] == PIANO)
        votes = (logit(song["probability"].to_numpy())[:, np.newaxis] > THRESHOLDS).mean(axis=0)
        correct.append((votes > 0.5) == is_piano[-1])
    return np.array(correct), np.array(is_piano)


def _best_threshold(correct, is_piano):
    """The middle, in log odds, of the thresholds with the highest balanced accuracy."""
    recall = correct[is_piano].mean(axis=0) + correct[~is_piano].mean(axis=0)
    best = THRESHOLDS[np.isclose(recall, recall.max())]
    return (best.min() + best.max()) / 2


def leave_one_out_thresholds(table, probability):
    """For each clip the threshold that all recordings but its own choose: float (n,).

    A recording that is classified with it did not choose its own threshold.
    """
    correct, is_piano = _correct_at_thresholds(table, probability)
    others = (np.delete(np.arange(len(correct)), number) for number in range(len(correct)))
    chosen = np.array([_best_threshold(correct[rows], is_piano[rows]) for rows in others])
    return expit(chosen - logit(PRIOR))[pd.factorize(table["recording"])[0]]


def report(model, dataset_folder, unseen_songs=None, recordings=None):
    """The metrics of a two-class model: on the test split of a dataset, on songs, and on a folder of recordings.

    `unseen_songs` are as `hard_songs.judge` gives them.
    """
    clips, labels, table, names = dataset.load(dataset_folder, "test")
    probabilities = piano_probabilities(model, clips)
    is_piano = labels == names.index(PIANO)
    figures = {"test clips": with_intervals(is_piano, probabilities, groups=table["recording"])}
    correct = pd.Series((probabilities > 0.5) == is_piano).groupby(table["label"] + ": " + table["kind"])
    figures["test clips right, by kind"] = correct.mean().round(4).to_dict()
    figures["test recordings"] = _song_metrics(by_recording(table, probabilities))
    if unseen_songs:
        songs = by_recording(*unseen_songs)
        figures["unseen songs"] = _song_metrics(songs)
        figures["unseen songs without noise"] = _song_metrics(songs[~songs["noisy"]])
        figures["unseen songs taken for piano"] = hard_songs.by_sound(songs)
        figures["unseen songs by instrument"] = hard_songs.by_instrument(songs).to_dict("records")
    if recordings:
        clips, table = folder_clips(recordings)
        probabilities = piano_probabilities(model, clips)
        songs = by_recording(table, probabilities)
        is_piano, groups = table["label"] == PIANO, table["recording"]
        figures["real clips"] = with_intervals(is_piano, probabilities, groups=groups)
        predicted = probabilities > leave_one_out_thresholds(table, probabilities)
        others = with_intervals(is_piano, probabilities, predicted, groups)
        figures["real clips, threshold of the other recordings"] = others
        figures["real recordings"] = _song_metrics(songs)
        wrong = songs[(songs["label"] == PIANO) != songs["predicted_piano"]].set_index("recording")
        figures["real recordings that were wrong"] = wrong["piano_probability"].round(3).to_dict()
        overlapping = voting.add_overlapping(model, clips, table.assign(probability=probabilities))
        figures["ways to vote"] = voting.compare(overlapping).round(4).to_dict("records")
    return figures


def markdown(figures):
    """The result of `report` as the two tables of the model card, with 95 % intervals over recordings."""
    columns = {"balanced accuracy": "balanced_accuracy", "precision": "precision", "recall": "recall"}
    columns |= {"F1": "f1", "AUC": "auc"}
    lines = [f"| on | n | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
    others = figures["real clips, threshold of the other recordings"]
    rows = {
        "real recordings, majority vote": figures["real recordings"]["by majority vote"],
        "their seconds": figures["real clips"],
        "their seconds, the threshold chosen by all other recordings": others,
        "augmented seconds of unseen sources (test split)": figures["test clips"],
        "the recordings that these come from, majority vote": figures["test recordings"]["by majority vote"],
    }
    if songs := figures.get("unseen songs"):
        rows["songs made of the same sources, majority vote"] = songs["by majority vote"]
        rows["those without added noise"] = figures["unseen songs without noise"]["by majority vote"]
    for name, row in rows.items():
        texts = as_text(row)
        lines.append(f"| {name} | {row['n']:,} | {' | '.join(texts[key] for key in columns.values())} |")
    if songs:
        lines += ["", "| unseen songs of | n | classified as piano |", "|---|---|---|"]
        for name, row in figures["unseen songs taken for piano"].items():
            low, high = exact_interval(round(row["share"] * row["n"]), row["n"])
            lines.append(f"| {name} | {row['n']} | {row['share']:.0%} ({low:.0%}–{high:.0%}) |")
    return "\n".join(lines)


def _song_metrics(songs):
    """The metrics of songs as `by_recording` gives them; songs of one origin are resampled together."""
    is_piano, origins = songs["label"] == PIANO, songs.get("origin")
    return {
        "by majority vote": with_intervals(is_piano, songs["piano_probability"], songs["predicted_piano"], origins),
        "by mean probability": with_intervals(is_piano, songs["piano_probability"], groups=origins),
        "expected calibration error": calibration(is_piano, songs["piano_probability"])[1],
    }


def _dev_clips(folder):
    """`folder_clips` of recordings that can choose a threshold: at least two pianos and two others."""
    clips, table = folder_clips(folder)
    n_pianos, n = table.groupby("recording")["label"].first().eq(PIANO).agg(["sum", "size"])
    if min(n_pianos, n - n_pianos) < 2:
        found = f"{folder} holds {n_pianos} recordings of {PIANO} and {n - n_pianos} others"
        raise SourceError("classes", f"{found}; it needs two of each, in sub-folders, to choose a threshold.")
    return clips, table


def _recordings_of(options):
    """The folders to learn from and the one that chooses: those given, else what was fetched, else none.

    Raises SourceError if the same sound is in two of the fetched parts.
    """
    folder = Path(options.recordings)
    if options.train_folder or options.dev_folder:
        return options.train_folder, options.dev_folder
    if not (folder / "dev").is_dir():
        message = (
            f"There are no real recordings in {folder} (make recordings fetches them): learning from packages alone."
        )
        print(message, file=sys.stderr)
        return [], None
    if same := recordings.doubles(folder):
        message = f"{same[0][0]} and {same[0][1]} are the same sound; a recording must have one use."
        raise SourceError("overlap", f"{message} Delete one of them.")
    print(f"Real recordings: those in {folder}/train train the model, those in dev choose it.", file=sys.stderr)
    return [folder / "train"] if (folder / "train").is_dir() else [], folder / "dev"


def main(arguments=None):
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.learning.weights", description=__doc__.splitlines()[0])
    option = parser.add_argument
    out = f"the model file to write (default: the released one; without --dev-folder generated/{WITHOUT_DEV.name})"
    option("--out", type=parsing.path, help=out)
    results = "the metrics to write, as JSON (default: those of the released model, or in the folder of --out)"
    option("--results", type=parsing.path, help=results)
    option("--data", type=parsing.path, default="data/generated/clips-weights", help="folder for the clips")
    option("--sources", nargs="*", default=["all"], help="where the sound comes from (default: all)")
    option("--instruments", type=parsing.path, default=instruments.default(), help=instruments.HELP)
    option("--clips", type=parsing.count, default=150_000)
    train_help = "recordings of one's own to train on, by class"
    option("--train-folder", type=parsing.path, action="append", default=[], help=train_help)
    dev_help = "whole recordings, by class, that choose the best epoch and calibrate"
    option("--dev-folder", type=parsing.path, help=dev_help)
    fetched = f"what `make recordings` wrote, used unless folders are given (default: {recordings.FOLDER})"
    option("--recordings", type=parsing.path, default=recordings.FOLDER, help=fetched)
    option("--epochs", type=parsing.count, default=4)
    option("--seed", type=parsing.seed, default=0)
    options = parser.parse_args(arguments)
    try:
        folders, dev = _recordings_of(options)
    except PipelineError as error:
        print(f"weights: {error}", file=sys.stderr)
        return 1
    seed = options.seed
    out = Path(options.out) if options.out else MODEL_PATH if dev else WITHOUT_DEV
    results = options.results or (RESULTS if out == MODEL_PATH else out.with_suffix(".json"))
    try:
        held_out = _dev_clips(dev) if dev else None  # at once, so that a mistake shows before hours have passed
        out.parent.mkdir(parents=True, exist_ok=True)
        split = "train" if folders else None
        found = collection.recordings(options.sources, folders, split, options.instruments, RECIPE)
        dataset.build(options.data, n_clips=options.clips, seed=seed, recordings=found, recipe=RECIPE)
        settings = {"monitor": "recordings_loss" if dev else "val_loss", "augment": mix_over_piano()}
        path = f"{options.data}/model.npz"
        model = train(options.data, path, epochs=options.epochs, seed=seed, recordings=dev, **settings)
        clips, table = held_out or dataset.load(options.data, "validation")[::2]
        scale, shift = calibrate(model, clips, table)
        songs = Path(options.data) / "songs"
        has_songs = len(hard_songs.make(found, songs))
        unseen = hard_songs.judge(model, songs / "test") if has_songs else None
        figures = report(model, options.data, unseen, dev)
    except PipelineError as error:
        print(f"weights: {error}", file=sys.stderr)
        return 1
    model.metadata = {
        "threshold": 0.5,
        "calibration": {"scale": scale, "shift": shift},
        "seed": seed,
        "clips": options.clips,
        "sources": options.sources,
        "recipe": RECIPE,
        "instruments": bool(options.instruments),
        "dataset": dataset.fingerprint(options.data),
        "figures": figures,
    }
    model.save(out, include_optimizer=False)
    files.write_json(results, figures)
    print(json.dumps(figures, indent=1))
    if dev:
        print(markdown(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
