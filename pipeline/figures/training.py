"""Figures of training: curves over seeds, networks compared, and the filters and outputs of a trained network."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, MultipleLocator, NullFormatter, PercentFormatter

from pipeline.figures.sound import draw_mel
from pipeline.figures.style import CYCLE, DARK, DASHED, GREY, WIDTH

# These networks look the same in every figure.
NETWORKS = ("thesis network", "dense, samples", "dense, normalised decibels", "dense, raw decibels")
CHANCE = {"loss": np.log(2), "accuracy": 0.5}  # chance level, for two equally frequent classes
LIMITS = {"loss": (0, 1.3), "accuracy": (0.42, 1.0)}
N_MAPS = 8  # of each layer
MARKERS = "osD^vPX"
STYLES = ("-", "--", "-.", (0, (5, 1)), ":", (0, (1, 1)))


def learning_curves(curves, epochs, quantity, highlight=None):
    """Loss or accuracy of networks: on training batches, and on validation clips after each epoch, by protocol.

    Parameters
    ----------
    curves, epochs : the tables of `pipeline.studies.experiments`, of runs with one schedule
    quantity : "loss" or "accuracy"
    highlight : names of networks, optional
        All others are drawn in grey.

    A thin line is one seed, a thick one the mean of all. Lines that leave a panel go on beyond its scale.
    """
    protocols = list(dict.fromkeys(epochs["protocol"]))
    figure, axes = plt.subplots(1, 1 + len(protocols), figsize=(WIDTH, 2.7), sharey=True)
    training = curves[curves["protocol"] == protocols[0]]
    panels = [("Training, by batches", training, quantity)]
    panels += [(f"Validation, {name}", epochs[epochs["protocol"] == name], f"val_{quantity}") for name in protocols]
    last, labels = int(epochs["epoch"].max()), {}
    for ax, (title, table, column) in zip(axes, panels):
        for name, number in _numbers(table["network"]).items():
            color = CYCLE[number] if highlight is None or name in highlight else GREY
            look = {"color": color, "linestyle": STYLES[number], "zorder": 2 if color == GREY else 3}
            runs = [run for _, run in table[table["network"] == name].groupby("seed")]
            for run in runs:
                ax.plot(run["epoch"], run[column], **look | {"linestyle": "-", "linewidth": 0.5, "alpha": 0.45})
            place, mean = (np.mean([run[each] for run in runs], axis=0) for each in ("epoch", column))
            marker = {} if table is training else {"marker": MARKERS[number], "markersize": 4}
            ax.plot(place, mean, linewidth=1.8, label=name, **look, **marker)
            labels[name] = (np.clip(mean[-1], *LIMITS[quantity]), color)
        ax.axhline(CHANCE[quantity], **DASHED)
        ax.grid(axis="y")
        ax.set(title=title, xlabel="Epochs", xlim=(0, last), xticks=range(last + 1), ylim=LIMITS[quantity])
    axes[0].set_ylabel(quantity.capitalize())
    if quantity == "accuracy":
        axes[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _label_ends(axes[-1], last, labels | {"chance level": (CHANCE[quantity], DARK)})
    return figure


def _label_ends(ax, x, labels):
    """Write names beside the ends of lines; `labels`: dict of name to (height, colour). Names keep a distance."""
    low, high = ax.get_ylim()
    places, gap = sorted((y, name) for name, (y, _) in labels.items()), (high - low) * 0.075
    heights = [y for y, _ in places]
    for _ in range(100):  # neighbours that are too near move apart
        for i in range(len(heights) - 1):
            overlap = gap - (heights[i + 1] - heights[i])
            if overlap > 0:
                heights[i], heights[i + 1] = heights[i] - overlap / 2, heights[i + 1] + overlap / 2
    for height, (_, name) in zip(heights, places):
        look = {"color": labels[name][1], "fontsize": 7, "va": "center", "annotation_clip": False}
        ax.annotate(name, (x, height), (5, 0), textcoords="offset points", **look)


def _numbers(names):
    """The number of the colour, marker and line of each network: its place in NETWORKS, or the next free number."""
    order = list(dict.fromkeys((*NETWORKS, *names)))
    return {name: order.index(name) for name in dict.fromkeys(names)}


def intervals(rows, label, chance=None):
    """A dot and its 95 % interval for each row, from top to bottom.

    `rows`: DataFrame with name, value, low, high and, to give rows one colour, group. `chance`: where a line is drawn.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 0.3 * len(rows) + 0.7))
    groups = list(dict.fromkeys(rows["group"]))
    for place, row in enumerate(rows.itertuples()):
        color = CYCLE[groups.index(row.group)]
        ax.plot((row.low, row.high), (place, place), color=color, linewidth=2.2, alpha=0.55, solid_capstyle="butt")
        ax.plot(row.value, place, MARKERS[groups.index(row.group)], color=color, markersize=6)
        text = f"{100 * row.value:.1f} ({100 * row.low:.1f} to {100 * row.high:.1f})"
        ax.annotate(text, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=7, color=DARK)
    if chance is not None:
        ax.axvline(chance, **DASHED)
    ax.set(yticks=range(len(rows)), xlabel=label, ylim=(len(rows) - 0.4, -0.6))
    ax.set_yticklabels(rows["name"])
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")
    return figure


