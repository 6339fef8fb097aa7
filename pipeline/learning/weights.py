"""The model that ships, from its sources to its figures: `make weights`.

Builds the dataset, trains the network, calibrates it, and writes the model file with a record of how it was made and
how good it is. What was done already is not done again, so that a stopped run goes on.
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
from pipeline.corpus import collection, dataset
from pipeline.errors import PipelineError, SourceError
from pipeline.learning import hard_songs, voting
from pipeline.learning.evaluation import (
    as_text,
    by_recording,
    calibration,
    folder_clips,
    piano_probabilities,
    with_intervals,
)
from pipeline.learning.training import hide_piano, log_loss, train
from pipeline.song.recognition import MODEL_PATH, PIANO

RESULTS = MODEL_PATH.parent / "results" / "model.json"
UNJUDGED = MODEL_PATH.parent / "generated" / "packages-alone.npz"  # a model that no real recordings have chosen

THRESHOLDS = np.linspace(-8, 8, 321)  # in log odds
PRIOR = 1 / 6  # of the songs that people ask about, those that are a piano alone: a guess, since most music is not
EXCERPT = 5  # clips; what the probabilities are calibrated for: longer than a note, shorter than a song


def calibrate(model, clips, table):
    """Scale and shift the scores of the last dense layer by recordings that the model was not trained on.

    The scale (temperature; Guo et al., 2017) makes the pooled probabilities of excerpts of a few seconds as often right as
    they say, both classes counting the same: it is songs that get an answer. The shift makes what is halfway between the
    thresholds at which most recordings get their label as probable as a piano is before anybody listens, `PRIOR`; a clip
    votes for piano above one half. The order of clips by probability stays. Returns (scale, shift).

    `clips` (n, samples) and `table` (a row a clip: recording, label) are as `folder_clips` gives them.
    """
    probability = piano_probabilities(model, clips)
    place = table.groupby("recording").cumcount() // EXCERPT
    excerpts = by_recording(table.assign(recording=table["recording"] + " " + place.astype(str)), probability)
    is_piano, score = excerpts["label"] == PIANO, logit(excerpts["piano_probability"])
    scale = minimize(
        lambda line: log_loss(is_piano, expit(line[0] * score + line[1]), smoothed=True),
        [1.0, 0.0],
        method="Nelder-Mead",
    ).x[0]
    shift = logit(PRIOR) - scale * _halfway(*_told_right(table, probability))
    last = [layer for layer in model.layers if layer.params][-1]
    last.params["kernel"] *= np.float32(scale)
    last.params["bias"] *= np.float32(scale)
    last.params["bias"][model.class_names.index(PIANO)] += np.float32(shift)
    return float(scale), float(shift)


def _told_right(table, probability):
    """Whether each recording gets its label at each of `THRESHOLDS`, bool (recordings, thresholds), and which are pianos."""
    right, is_piano = [], []
    for _, song in table.assign(probability=probability).groupby("recording", sort=False):
        is_piano.append(song["label"].iloc[0] == PIANO)
        votes = (logit(song["probability"].to_numpy())[:, np.newaxis] > THRESHOLDS).mean(axis=0)
        right.append((votes > 0.5) == is_piano[-1])
    return np.array(right), np.array(is_piano)


def _halfway(right, is_piano):
    """The log odds halfway from the lowest to the highest threshold at which most recordings of both classes are right."""
    share = right[is_piano].mean(axis=0) + right[~is_piano].mean(axis=0)
    best = THRESHOLDS[np.isclose(share, share.max())]
    return (best.min() + best.max()) / 2


def others_threshold(table, probability):
    """For each clip the threshold that all recordings but its own would have chosen: float (n,).

    What is judged by it is judged as a recording is that nobody had when the model was made.
    """
    right, is_piano = _told_right(table, probability)
    chosen = [
        _halfway(*(np.delete(each, number, axis=0) for each in (right, is_piano))) for number in range(len(right))
    ]
    return expit(np.array(chosen) - logit(PRIOR))[pd.factorize(table["recording"])[0]]


def report(model, dataset_folder, unseen_songs=None, recordings=None):
    """Figures of a two-class model as plain values: on the test split of a dataset, on songs, on a folder of recordings.

    `unseen_songs` are as `hard_songs.make` gives them.
    """
    clips, labels, table, names = dataset.load(dataset_folder, "test")
    probabilities = piano_probabilities(model, clips)
    is_piano = labels == names.index(PIANO)
    figures = {"test clips": with_intervals(is_piano, probabilities, groups=table["recording"])}
    predicted = pd.DataFrame(
        {"kind": table["label"] + ": " + table["kind"], "right": (probabilities > 0.5) == is_piano}
    )
    figures["test clips right, by kind"] = predicted.groupby("kind")["right"].mean().round(4).to_dict()
    songs = by_recording(table, probabilities)
    figures["test recordings"] = _song_figures(songs)
    if unseen_songs:
        clips, table = unseen_songs
        songs = by_recording(table, piano_probabilities(model, clips))
        figures["unseen songs"] = _song_figures(songs)
        figures["unseen songs without noise"] = _song_figures(songs[~songs["noisy"]])
        taken = songs.groupby("sound", sort=False).agg(
            label=("label", "first"), n=("label", "size"), share=("predicted_piano", "mean")
        )
        figures["unseen songs taken for piano"] = taken.round(4).to_dict("index")
    if recordings:
        clips, table = folder_clips(recordings)
        probabilities = piano_probabilities(model, clips)
        songs = by_recording(table, probabilities)
        is_piano, groups = table["label"] == PIANO, table["recording"]
        figures["real clips"] = with_intervals(is_piano, probabilities, groups=groups)
        unseen = probabilities > others_threshold(table, probabilities)
        figures["real clips, threshold of the other recordings"] = with_intervals(
            is_piano, probabilities, unseen, groups
        )
        figures["real recordings"] = _song_figures(songs)
        wrong = songs[(songs["label"] == PIANO) != songs["predicted_piano"]]
        figures["real recordings that were wrong"] = (
            wrong.set_index("recording")["piano_probability"].round(3).to_dict()
        )
        judged = voting.overlapped(model, clips, table.assign(probability=probabilities))
        figures["ways to vote"] = voting.compare(judged).round(4).to_dict("records")
    return figures


def markdown(figures):
    """The figures that `report` gives as the two tables of the model card, with their 95 % intervals over recordings."""
    columns = {
        "balanced accuracy": "balanced_accuracy",
        "precision": "precision",
        "recall": "recall",
        "F1": "f1",
        "AUC": "auc",
    }
    lines = [f"| on | n | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
    rows = {
        "real recordings, majority vote": figures["real recordings"]["by majority vote"],
        "their seconds": figures["real clips"],
        "their seconds, the threshold chosen by all other recordings": figures[
            "real clips, threshold of the other recordings"
        ],
        "disturbed seconds of unseen sources (test split)": figures["test clips"],
        "the recordings that these come from, majority vote": figures["test recordings"]["by majority vote"],
    }
    if songs := figures.get("unseen songs"):
        rows["songs made of the same sources, majority vote"] = songs["by majority vote"]
        rows["those that no noise was added to"] = figures["unseen songs without noise"]["by majority vote"]
    for name, row in rows.items():
        texts = as_text(row)
        lines.append(f"| {name} | {row['n']:,} | {' | '.join(texts[key] for key in columns.values())} |")
    if songs:
        lines += ["", "| unseen songs of | n | taken for piano |", "|---|---|---|"]
        lines += [
            f"| {name} | {row['n']} | {row['share']:.0%} |"
            for name, row in figures["unseen songs taken for piano"].items()
        ]
    return "\n".join(lines)


def _song_figures(songs):
    """Figures of songs as `by_recording` gives them; songs of one origin, if they have one, are drawn together."""
    is_piano, origins = songs["label"] == PIANO, songs.get("origin")
    return {
        "by majority vote": with_intervals(is_piano, songs["piano_probability"], songs["predicted_piano"], origins),
        "by mean probability": with_intervals(is_piano, songs["piano_probability"], groups=origins),
        "expected calibration error": calibration(is_piano, songs["piano_probability"])[1],
    }


def _judges(folder):
    """`folder_clips` of recordings that can choose a threshold: at least two pianos and two others."""
    clips, table = folder_clips(folder)
    n_pianos, n = table.groupby("recording")["label"].first().eq(PIANO).agg(["sum", "size"])
    if min(n_pianos, n - n_pianos) < 2:
        raise SourceError(
            "classes",
            f"{folder} holds {n_pianos} recordings of {PIANO} and {n - n_pianos} others; it needs two of each, in "
            "sub-folders, to judge by.",
        )
    return clips, table


def main(arguments=None):
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.learning.weights", description="Rebuild the model that ships."
    )
    parser.add_argument(
        "--out",
        type=parsing.path,
        help=f"the model file to write (default: the one that ships; without --dev-folder generated/{UNJUDGED.name})",
    )
    parser.add_argument(
        "--results",
        type=parsing.path,
        help="the figures to write, as JSON (default: those of the model that ships, or beside --out)",
    )
    parser.add_argument(
        "--data", type=parsing.path, default="data/generated/clips-weights", help="folder for the clips"
    )
    parser.add_argument("--sources", nargs="*", default=["all"], help="where the sound comes from (default: all)")
    parser.add_argument("--clips", type=parsing.count, default=150_000)
    parser.add_argument(
        "--train-folder",
        type=parsing.path,
        action="append",
        default=[],
        help="recordings of one's own to train on, by class",
    )
    parser.add_argument(
        "--dev-folder", type=parsing.path, help="whole recordings, by class, that choose the best epoch and calibrate"
    )
    parser.add_argument("--epochs", type=parsing.count, default=4)
    parser.add_argument("--seed", type=parsing.seed, default=0)
    options = parser.parse_args(arguments)
    out = Path(options.out) if options.out else MODEL_PATH if options.dev_folder else UNJUDGED
    results = options.results or (RESULTS if out == MODEL_PATH else out.with_suffix(".json"))
    try:
        judges = (
            _judges(options.dev_folder) if options.dev_folder else None
        )  # at once, so that a mistake shows before hours have passed
        out.parent.mkdir(parents=True, exist_ok=True)
        found = collection.recordings(
            options.sources, options.train_folder, folder_split="train" if options.train_folder else None
        )
        dataset.build(options.data, n_clips=options.clips, seed=options.seed, recordings=found)
        monitor = "recordings_loss" if options.dev_folder else "val_loss"
        model = train(
            options.data,
            f"{options.data}/model.npz",
            epochs=options.epochs,
            seed=options.seed,
            recordings=options.dev_folder,
            monitor=monitor,
            augment=hide_piano(),
        )
        clips, table = judges or dataset.load(options.data, "validation")[::2]
        scale, shift = calibrate(model, clips, table)
        figures = report(model, options.data, hard_songs.make(found), options.dev_folder)
    except PipelineError as error:
        print(f"weights: {error}", file=sys.stderr)
        return 1
    model.metadata = {
        "threshold": 0.5,
        "calibration": {"scale": scale, "shift": shift},
        "seed": options.seed,
        "clips": options.clips,
        "sources": options.sources,
        "dataset": dataset.fingerprint(options.data),
        "figures": figures,
    }
    model.save(out, include_optimizer=False)
    files.write_json(results, figures)
    print(json.dumps(figures, indent=1))
    if options.dev_folder:
        print(markdown(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
