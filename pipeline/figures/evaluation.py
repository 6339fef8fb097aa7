"""Figures of an evaluation: thresholds, calibration, mistakes, models compared, and a confusion matrix."""

import itertools
import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import f1_score, precision_score, recall_score, roc_curve

from pipeline.figures.sound import draw_mel
from pipeline.figures.style import BLUE, DARK, DASHED, GREEN, GREY, LIGHT, ORANGE, WIDTH, class_color, horizontal_bars

METRICS = {"balanced_accuracy": "Balanced accuracy", "f1": "F1 of piano", "auc": "AUC"}


def thresholds(is_piano, score, chosen):
    """The ROC curve, and precision, recall and F1 over the threshold; a dot and a line mark the `chosen` one."""
    is_piano, score = np.asarray(is_piano, bool), np.asarray(score, float)
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.9), width_ratios=(1, 1.4))
    false_positives, true_positives, _ = roc_curve(is_piano, score)
    left.plot(false_positives, true_positives, color=BLUE)
    left.plot((0, 1), (0, 1), **DASHED)
    left.plot(np.mean(score[~is_piano] > chosen), np.mean(score[is_piano] > chosen), "o", color=ORANGE, markersize=6)
    left.set(
        xlabel="False positive rate", ylabel="True positive rate", title="ROC", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02)
    )
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
    """The frequency of pianos over the predicted probability, with intervals.

    `bins` and `error`: of `evaluation.calibration`, with low and high, the ends of an interval of each frequency.
    """
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(WIDTH * 0.6, 3.7), sharex=True, height_ratios=(3, 1))
    top.plot((0, 1), (0, 1), **DASHED, label="perfect")
    top.vlines(bins["probability"], bins["low"], bins["high"], color=BLUE, linewidth=2, alpha=0.5)
    top.plot(bins["probability"], bins["frequency"], "o-", color=BLUE, label=f"expected calibration error {error:.3f}")
    top.set(ylabel="Frequency of piano", ylim=(-0.03, 1.03))
    top.legend(loc="upper left")
    bottom.bar(bins["probability"], bins["n"], width=0.06, color=LIGHT, edgecolor=GREY)
    bottom.set(ylabel="Clips", xlabel="Predicted probability of piano", xlim=(-0.03, 1.03))
    for ax in (top, bottom):
        ax.grid()
    return figure


def shares(table, what="Clips"):
    """The share of each sound that is classified as piano, with intervals: a bar a row, sorted.

    `table`: index name; label, n (the number of `what`), share, low, high.
    """
    shown = table.sort_values("share")
    figure, ax = plt.subplots(figsize=(WIDTH, 0.2 * len(shown) + 0.8))
    names = [f"{name}  ({n:,})" for name, n in zip(shown.index, shown["n"])]
    horizontal_bars(ax, names, shown["share"], [class_color(label) for label in shown["label"]])
    ax.hlines(range(len(shown)), shown["low"], shown["high"], color=DARK, linewidth=1.2)
    for place, row in enumerate(shown.itertuples()):
        ax.annotate(f"{row.share:.1%}", (row.high, place), (4, 0), textcoords="offset points", va="center", fontsize=7)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set(xlim=(0, 1.12), xlabel=f"{what} classified as piano")
    ax.grid(axis="x")
    return figure


