"""Models compared on the same clips: a simple baseline without any notion of time, and metrics with their intervals."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nn import MelSpectrogram
from nn.data import to_float
from pipeline.learning.evaluation import with_intervals

BATCH = 256  # clips


def mean_spectrum(clips):
    """The mean over time of each clip's mel spectrogram: (n, samples) -> float32 (n, mels), in decibels."""
    layer = MelSpectrogram()
    layer.build(clips.shape[1:], None)
    batches = (to_float(clips[start : start + BATCH]) for start in range(0, len(clips), BATCH))
    return np.concatenate([layer.forward(batch).mean(axis=(1, 2)) for batch in batches])


def logistic_regression(clips, is_piano):
    """A logistic regression on the mean spectrum; returns `score(clips)`, the probability of piano of each clip."""
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    regression.fit(mean_spectrum(clips), is_piano)
    return lambda clips: regression.predict_proba(mean_spectrum(clips))[:, 1]


def compare(scores, is_piano, recordings, thresholds=None):
    """A table of models: `evaluation.binary_metrics` of each, and METRIC_low and METRIC_high of each metric.

    Parameters
    ----------
    scores : dict of model to float array (n,), the probability of piano
    is_piano : bool array (n,)
    recordings : array (n,) of the clips' recordings
        The 95 % intervals are those of bootstrap resamples over recordings.
    thresholds : dict of model to threshold, 0.5 where it is missing
    """
    table = {}
    for name, score in scores.items():
        predicted = score > (thresholds or {}).get(name, 0.5)
        row = with_intervals(is_piano, score, predicted, recordings)
        for metric, (low, high) in row.pop("intervals").items():
            row |= {f"{metric}_low": low, f"{metric}_high": high}
        table[name] = row
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("model")
