"""From the clips of a song to one answer: ways to put the probabilities of its seconds together, compared.

Songs are also cut into excerpts of a few seconds, since short recordings are where the ways differ.
"""

import numpy as np
import pandas as pd

from pipeline.learning.evaluation import binary_figures, calibration, piano_probabilities, pooled_piano
from pipeline.song.recognition import PIANO, levels

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
    "majority vote": majority,
    "mean": mean,
    "mean of log odds": log_odds,
    "mean by level": weighted,
    "mean of log odds by level": weighted_log_odds,
    "mean of loud clips": loud,
    "median": median,
}
OVERLAPPING = ", overlapping clips"  # after the name of a way: with a clip every half second
WAYS |= {name + OVERLAPPING: WAYS[name] for name in ("majority vote", "mean of log odds by level")}


def overlapped(model, clips, table):
    """What `compare` takes: each clip and, between every two of a recording, one of half the one and half the other.

    `clips` (n, samples) and `table`, a row a clip: recording, label, level, probability (of piano), are in the order of the
    songs, as `folder_clips` gives them. Where silence was left out, a clip between bridges it as clips do.
    """
    table = table.assign(place=table.groupby("recording").cumcount())
    pairs = np.flatnonzero(table["place"].diff() == 1) - 1  # the clips that another one of their recording follows
    half = clips.shape[1] // 2
    between = np.concatenate([clips[pairs, half:], clips[pairs + 1, :half]], axis=1)
    rows = table.iloc[pairs].assign(
        level=levels(between), probability=piano_probabilities(model, between), place=table["place"] + 0.5
    )
    return pd.concat([table, rows]).sort_index(kind="stable")


def compare(clips, lengths=(1, 3, 10, None)):
    """A row for each way and length of excerpts (seconds; None: whole songs), with the figures of `binary_figures`.

    `clips` has a row a clip: recording, label, level, probability (of piano), and place, its number in the recording;
    clips with half a number lie between two others and count only for the ways called overlapping.
    """
    rows = []
    for length in lengths:
        first, last = (each(clips["place"]) // (length or np.inf) for each in (np.floor, np.ceil))
        inside = clips.assign(excerpt=first)[first == last]
        for name, way in WAYS.items():
            used = inside if name.endswith(OVERLAPPING) else inside[inside["place"] % 1 == 0]
            songs = [song for _, song in used.groupby(["recording", "excerpt"], sort=False)]
            is_piano = np.array([song["label"].iloc[0] == PIANO for song in songs])
            score = np.array([way(song["probability"].to_numpy(), song["level"].to_numpy()) for song in songs])
            error = calibration(is_piano, score)[1]
            rows.append(
                {"way": name, "seconds": length or "all", **binary_figures(is_piano, score), "calibration_error": error}
            )
    return pd.DataFrame(rows)
