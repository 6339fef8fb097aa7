"""From the probabilities of a song's clips to one answer: the majority vote and other ways to pool them, compared.

Songs are also cut into excerpts of a few seconds, since the ways differ most on short recordings.
"""

import numpy as np
import pandas as pd

from pipeline.learning.evaluation import binary_metrics, calibration, piano_probabilities, pooled_piano
from pipeline.song.recognition import PIANO, levels

QUIET = 0.1  # of the level of a song's loudest clip; the mean of loud clips leaves softer ones out

# Each takes the probability of piano and the level of every clip, float arrays (n,).
WAYS = {
    "majority vote": lambda probability, level: (probability > 0.5).mean(),
    "mean": lambda probability, level: probability.mean(),
    "mean of log odds": lambda probability, level: pooled_piano(probability, np.ones(len(level))),
    "mean by level": lambda probability, level: np.average(probability, weights=level),
    "mean of log odds by level": pooled_piano,  # the released model's
    "mean of loud clips": lambda probability, level: probability[level >= QUIET * level.max()].mean(),
    "median": lambda probability, level: np.median(probability),
}
OVERLAPPING = ", overlapping clips"  # after the name of a way: with a clip every half second
WAYS |= {name + OVERLAPPING: WAYS[name] for name in ("majority vote", "mean of log odds by level")}


def add_overlapping(model, clips, table):
    """The table that `compare` takes: a row for each clip, and one for the clip halfway between two of a recording.

    `clips` (n, samples) and `table` (a row a clip: recording, label, level, probability) are in the order of
    `folder_clips`. A clip between two others is the second half of the first and the first half of the second.
    """
    table = table.assign(place=table.groupby("recording").cumcount())
    pairs = np.flatnonzero(table["place"].diff() == 1) - 1  # the clips that have a next one in their recording
    half = clips.shape[1] // 2
    between = np.concatenate([clips[pairs, half:], clips[pairs + 1, :half]], axis=1)
    rows = table.iloc[pairs].assign(
        level=levels(between), probability=piano_probabilities(model, between), place=table["place"] + 0.5
    )
    return pd.concat([table, rows]).sort_index(kind="stable")


def compare(clips, lengths=(1, 3, 10, None)):
    """A row for each way and length of excerpts (seconds; None: whole songs), with its `binary_metrics`.

    `clips` has a row a clip: recording, label, level, probability (of piano) and place, its number in the recording. A
    clip with half a number lies between two others, and only the overlapping ways use it.
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
            row = {"way": name, "seconds": length or "all", **binary_metrics(is_piano, score)}
            rows.append(row | {"calibration_error": error})
    return pd.DataFrame(rows)
