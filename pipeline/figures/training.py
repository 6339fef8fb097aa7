"""Figures of training: curves over seeds, networks compared, and what a trained network looks for."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, MultipleLocator, NullFormatter, PercentFormatter

from pipeline.figures.sound import draw_mel
from pipeline.figures.style import CYCLE, DARK, GREY, WIDTH

NETWORKS = (
    "thesis network",
    "dense, samples",
    "dense, normalised decibels",
    "dense, raw decibels",
)  # look the same in every figure
CHANCE = {"loss": np.log(2), "accuracy": 0.5}  # of a coin, for two equally frequent classes
MARKERS = "osD^vPX"
STYLES = ("-", "--", "-.", (0, (5, 1)), ":", (0, (1, 1)))


def learning_curves(curves, epochs, quantity, highlight=None):
    """Loss or accuracy of networks: left on the batches trained on, right on validation data after each epoch.

    Parameters
    ----------
    curves, epochs : the tables of `pipeline.studies.experiments`
    quantity : "loss" or "accuracy"
    highlight : names of networks, optional
        All others are drawn in grey.

    Lines are means over the seeds, bands reach from the lowest to the highest of them.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 2.9), sharey=quantity == "accuracy", width_ratios=(1.6, 1)
    )
    numbers = _numbers(curves["network"])
    for name, number in numbers.items():
        color = CYCLE[number] if highlight is None or name in highlight else GREY
        look = {"color": color, "linestyle": STYLES[number], "zorder": 2 if color == GREY else 3}
        part = curves[curves["network"] == name].copy()
        part["point"] = part.groupby("seed").cumcount()
        points = part.groupby("point").agg(
            epoch=("epoch", "mean"), mean=(quantity, "mean"), low=(quantity, "min"), high=(quantity, "max")
        )
        left.plot(points["epoch"], points["mean"], label=name, **look)
        left.fill_between(points["epoch"], points["low"], points["high"], color=color, alpha=0.18, linewidth=0)
        ends = epochs[epochs["network"] == name].groupby("epoch")[f"val_{quantity}"].agg(["mean", "min", "max"])
        right.plot(ends.index, ends["mean"], marker=MARKERS[number], markersize=4.5, **look)
        right.fill_between(ends.index, ends["min"], ends["max"], color=color, alpha=0.18, linewidth=0)
    last = int(epochs["epoch"].max())
    for ax in (left, right):
        ax.axhline(
            CHANCE[quantity],
            color=DARK,
            linewidth=0.9,
            linestyle=(0, (2, 2)),
            zorder=1,
            label="a coin" if ax is left else None,
        )
        ax.grid(axis="y")
        _limit(ax, quantity, curves, epochs, ax is left)
    left.set(xlabel="Epochs passed", ylabel=quantity.capitalize(), title="Training, by batches", xlim=(0, last))
    right.set(xlabel="Epoch", title="Validation, by epochs", xticks=range(1, last + 1))
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", ncols=len(numbers) + 1 if len(numbers) < 4 else 3
    )
    return figure


def _numbers(names):
    """The number of the colour, marker and line of each network: those of NETWORKS have theirs, others the next ones."""
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


def batch_scatter(batches, quantity):
    """Every single batch of one run as a dot, as the thesis drew it, with the mean of each epoch as a line."""
    figure, ax = plt.subplots(figsize=(WIDTH, 2.3))
    per_epoch = batches["batch"].max() + 1
    place = np.arange(len(batches)) / per_epoch
    ax.plot(place, batches[quantity], ".", color=CYCLE[5], markersize=2, alpha=0.5, label="a batch", rasterized=True)
    for epoch, mean in batches.groupby("epoch")[quantity].mean().items():
        ax.plot(
            (epoch - 1, epoch),
            (mean, mean),
            color=CYCLE[0],
            linewidth=2,
            label="mean of an epoch" if epoch == 1 else None,
        )
    ax.axhline(CHANCE[quantity], color=DARK, linewidth=0.9, linestyle=(0, (2, 2)), label="a coin")
    ax.set(xlabel="Epochs passed", ylabel=quantity.capitalize(), xlim=(0, batches["epoch"].max()))
    if quantity == "loss":
        ax.set_ylim(0, min(batches["loss"].max() * 1.05, 2))
    else:
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, markerscale=3)
    return figure


def efficiency(table):
    """What accuracy costs: validation accuracy over the number of parameters and over the time of a training step.

    `table`: a row a network and seed with network, parameters, milliseconds (a batch), val_accuracy.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.8), sharey=True)
    for ax, column, label in zip(
        axes, ("parameters", "milliseconds"), ("Parameters", "Training step of 32 clips (ms)")
    ):
        for name, number in _numbers(table["network"]).items():
            part = table[table["network"] == name]
            ax.plot(
                part[column],
                part["val_accuracy"],
                MARKERS[number],
                color=CYCLE[number],
                markersize=6,
                alpha=0.8,
                label=name,
            )
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


def feature_maps(picture, maps, features, count=8):
    """What the layers make of one clip: the picture, then `count` channels of each layer.

    `picture` (frames, mels); `maps`: dict of a layer's name to its output (channels, frames, mels).
    Each map has a scale of its own, from black, its lowest value, to white.
    """
    figure = plt.figure(figsize=(WIDTH, 1.05 * len(maps) + 2.1))
    top, bottom = figure.subfigures(2, 1, height_ratios=(2.1, 1.05 * len(maps)))
    ax = top.add_subplot()
    draw_mel(ax, picture, features)
    ax.set(title="The picture", xlabel="Time (s)", ylabel="Hz")
    axes = bottom.subplots(len(maps), count)
    for row, (name, channels) in zip(axes, maps.items()):
        for ax, channel in zip(row, channels[:count]):
            ax.imshow(channel.T, origin="lower")
            ax.set(xticks=(), yticks=())
        row[0].set_title(f"{name}   ({'×'.join(map(str, channels.shape))})", fontsize=8)
    return figure
