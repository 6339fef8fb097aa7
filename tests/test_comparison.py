"""The baseline learns from the mean spectrum, and intervals are wider where clips come from few recordings."""

import numpy as np
import pytest

from pipeline.studies.comparison import compare, logistic_regression, mean_spectrum


def tones(frequencies, seed=0):
    time = np.arange(16_000) / 16_000
    noise = np.random.default_rng(seed).normal(0, 0.01, (len(frequencies), 16_000))
    return ((0.3 * np.sin(2 * np.pi * np.outer(frequencies, time)) + noise) * 32767).astype(np.int16)


def test_mean_spectrum_peaks_where_the_tone_is():
    low, high = mean_spectrum(tones([300, 3000]))
    assert low.shape == (128,)
    assert low.argmax() < high.argmax()


def test_logistic_regression_classifies_unseen_low_and_high_tones():
    rng = np.random.default_rng(0)
    low, high = rng.uniform(200, 400, 20), rng.uniform(2000, 4000, 20)
    score = logistic_regression(tones([*low, *high]), np.repeat([True, False], 20))
    assert (score(tones([250, 350], seed=1)) > 0.5).all()
    assert (score(tones([2500, 3500], seed=1)) < 0.5).all()


def test_intervals_are_drawn_over_recordings():
    rng = np.random.default_rng(0)
    is_piano = np.arange(400) % 2 == 0
    correct = rng.random(20) < 0.7  # all clips of a recording are classified correctly, or none
    recordings = np.arange(400) // 20
    score = np.where(correct[recordings] == is_piano, 0.9, 0.1)
    few = compare({"model": score}, is_piano, recordings).loc["model"]
    many = compare({"model": score}, is_piano, np.arange(400)).loc["model"]
    assert few["balanced_accuracy"] == many["balanced_accuracy"] == pytest.approx(correct.mean())
    assert few["balanced_accuracy_low"] < few["balanced_accuracy"] < few["balanced_accuracy_high"]
    width_few, width_many = (row["balanced_accuracy_high"] - row["balanced_accuracy_low"] for row in (few, many))
    assert width_few > 2 * width_many
    assert width_many == pytest.approx(2 * 1.96 * np.sqrt(correct.mean() * (1 - correct.mean()) / 400), rel=0.1)  # 95 %


def test_a_threshold_of_its_own():
    is_piano, score = np.array([True, False] * 5), np.array([0.4, 0.2] * 5)
    table = compare({"a": score, "b": score}, is_piano, np.arange(10), thresholds={"b": 0.3})
    assert table.loc["a", "recall"] == 0
    assert table.loc["b", "recall"] == 1