def shifts(table):
    """The share of clips that keep their class when they are shifted: by time on the left, by pitch on the right.

    `table`: of `pipeline.studies.convolution.accuracy_when_shifted`. A thin line is a seed, a thick one the mean.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.6), sharey=True)
    words = {"frames": "Later by (frames of 10 ms)", "semitones": "Higher by (semitones)"}
    for ax, (kind, label) in zip(axes, words.items()):
        part, labels = table[table["shift"] == kind], {}
        for name, number in _numbers(part["network"]).items():
            own = part[part["network"] == name].pivot(index="by", columns="seed", values="kept")
            ax.plot(own.index, own, color=CYCLE[number], linewidth=0.5, alpha=0.45)
            ax.plot(
                own.index, own.mean(axis=1), color=CYCLE[number], linewidth=1.8, marker=MARKERS[number], markersize=4
            )
            labels[name] = own.mean(axis=1).iloc[-1], CYCLE[number]
        ax.grid(axis="y")
        ax.set_xlabel(label)
    axes[0].set_ylabel("Clips that keep their class")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _label_ends(axes[1], part["by"].max(), labels)
    return figure


def batch_accuracies(batches):
    """The accuracy of every batch of one run as a dot, as in the thesis, with the mean of each epoch as a line."""
    figure, ax = plt.subplots(figsize=(WIDTH, 2.3))
    place, accuracy = np.arange(len(batches)) / (batches["batch"].max() + 1), batches["accuracy"]
    ax.plot(place, accuracy, ".", color=CYCLE[5], markersize=2, alpha=0.5, label="a batch", rasterized=True)
    means = accuracy.groupby(batches["epoch"]).mean()
    ax.hlines(means, means.index - 1, means.index, color=CYCLE[0], linewidth=2, zorder=3, label="mean of an epoch")
    ax.axhline(CHANCE["accuracy"], **DASHED, label="chance level")
    ax.set(xlabel="Epochs passed", ylabel="Accuracy", xlim=(0, batches["epoch"].max()))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, markerscale=3)
    return figure


def efficiency(table):
    """What accuracy costs: validation accuracy over the number of parameters and over the time of a training step.

    `table`: a row a network and seed with network, parameters, milliseconds (a batch), val_accuracy.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.8), sharey=True)
    columns = {"parameters": "Parameters", "milliseconds": "Training step of 32 clips (ms)"}
    for ax, (column, label) in zip(axes, columns.items()):
        for name, number in _numbers(table["network"]).items():
            part = table[table["network"] == name]
            look = {"color": CYCLE[number], "markersize": 6, "alpha": 0.8, "label": name}
            ax.plot(part[column], part["val_accuracy"], MARKERS[number], **look)
        ax.set(xscale="log", xlabel=label)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_locator(MultipleLocator(0.05))
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        ax.grid()
        ax.margins(x=0.25)
    axes[0].set_ylabel("Validation accuracy, last epoch")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def filters(kernels):
    """The filters of a first convolution, (filters, 1, height, width): time to the right, mels up, blue below zero."""
    figure, axes = plt.subplots(1, len(kernels), figsize=(WIDTH, 1.35))
    peak = np.abs(kernels).max()
    for number, (ax, kernel) in enumerate(zip(axes, kernels[:, 0])):
        image = ax.imshow(kernel.T, origin="lower", cmap="RdBu_r", vmin=-peak, vmax=peak, aspect="equal")
        ax.set(xticks=(), yticks=(), title=f"{number + 1}")
    axes[0].set(xlabel="10 ms a step", ylabel="mels")
    figure.colorbar(image, ax=axes, pad=0.01, aspect=12, shrink=0.8)
    return figure


def feature_maps(picture, maps, features):
    """The outputs of layers for one clip: its mel spectrogram, then some channels of each layer.

    `picture` (frames, mels); `maps`: dict of a layer's name to its output (channels, frames, mels).
    Each map has its own scale, from black, its lowest value, to white.
    """
    figure = plt.figure(figsize=(WIDTH, 1.05 * len(maps) + 2.1))
    top, bottom = figure.subfigures(2, 1, height_ratios=(2.1, 1.05 * len(maps)))
    ax = top.add_subplot()
    draw_mel(ax, picture, features)
    ax.set(title="Mel spectrogram", xlabel="Time (s)", ylabel="Hz")
    axes = bottom.subplots(len(maps), N_MAPS)
    for row, (name, channels) in zip(axes, maps.items()):
        for ax, channel in zip(row, channels[:N_MAPS]):
            ax.imshow(channel.T, origin="lower")
            ax.set(xticks=(), yticks=())
        row[0].set_title(f"{name}   ({'×'.join(map(str, channels.shape))})", fontsize=8)
    return figure
