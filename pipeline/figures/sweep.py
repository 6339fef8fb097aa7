"""Figures of a search for hyperparameters: its trials, the importance of each parameter, and the best combinations."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipeline.figures.style import BLUE, CYCLE, DARK, DASHED, GREY, ORANGE, WIDTH, horizontal_bars

BEST = 5  # trials drawn in colour
WORDS = {
    "filter_shape": "filter\nshape",
    "pool_size": "pool\nsize",
    "filters": "filters",
    "depth": "depth",
    "dropout": "dropout\nrate",
    "batch_size": "batch\nsize",
    "learning_rate": "learning\nrate",
}


def history(trials):
    """The value of each trial, the best so far as a line; pruned trials are hollow.

    `trials`: a row a trial with value, state ("COMPLETE" or "PRUNED") and the parameters.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 2.6))
    done = trials["state"] == "COMPLETE"
    for rows, fill, color, label in ((done, BLUE, BLUE, "complete"), (~done, "white", GREY, "pruned")):
        look = {"color": color, "markerfacecolor": fill, "markersize": 4.5, "label": label}
        ax.plot(trials.index[rows], trials.loc[rows, "value"], "o", **look)
    ax.step(trials.index, trials["value"].where(done).cummax().ffill(), where="post", color=ORANGE, label="best so far")
    ax.axhline(0.5, **DASHED, label="chance level")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="Trial", ylabel="Validation accuracy")
    ax.grid(axis="y")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def importance(importances, n_trials):
    """The share of the variance between `n_trials` that each parameter explains. `importances`: name to share."""
    names = list(importances)[::-1]
    figure, ax = plt.subplots(figsize=(WIDTH * 0.7, 0.26 * len(names) + 0.7))
    words = [WORDS[name].replace("\n", " ") for name in names]
    horizontal_bars(ax, words, [importances[name] for name in names])
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlabel(f"Share of the variance between {n_trials} complete trials")
    ax.grid(axis="x")
    return figure


def parallel_coordinates(trials, names):
    """A line a trial through its parameters `names` to its value; the best in colour."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.2))
    places = np.arange(len(names) + 1)
    columns = [_scaled(trials[name]) for name in (*names, "value")]
    heights = np.array([scaled for scaled, _ in columns])
    # a little noise, so that lines through the same values can be told apart
    heights[:-1] += np.random.default_rng(0).uniform(-0.012, 0.012, heights[:-1].shape)
    for rank, row in enumerate(np.argsort(-trials["value"].to_numpy())):
        is_best = rank < BEST
        look = {"color": CYCLE[rank], "linewidth": 1.8} if is_best else {"color": GREY, "linewidth": 0.6, "alpha": 0.45}
        ax.plot(places, heights[:, row], zorder=3 if is_best else 2, **look)
    look = {"ha": "right", "va": "center", "fontsize": 7, "color": DARK, "zorder": 4}
    box = {"facecolor": "white", "linewidth": 0, "alpha": 0.75, "pad": 0.6}
    for place, (_, ticks) in zip(places, columns):
        ax.axvline(place, color=DARK, linewidth=0.8, zorder=1)
        for height, text in ticks:
            ax.text(place - 0.04, height, text, bbox=box, **look)
    ax.set_xticks(places, [*(WORDS[name] for name in names), "validation\naccuracy"])
    ax.tick_params(axis="x", length=0)
    ax.set(yticks=(), xlim=(-0.5, len(names) + 0.15), ylim=(-0.05, 1.05))
    ax.spines[:].set_visible(False)
    return figure


def _scaled(values):
    """Values between 0 and 1, and the ticks (height, text) of their axis."""
    distinct = sorted(values.unique(), key=lambda value: (str(type(value)), value))
    if len(distinct) <= 7:
        heights = {value: number / max(len(distinct) - 1, 1) for number, value in enumerate(distinct)}
        words = [f"{value:.2g}" if isinstance(value, float) else str(value) for value in distinct]
        return values.map(heights).to_numpy(float), list(zip(heights.values(), words))
    numbers = values.to_numpy(float)
    is_rate = numbers.min() > 0 and numbers.max() / numbers.min() > 20
    shown = np.log(numbers) if is_rate else numbers
    low, high = shown.min(), shown.max()
    ticks = [(part, low + part * (high - low)) for part in (0, 0.25, 0.5, 0.75, 1)]
    words = [(part, f"{np.exp(tick):.1e}" if is_rate else f"{tick:.3f}") for part, tick in ticks]
    return (shown - low) / (high - low), words


def finalists(table):
    """Accuracy of networks on unseen sources, a point a seed, with their mean. `table`: network, test_accuracy."""
    names = list(dict.fromkeys(table["network"]))
    figure, ax = plt.subplots(figsize=(WIDTH, 0.45 * len(names) + 0.8))
    for place, name in enumerate(names):
        values = table.loc[table["network"] == name, "test_accuracy"]
        ax.plot(values, [place] * len(values), "o", color=CYCLE[place], markersize=6, alpha=0.7)
        ax.plot(values.mean(), place, "|", color=DARK, markersize=16, markeredgewidth=2)
    ax.set_yticks(range(len(names)), names)
    ax.set(ylim=(len(names) - 0.5, -0.5), xlabel="Accuracy on unseen sources, a point a seed, a bar their mean")
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    ax.grid(axis="x")
    return figure
