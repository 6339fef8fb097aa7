"""Figures of an evaluation: thresholds, calibration, what is taken for a piano, mistakes, and models compared."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import f1_score, precision_score, recall_score, roc_curve

from pipeline.figures.sound import draw_mel
from pipeline.figures.style import BLUE, CLASS_COLORS, DARK, GREEN, GREY, LIGHT, ORANGE, WIDTH


def thresholds(is_piano, score, chosen=0.5):
    """The ROC curve, and precision, recall and F1 over the threshold; the dot and the line mark the `chosen` one."""
    is_piano, score = np.asarray(is_piano, bool), np.asarray(score, float)
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.9), width_ratios=(1, 1.4))
    false_positives, true_positives, _ = roc_curve(is_piano, score)
    left.plot(false_positives, true_positives, color=BLUE)
    left.plot((0, 1), (0, 1), color=GREY, linewidth=0.8, linestyle=(0, (2, 2)))
    left.plot(np.mean(score[~is_piano] > chosen), np.mean(score[is_piano] > chosen), "o", color=ORANGE, markersize=6)
    left.set(xlabel="Other taken for piano", ylabel="Piano found", title="ROC", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    grid = np.linspace(0.01, 0.99, 99)
    lines = {
        "precision": (precision_score, BLUE, "-"),
        "recall": (recall_score, ORANGE, "--"),
        "F1": (f1_score, GREEN, "-."),
    }
    for name, (function, color, style) in lines.items():
        values = [function(is_piano, score > threshold, zero_division=np.nan) for threshold in grid]
        right.plot(grid, values, color=color, linestyle=style, label=name)
    right.axvline(chosen, color=DARK, linewidth=0.8, label="chosen")
    right.set(xlabel="Threshold", title="Over the threshold", xlim=(0, 1), ylim=(0, 1.02))
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=4)
    for ax in (left, right):
        ax.grid()
    return figure


def reliability(bins, error):
    """How often it was a piano where the model said so with a probability. `bins` and `error`: of `evaluation.calibration`."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(WIDTH * 0.6, 3.7), sharex=True, height_ratios=(3, 1))
    top.plot((0, 1), (0, 1), color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), label="perfect")
    top.plot(bins["probability"], bins["frequency"], "o-", color=BLUE, label=f"expected calibration error {error:.3f}")
    top.set(ylabel="It was a piano", ylim=(-0.03, 1.03))
    top.legend(loc="upper left")
    bottom.bar(bins["probability"], bins["n"], width=0.06, color=LIGHT, edgecolor=GREY)
    bottom.set(ylabel="Clips", xlabel="Probability of piano, as the model says", xlim=(-0.03, 1.03))
    for ax in (top, bottom):
        ax.grid()
    return figure


def shares(table, limit=18, what="Clips"):
    """How much of each sound is taken for piano: a bar a row, sorted. `table`: index name; label, n (of `what`), share."""
    shown = table.sort_values("share").tail(limit)
    figure, ax = plt.subplots(figsize=(WIDTH, 0.2 * len(shown) + 0.8))
    places = np.arange(len(shown))
    ax.barh(places, shown["share"], color=[CLASS_COLORS.get(label, GREY) for label in shown["label"]], height=0.66)
    ax.set_yticks(places, [f"{name}  ({n:,})" for name, n in zip(shown.index, shown["n"])])
    for place, share in zip(places, shown["share"]):
        ax.annotate(
            f"{share:.1%}",
            (share, place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=DARK,
        )
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set(xlim=(0, 1.08), xlabel=f"{what} taken for piano")
    ax.grid(axis="x")
    ax.margins(y=0.01)
    return figure


def mistakes(cases, features):
    """The picture of each case, and where the answer would change fastest: the size of the saliency.

    `cases`: list of (words, picture, saliency), the latter two (frames, mels).
    """
    figure, axes = plt.subplots(2, len(cases), figsize=(WIDTH, 3.5), sharex=True, sharey=True, squeeze=False)
    for (top, bottom), (words, picture, saliency) in zip(axes.T, cases):
        draw_mel(top, picture, features)
        top.set_title("\n".join(textwrap.fill(line, 27) for line in words.splitlines()), fontsize=7, weight="normal")
        strength = np.abs(saliency) / np.quantile(np.abs(saliency), 0.995)
        draw_mel(bottom, np.clip(strength, 0, 1), features, cmap="Greys", vmin=0, vmax=1)
        bottom.set(xlabel="Time (s)", xticks=(0, 0.5, 1))
    axes[0, 0].set_ylabel("Picture\nFrequency (Hz)")
    axes[1, 0].set_ylabel("Saliency\nFrequency (Hz)")
    return figure


def comparison(table, figures=("balanced_accuracy", "f1", "auc")):
    """Models side by side with 95 % intervals. `table`: index model; for each figure its value, FIGURE_low and FIGURE_high."""
    words = {"balanced_accuracy": "Balanced accuracy", "f1": "F1 of piano", "auc": "AUC"}
    figure, axes = plt.subplots(1, len(figures), figsize=(WIDTH, 0.36 * len(table) + 0.8), sharey=True)
    places = np.arange(len(table))
    for ax, name in zip(axes, figures):
        for place, (_, row) in zip(places, table.iterrows()):
            ax.plot((row[f"{name}_low"], row[f"{name}_high"]), (place, place), color=BLUE, linewidth=2)
            ax.plot(row[name], place, "o", color=BLUE, markersize=6)
        ax.set(title=words.get(name, name), yticks=places, yticklabels=table.index, xlim=(None, 1.01))
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
    axes[0].set_ylim(len(table) - 0.5, -0.5)
    return figure
