"""From the clips of a song to one answer: ways to put the probabilities of its seconds together, compared.

Songs are also cut into excerpts of a few seconds, since short recordings are where the ways differ.
"""

import numpy as np
import pandas as pd

from pipeline.learning.evaluation import binary_figures, calibration, pooled_piano
from pipeline.recognition import PIANO

QUIET = 0.1  # of the loudest second of a song, for the way that leaves softer seconds out


def majority(probability, level):
    """The share of the clips that vote for piano."""
    return (probability > 0.5).mean()


def mean(probability, level):
    """The mean probability."""
    return probability.mean()


def log_odds(probability, level):
    """The probability at the mean of the log odds."""
    return weighted_log_odds(probability, np.ones(len(level)))


def weighted_log_odds(probability, level):
    """The same, weighted by the clips' effective values: what `Recognizer` gives."""
    return pooled_piano(probability, level)


def weighted(probability, level):
    """The mean probability, weighted by the clips' effective values."""
    return np.average(probability, weights=level)


def loud(probability, level):
    """The mean probability of the clips that are not far softer than the loudest."""
    return probability[level >= QUIET * level.max()].mean()


def median(probability, level):
    """The median probability."""
    return np.median(probability)


WAYS = {
    "majority vote": majority, "mean": mean, "mean of log odds": log_odds, "mean by level": weighted,
    "mean of log odds by level": weighted_log_odds, "mean of loud clips": loud, "median": median,
}


def compare(table, probability, lengths=(1, 3, 10, None)):
    """A row for each way and length of excerpts (seconds; None: whole songs), with the figures of `binary_figures`.

    `table` has a row a clip with recording, label and level, in the order of the songs, as `folder_clips` gives it;
    `probability` is that of piano.
    """
    clips = table[["recording", "label", "level"]].assign(probability=probability)
    place = clips.groupby("recording").cumcount()
    rows = []
    for length in lengths:
        songs = [group for _, group in clips.groupby(["recording", place // length if length else 0 * place], sort=False)]
        is_piano = np.array([song["label"].iloc[0] == PIANO for song in songs])
        for name, way in WAYS.items():
            score = np.array([way(song["probability"].to_numpy(), song["level"].to_numpy()) for song in songs])
            error = calibration(is_piano, score)[1]
            rows.append({"way": name, "seconds": length or "all", **binary_figures(is_piano, score), "calibration_error": error})
    return pd.DataFrame(rows)
