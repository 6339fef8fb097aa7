"""Threshold and number of voting clips against precision and recall of recordings."""

import ipywidgets
import numpy as np
import pandas as pd

from pipeline.figures import style, voting
from pipeline.learning.evaluation import binary_metrics, by_recording, exact_interval
from pipeline.song.recognition import PIANO

THRESHOLDS = np.linspace(0.05, 0.95, 19)


def voters(table, n_clips, seed=0):
    """The rows (n,) of `table` that vote: up to `n_clips` of each recording, drawn at random."""
    order = np.random.default_rng(seed).permutation(len(table))
    place = table.iloc[order].groupby("recording").cumcount().to_numpy()
    return np.sort(order[place < n_clips])


def over_thresholds(table, probabilities, n_clips, thresholds=THRESHOLDS):
    """Precision and recall of recordings when up to `n_clips` clips of each vote: a row a threshold.

    `table` has a row a clip: recording, label. Precision is NaN where no recording is called piano.
    """
    rows = voters(table, n_clips)
    found = []
    for threshold in thresholds:
        songs = by_recording(table.iloc[rows][["recording", "label"]], probabilities[rows], threshold)
        is_piano, predicted = songs["label"] == PIANO, songs["predicted_piano"]
        row = {"threshold": threshold} | binary_metrics(is_piano, songs["piano_probability"], predicted)
        row |= {"n_predicted": int(predicted.sum()), "n_right": int((predicted & is_piano).sum())}
        found.append(row | ({} if predicted.any() else {"precision": np.nan}))
    return pd.DataFrame(found)


def show(table, probabilities, threshold, n_clips):
    """Show the figure for one choice, and its numbers with exact 95 % intervals."""
    curves = over_thresholds(table, probabilities, n_clips)
    chosen = curves.loc[(curves["threshold"] - threshold).abs().idxmin()]
    right, texts = int(chosen["n_right"]), []
    for name, column in (("precision", "n_predicted"), ("recall", "n_piano")):
        n = int(chosen[column])
        low, high = exact_interval(right, n)
        texts.append(f"{name} {right} of {n} ({low:.0%} to {high:.0%})")
    clips = "one clip votes" if n_clips == 1 else f"up to {n_clips} clips vote"
    words = f"Threshold {threshold:.2f}, {clips}: {', '.join(texts)}."
    style.publish(voting.precision_and_recall(curves, threshold), words)
    print(words)


def choose(table, probabilities, threshold=0.5, n_clips=9):
    """Two sliders, for the threshold and the number of voting clips, and what `show` makes of them."""
    most = int(table.groupby("recording").size().max())
    wide = {"style": {"description_width": "initial"}, "continuous_update": False}
    return ipywidgets.interactive(
        lambda threshold, n_clips: show(table, probabilities, threshold, n_clips),
        threshold=ipywidgets.FloatSlider(threshold, min=0.05, max=0.95, step=0.05, description="Threshold", **wide),
        n_clips=ipywidgets.IntSlider(min(n_clips, most), min=1, max=most, description="Voting clips", **wide),
    )
