"""Figures of training: curves over seeds, networks compared, and the filters and outputs of a trained network."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, MultipleLocator, NullFormatter, PercentFormatter

from pipeline.figures.sound import draw_mel
from pipeline.figures.style import CYCLE, DASHED, GREY, WIDTH

# These networks look the same in every figure.
NETWORKS = ("thesis network", "dense, samples", "dense, normalised decibels", "dense, raw decibels")
CHANCE = {"loss": np.log(2), "accuracy": 0.5}  # chance level, for two equally frequent classes
N_MAPS = 8  # of each layer
MARKERS = "osD^vPX"
STYLES = ("-", "--", "-.", (0, (5, 1)), ":", (0, (1, 1)))


def learning_curves(curves, epochs, quantity, highlight=None):
    """Loss or accuracy of networks: left on training batches, right on validation data after each epoch.

    Parameters
    ----------
    curves, epochs : the tables of `pipeline.studies.experiments`
    quantity : "loss" or "accuracy"
    highlight : names of networks, optional
        All others are drawn in grey.

    Lines are means over the seeds, bands reach from the lowest to the highest of them.
    """
    share = {"sharey": quantity == "accuracy", "width_ratios": (1.6, 1)}
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.9), **share)
    numbers = _numbers(curves["network"])
    for name, number in numbers.items():
        color = CYCLE[number] if highlight is None or name in highlight else GREY
        look = {"color": color, "linestyle": STYLES[number], "zorder": 2 if color == GREY else 3}
        part = curves[curves["network"] == name]
        points = part.groupby(part.groupby("seed").cumcount())
        place, points = points["epoch"].mean(), points[quantity].agg(["mean", "min", "max"])
        left.plot(place, points["mean"], label=name, **look)
        left.fill_between(place, points["min"], points["max"], color=color, alpha=0.18, linewidth=0)
        ends = epochs[epochs["network"] == name].groupby("epoch")[f"val_{quantity}"].agg(["mean", "min", "max"])
        right.plot(ends.index, ends["mean"], marker=MARKERS[number], markersize=4.5, **look)
        right.fill_between(ends.index, ends["min"], ends["max"], color=color, alpha=0.18, linewidth=0)
    last = int(epochs["epoch"].max())
    for ax in (left, right):
        ax.axhline(CHANCE[quantity], **DASHED, label="chance level")
        ax.grid(axis="y")
        _limit(ax, quantity, curves, epochs, ax is left)
    left.set(xlabel="Epochs passed", ylabel=quantity.capitalize(), title="Training, by batches", xlim=(0, last))
    right.set(xlabel="Epoch", title="Validation, by epochs", xticks=range(1, last + 1))
    n_columns = len(numbers) + 1 if len(numbers) < 4 else 3
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=n_columns)
    return figure


def _numbers(names):
    """The number of the colour, marker and line of each network: its place in NETWORKS, or the next free number."""
    order = list(dict.fromkeys((*NETWORKS, *names)))
    return {name: order.index(name) for name in dict.fromkeys(names)}


def _limit(ax, quantity, curves, epochs, is_training):
    if quantity == "accuracy":
        ax.set_ylim(min(0.4, curves["accuracy"].min()) - 0.01, 1.01)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.yaxis.set_tick_params(labelleft=True)
    elif is_training:
        ax.set_ylim(0, 1.15)  # the first batches of raw decibels lie far above
    else:
        ax.set_ylim(0, max(1.15, min(1.05 * epochs["val_loss"].max(), 6)))


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
