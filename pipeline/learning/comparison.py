"""Models compared on the same clips: a simple baseline that knows nothing of time, and figures with their intervals."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nn import MelSpectrogram
from nn.data import to_float
from pipeline.learning.evaluation import binary_figures

BATCH = 256  # clips turned into pictures at once


def mean_spectrum(clips):
    """The mel spectrogram of each clip averaged over time: int16 or float (n, samples) -> float32 (n, mels), decibels."""
    layer = MelSpectrogram()
    layer.build(clips.shape[1:], None)
    parts = [layer.forward(to_float(clips[start : start + BATCH])).mean(axis=(1, 2)) for start in range(0, len(clips), BATCH)]
    return np.concatenate(parts)


def logistic_regression(clips, is_piano):
    """A logistic regression on the mean spectrum; returns `score(clips)`, the probability of piano of each clip."""
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    regression.fit(mean_spectrum(clips), is_piano)
    return lambda clips: regression.predict_proba(mean_spectrum(clips))[:, 1]


def compare(scores, is_piano, recordings, thresholds=None, n_draws=500, seed=0):
    """A table of models: `evaluation.binary_figures` of each, and FIGURE_low and FIGURE_high of each figure.

    Parameters
    ----------
    scores : dict of model to float array (n,), the probability of piano
    is_piano : bool array (n,)
    recordings : array (n,) of the clips' recordings
        Clips of one recording resemble each other, so the 95 % bootstrap intervals come from drawing whole recordings.
    thresholds : dict of model to threshold, 0.5 where it is missing
    """
    rng, codes = np.random.default_rng(seed), pd.factorize(np.asarray(recordings))[0]
    rows_of = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    draws = [np.concatenate([rows_of[i] for i in rng.integers(len(rows_of), size=len(rows_of))]) for _ in range(n_draws)]
    draws = [rows for rows in draws if 0 < is_piano[rows].sum() < len(rows)]
    table = {}
    for name, score in scores.items():
        threshold = (thresholds or {}).get(name, 0.5)
        drawn = pd.DataFrame([binary_figures(is_piano[rows], score[rows], threshold) for rows in draws])
        low, high = (drawn.quantile(q).drop(["n", "n_piano"]) for q in (0.025, 0.975))
        table[name] = binary_figures(is_piano, score, threshold) | low.add_suffix("_low").to_dict() | high.add_suffix("_high").to_dict()
    return pd.DataFrame(table).T.rename_axis("model")
