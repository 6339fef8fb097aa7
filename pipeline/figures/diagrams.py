"""Diagrams drawn from the code itself: the steps of the pipeline with their real results, and a model's real layers."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from pipeline.figures.style import BLUE, DARK, GREEN, GREY, ORANGE, PINK, SKY, WIDTH, YELLOW

LAYER_COLORS = {
    "MelSpectrogram": YELLOW,
    "Conv2D": BLUE,
    "MaxPooling2D": SKY,
    "Dense": ORANGE,
    "Dropout": PINK,
    "BatchNormalization": GREEN,
}
WORDS = {  # of layers, in the diagram of the architecture
    "MelSpectrogram": "mel\nspectrogram",
    "Conv2D": "conv",
    "MaxPooling2D": "max pool",
    "Dense": "dense",
    "Flatten": "flatten",
    "BatchNormalization": "batch norm.",
    "Dropout": "dropout",
}
KEEPS_SHAPE = ("ReLU", "Softmax", "Dropout", "BatchNormalization", "SpectrogramAugmentation")
PER_ROW = 4
ARROW = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0}
CENTRED = {"ha": "center", "va": "center", "color": DARK}


def pipeline_steps(steps):
    """The way from a link to a label, a box a step, with its result for a real song.

    `steps`: list of (function, its result in words, draw), where `draw(ax)` shows the result. The name in a box is the
    function's own.
    """
    n_rows = -(-len(steps) // PER_ROW)
    figure, ax = plt.subplots(figsize=(WIDTH, 1.95 * n_rows), layout="none")
    figure.subplots_adjust(0, 0, 1, 1)
    ax.set(xlim=(-0.06, PER_ROW - 0.02), ylim=(n_rows, 0))
    ax.axis("off")
    for number, (function, result, draw) in enumerate(steps):
        row, place = divmod(number, PER_ROW)
        column = place if row % 2 == 0 else PER_ROW - 1 - place  # there and back, so that arrows stay short
        _box(ax, column + 0.02, row + 0.06, 0.88, 0.86)
        name = f"{number + 1}  {_qualified(function)}"
        ax.text(column + 0.46, row + 0.13, name, fontsize=6.2, family="monospace", weight="bold", **CENTRED)
        ax.text(column + 0.46, row + 0.82, result, fontsize=6.8, linespacing=1.25, **CENTRED)
        inset = ax.inset_axes((column + 0.1, row + 0.2, 0.72, 0.5), transform=ax.transData)
        inset.set(xticks=(), yticks=())
        inset.spines[:].set_visible(False)
        inset.patch.set_alpha(0)
        draw(inset)
        if number + 1 < len(steps):
            _arrow_to_next(ax, row, column, last_in_row=place == PER_ROW - 1)
    return figure


def _arrow_to_next(ax, row, column, last_in_row):
    if last_in_row:
        ends = (column + 0.46, row + 0.93), (column + 0.46, row + 1.05)
    elif row % 2 == 0:
        ends = (column + 0.91, row + 0.49), (column + 1.01, row + 0.49)
    else:
        ends = (column + 0.01, row + 0.49), (column - 0.09, row + 0.49)
    ax.add_patch(FancyArrowPatch(*ends, mutation_scale=11, color=DARK, linewidth=1.2, **ARROW))


def _qualified(function):
    """The name of a function with its module's or class's."""
    name = function.__qualname__
    return name if "." in name else f"{inspect.getmodule(function).__name__.split('.')[-1]}.{name}"


def summary_table(model):
    """The summary of a model as a table: layer, output shape, parameters."""
    table = model.summary().reset_index()
    figure, ax = plt.subplots(figsize=(WIDTH, 0.215 * (len(table) + 1) + 0.1), layout="none")
    figure.subplots_adjust(0, 0, 1, 1)
    ax.set(xlim=(0, 1), ylim=(len(table) + 1.2, -0.2))
    ax.axis("off")
    places, sides = (0.03, 0.33, 0.60, 0.97), ("left", "left", "left", "right")
    types = [*(type(layer).__name__ for layer in model.layers), ""]
    numbers = table["parameters"].map("{:,}".format)
    rows = [
        ("Layer", "Type", "Output shape", "Parameters"),
        *zip(table["layer"], types, table["output shape"], numbers),
    ]
    for number, row in enumerate(rows):
        is_head, is_total = number == 0, number == len(rows) - 1
        if number % 2 == 0 and not (is_head or is_total):
            ax.add_patch(Rectangle((0, number), 1, 1, facecolor="#f4f4f4", linewidth=0))
        weight = "bold" if is_head or is_total else "normal"
        for column, (text, x, side) in enumerate(zip(row, places, sides)):
            family = "monospace" if column == 0 and not is_head else None
            look = {"va": "center", "fontsize": 8.2, "color": DARK, "weight": weight, "family": family}
            ax.text(x, number + 0.52, text, ha=side, **look)
    for y, width in ((0, 1.2), (1, 0.7), (len(rows) - 1, 0.7), (len(rows), 1.2)):
        ax.axhline(y, color=DARK, linewidth=width)
    return figure


def architecture(model):
    """The layers of a model as solids of their real sizes: frames to the right, mels up, channels in depth.

    Layers that do not change the shape are named below the one before them.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 2.45), layout="none")
    figure.subplots_adjust(0.005, 0, 0.995, 1)
    centre, arrow_from = 0.0, None
    for shape, kind, lines in _solids(model):
        width, height, depth = _solid_size(shape)
        half = (width + depth) / 2
        room = max(half, 14.5)
        centre += room
        if arrow_from is not None:
            ends = (arrow_from, 0), (centre - half - 2, 0)
            ax.add_patch(FancyArrowPatch(*ends, mutation_scale=7, color=GREY, linewidth=0.9, **ARROW))
        arrow_from = centre + half + 2
        _solid(ax, centre - half, -height / 2, width, height, depth, LAYER_COLORS.get(kind, GREY))
        look = {"ha": "center", "color": DARK}
        ax.text(centre, -height / 2 - 4, "\n".join(lines), va="top", fontsize=6.3, linespacing=1.3, **look)
        top, size = height / 2 + depth * 0.6 + 3, "×".join(map(str, shape))
        ax.text(centre, top, size, va="bottom", fontsize=5.8, weight="bold", **look)
        centre += room + 8
    ax.set(xlim=(-3, centre - 4), ylim=(-82, 68))
    ax.set_aspect("equal")
    ax.axis("off")
    return figure


