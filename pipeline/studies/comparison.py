"""Models compared on the same clips: a simple baseline that knows nothing of time, and figures with their intervals."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nn import MelSpectrogram
from nn.data import to_float
from pipeline.learning.evaluation import with_intervals

BATCH = 256  # clips turned into pictures at once


def mean_spectrum(clips):
    """The mel spectrogram of each clip averaged over time: int16 or float (n, samples) -> float32 (n, mels), decibels."""
    layer = MelSpectrogram()
    layer.build(clips.shape[1:], None)
    parts = [
        layer.forward(to_float(clips[start : start + BATCH])).mean(axis=(1, 2)) for start in range(0, len(clips), BATCH)
    ]
    return np.concatenate(parts)


def logistic_regression(clips, is_piano):
    """A logistic regression on the mean spectrum; returns `score(clips)`, the probability of piano of each clip."""
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    regression.fit(mean_spectrum(clips), is_piano)
    return lambda clips: regression.predict_proba(mean_spectrum(clips))[:, 1]


def compare(scores, is_piano, recordings, thresholds=None):
    """A table of models: `evaluation.binary_figures` of each, and FIGURE_low and FIGURE_high of each figure.

    Parameters
    ----------
    scores : dict of model to float array (n,), the probability of piano
    is_piano : bool array (n,)
    recordings : array (n,) of the clips' recordings
        They are drawn whole for the 95 % bootstrap intervals.
    thresholds : dict of model to threshold, 0.5 where it is missing
    """
    table = {}
    for name, score in scores.items():
        figures = with_intervals(is_piano, score, score > (thresholds or {}).get(name, 0.5), recordings)
        ends = figures.pop("intervals")
        low, high = (
            {f"{figure}_{end}": pair[i] for figure, pair in ends.items()} for i, end in enumerate(("low", "high"))
        )
        table[name] = figures | low | high
    return pd.DataFrame(table).T.rename_axis("model")