def mistakes(cases, features):
    """The picture of each case, and below it what speaks for the answer that was given.

    `cases`: list of (words, picture, occlusion), the latter two (frames, mels); see `pipeline.studies.tracing`.
    """
    columns = min(len(cases), 4)
    rows = -(-len(cases) // columns)
    figure, axes = plt.subplots(2 * rows, columns, figsize=(WIDTH, 3.5 * rows), sharex=True, sharey=True, squeeze=False)
    pairs = [(axes[row, column], axes[row + 1, column]) for row in range(0, 2 * rows, 2) for column in range(columns)]
    for (top, bottom), (words, picture, occlusion) in zip(pairs, cases):
        draw_mel(top, picture, features)
        top.set_title("\n".join(textwrap.fill(line, 27) for line in words.splitlines()), fontsize=7, weight="normal")
        peak = np.abs(occlusion).max()
        draw_mel(bottom, occlusion, features, cmap="RdBu_r", vmin=-peak, vmax=peak)
        bottom.set(xlabel="Time (s)", xticks=(0, 0.5, 1))
    for ax in itertools.chain.from_iterable(pairs[len(cases) :]):
        ax.axis("off")
    for row in range(rows):
        axes[2 * row, 0].set_ylabel("Picture\nFrequency (Hz)")
        axes[2 * row + 1, 0].set_ylabel("Occlusion\nFrequency (Hz)")
    return figure


def screening(table):
    """The networks that were tried: the AUC of the seconds of real recordings, a row a variant and a dot a run.

    `table`: a row a run, in its last epoch, with variant, clips, dataset, released (bool), parameters and
    recordings_clips_auc.
    """
    variants = table.groupby("variant")["recordings_clips_auc"].max().sort_values().index
    figure, ax = plt.subplots(figsize=(WIDTH, 0.34 * len(variants) + 0.9))
    kinds = {
        "all clips, dataset of the released network": (table["released"] & (table["clips"] == "all"), BLUE, "o"),
        "some clips, the same dataset": (table["released"] & (table["clips"] != "all"), BLUE, "s"),
        "all clips, other datasets": (~table["released"] & (table["clips"] == "all"), ORANGE, "o"),
        "some clips, other datasets": (~table["released"] & (table["clips"] != "all"), ORANGE, "s"),
    }
    for label, (rows, color, marker) in kinds.items():
        part = table[rows]
        places = [variants.get_loc(name) for name in part["variant"]]
        look = {"color": color, "markersize": 6, "alpha": 0.8, "linestyle": "none"}
        ax.plot(part["recordings_clips_auc"], places, marker, label=label, **look)
    names = [textwrap.fill(name.replace("recognizer", "network"), 44) for name in variants]
    ax.set_yticks(range(len(variants)), names, fontsize=7)
    ax.set(xlabel="AUC of the seconds of real recordings, last epoch")
    ax.grid()
    figure.legend(loc="outside lower center", ncols=2, fontsize=7)
    return figure


def comparison(table):
    """Models compared, with intervals. `table`: index model; for each of METRICS its value, METRIC_low, METRIC_high."""
    figure, axes = plt.subplots(1, len(METRICS), figsize=(WIDTH, 0.36 * len(table) + 0.8), sharey=True)
    places = np.arange(len(table))
    for ax, (metric, title) in zip(axes, METRICS.items()):
        ax.hlines(places, table[f"{metric}_low"], table[f"{metric}_high"], color=BLUE, linewidth=2)
        ax.plot(table[metric], places, "o", color=BLUE, markersize=6)
        ax.set(title=title, yticks=places, yticklabels=table.index, xlim=(None, 1.01))
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
    axes[0].set_ylim(len(table) - 0.5, -0.5)
    return figure


def confusion(counts):
    """A confusion matrix, coloured by each row's shares. `counts`: DataFrame, rows the class, columns the label."""
    shares = counts.to_numpy() / counts.sum(axis=1).clip(lower=1).to_numpy()[:, None]
    size = min(WIDTH, 0.42 * len(counts) + 1.6)
    figure, ax = plt.subplots(figsize=(size, size - 0.2))
    colors = LinearSegmentedColormap.from_list("share", ["white", BLUE])
    ax.imshow(shares, cmap=colors, vmin=0, vmax=1, aspect="equal", interpolation="none")
    for row, column in zip(*counts.to_numpy().nonzero()):
        color = "white" if shares[row, column] > 0.55 else DARK
        ax.text(column, row, counts.iat[row, column], ha="center", va="center", fontsize=8, color=color)
    ax.set(
        yticks=range(len(counts)),
        yticklabels=counts.index,
        xlabel="Label (what the network says)",
        ylabel="Class (what it is)",
    )
    ax.set_xticks(range(len(counts)), counts.index, rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    return figure


def disagreements(names, labels, timelines):
    """The probability of piano second by second, a strip a song; `labels` are what people said."""
    figure, axes = plt.subplots(len(names), 1, figsize=(WIDTH, 0.62 * len(names) + 0.6), squeeze=False)
    for ax, name, label, timeline in zip(axes[:, 0], names, labels, timelines):
        seconds = np.arange(len(timeline) + 1)
        ax.stairs(timeline, seconds, baseline=0.5, fill=True, color=class_color(label))
        ax.axhline(0.5, **DASHED)
        ax.set(xlim=(0, len(timeline)), ylim=(0, 1), yticks=(0, 1), yticklabels=("Other", "Piano"))
        ax.set_title(f"{name}   people: {label}", fontsize=7, loc="left", pad=2)
    axes[-1, 0].set_xlabel("Seconds")
    return figure