def _solids(model):
    """A row a solid: output shape, kind of layer, lines of text."""
    solids = []
    for layer in model.layers:
        kind = type(layer).__name__
        words = WORDS.get(kind, kind)
        if kind in KEEPS_SHAPE:
            solids[-1][2].append(f"{words} {layer.rate}" if kind == "Dropout" else words)
        else:
            size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
            solids.append((layer.output_shape, kind, [words + (f"\n{size[0]}×{size[1]}" if size else "")]))
    return solids


def _solid_size(shape):
    """Width, height and depth: frames and mels to scale, channels by their square root, vectors by their logarithm."""
    if len(shape) == 3:
        channels, frames, mels = shape
        return frames * 0.42 + 1, mels * 0.75, 2 * np.sqrt(channels)
    return 5, max(9 * np.log2(shape[0]), 10), 4


def _solid(ax, x, y, width, height, depth, color):
    """A box in oblique projection."""
    lift = depth * 0.6
    top, right = y + height, x + width
    style = {"facecolor": color, "edgecolor": "white", "linewidth": 0.6}
    lid = [(x, top), (x + depth, top + lift), (right + depth, top + lift), (right, top)]
    side = [(right, y), (right + depth, y + lift), (right + depth, top + lift), (right, top)]
    ax.add_patch(Polygon(lid, alpha=0.55, **style))
    ax.add_patch(Polygon(side, alpha=0.75, **style))
    ax.add_patch(Rectangle((x, y), width, height, **style))


def data_flow(model, before, after):
    """Forward and backward through a model: the size of each layer's output, and of the gradients.

    `before` and `after` training: tables of `pipeline.studies.tracing.trace`, a row a layer. Left, the root mean square
    of the outputs; right, that of the gradient with respect to the layer's input and, for a trained layer, to its
    parameters.
    """
    n = len(before)
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(WIDTH, 0.27 * n + 0.9), sharey=True, width_ratios=(1, 1.15, 1)
    )
    places = np.arange(n)
    for flow, when, line in ((before, "before training", ":"), (after, "after training", "-")):
        left.plot(flow["output"], places, "o", linestyle=line, color=BLUE, markersize=4, linewidth=1)
        look = {"linestyle": line, "linewidth": 1, "markersize": 4}
        right.plot(flow["input gradient"], places, "o", color=ORANGE, label=f"of the input, {when}", **look)
        marks = {"markerfacecolor": "none" if flow is before else DARK, "markersize": 4}
        right.plot(flow["parameter gradient"], places, "D", color=DARK, label=f"of the parameters, {when}", **marks)
    left.set(xscale="log", xlabel="RMS of the output", title="Forward")
    right.set(xscale="log", xlabel="RMS of the gradient", title="Backward")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=2)
    middle.set(xlim=(0, 1), ylim=(n - 0.4, -0.6))
    middle.axis("off")
    for place, (name, row) in enumerate(before.iterrows()):
        color = LAYER_COLORS.get(type(model[name]).__name__, GREY)
        _box(middle, 0.1, place - 0.37, 0.8, 0.74, edge=color, fill="white")
        middle.text(0.14, place, name, ha="left", va="center", fontsize=6.8, color=DARK)
        middle.text(0.86, place, row["shape"], ha="right", va="center", fontsize=6.8, color=DARK)
    for x, color, start, end in ((0.04, BLUE, -0.4, n - 0.6), (0.96, ORANGE, n - 0.6, -0.4)):
        middle.add_patch(FancyArrowPatch((x, start), (x, end), mutation_scale=12, color=color, linewidth=1.8, **ARROW))
    for ax in (left, right):
        ax.tick_params(axis="y", left=False, labelleft=False)
        ax.grid(axis="x")
        ax.spines["left"].set_visible(False)
    return figure


def _box(ax, x, y, width, height, edge=GREY, fill="#f7f7f7"):
    style = "round,pad=0,rounding_size=0.03"
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=fill, edgecolor=edge, linewidth=1))
