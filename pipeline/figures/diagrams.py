"""Diagrams drawn from the code itself: the steps of the pipeline with what they really gave, the layers of a model with
their real shapes.
"""

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
PER_ROW = 4


def pipeline_steps(steps):
    """The way from a link to a label, a box a step, with what the step gave for a real song.

    `steps`: list of (function, what it gave in words, draw), where `draw(ax)` shows that, or None. The name in a
    box is the function's own.
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
        ax.text(
            column + 0.46,
            row + 0.13,
            f"{number + 1}  {_qualified(function)}",
            ha="center",
            va="center",
            fontsize=6.2,
            family="monospace",
            weight="bold",
            color=DARK,
        )
        ax.text(column + 0.46, row + 0.82, result, ha="center", va="center", fontsize=6.8, color=DARK, linespacing=1.25)
        if draw is not None:
            inset = ax.inset_axes((column + 0.1, row + 0.2, 0.72, 0.5), transform=ax.transData)
            inset.set(xticks=(), yticks=())
            for side in inset.spines.values():
                side.set_visible(False)
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
    ax.add_patch(
        FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=11, color=DARK, linewidth=1.2, shrinkA=0, shrinkB=0)
    )


def _qualified(function):
    owner = inspect.getmodule(function).__name__.split(".")[-1]
    name = (
        function.__qualname__ if inspect.isfunction(function) or inspect.isclass(function) else type(function).__name__
    )
    return name if "." in name or inspect.isclass(function) else f"{owner}.{name}"


def summary_table(model):
    """The summary of a model as a table: layer, output shape, parameters."""
    table = model.summary().reset_index()
    figure, ax = plt.subplots(figsize=(WIDTH, 0.215 * (len(table) + 1) + 0.1), layout="none")
    figure.subplots_adjust(0, 0, 1, 1)
    ax.set(xlim=(0, 1), ylim=(len(table) + 1.2, -0.2))
    ax.axis("off")
    names = ["Layer", "Type", "Output shape", "Parameters"]
    places, sides = (0.03, 0.33, 0.60, 0.97), ("left", "left", "left", "right")
    types = [type(layer).__name__ for layer in model.layers] + [""]
    rows = [names] + [
        [row["layer"], kind, row["output shape"], f"{row['parameters']:,}"]
        for (_, row), kind in zip(table.iterrows(), types)
    ]
    for number, row in enumerate(rows):
        is_head, is_total = number == 0, number == len(rows) - 1
        if number % 2 == 0 and not (is_head or is_total):
            ax.add_patch(Rectangle((0, number), 1, 1, facecolor="#f4f4f4", linewidth=0))
        for text, x, side in zip(row, places, sides):
            ax.text(
                x,
                number + 0.52,
                text,
                ha=side,
                va="center",
                fontsize=8.2,
                color=DARK,
                weight="bold" if is_head or is_total else "normal",
                family="monospace" if side == "left" and x == 0.03 and not is_head else None,
            )
    for y, width in ((0, 1.2), (1, 0.7), (len(rows) - 1, 0.7), (len(rows), 1.2)):
        ax.axhline(y, color=DARK, linewidth=width)
    return figure


def architecture(model):
    """The layers of a model as solids of their real sizes: frames to the right, mels up, channels in depth.

    Layers that do not change the shape are named below the one before them.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 2.45), layout="none")
    figure.subplots_adjust(0.005, 0, 0.995, 1)
    stages, centre = _stages(model), 0.0
    for number, (shape, kind, lines) in enumerate(stages):
        width, height, depth = _solid_size(shape)
        half = max((width + depth) / 2, 14.5)
        centre += half
        _solid(ax, centre - (width + depth) / 2, -height / 2, width, height, depth, LAYER_COLORS.get(kind, GREY))
        ax.text(
            centre, -height / 2 - 4, "\n".join(lines), ha="center", va="top", fontsize=6.3, color=DARK, linespacing=1.3
        )
        ax.text(
            centre,
            height / 2 + depth * 0.6 + 3,
            _sizes(shape),
            ha="center",
            va="bottom",
            fontsize=5.8,
            weight="bold",
            color=DARK,
        )
        if number + 1 < len(stages):
            start = centre + (width + depth) / 2 + 2
            following = stages[number + 1][0]
            end = (
                centre
                + half
                + 8
                + max(sum(_solid_size(following)[::2]) / 2, 14.5)
                - sum(_solid_size(following)[::2]) / 2
                - 2
            )
            ax.add_patch(
                FancyArrowPatch(
                    (start, 0),
                    (end, 0),
                    arrowstyle="-|>",
                    mutation_scale=7,
                    color=GREY,
                    linewidth=0.9,
                    shrinkA=0,
                    shrinkB=0,
                )
            )
        centre += half + 8
    ax.set(xlim=(-3, centre - 4), ylim=(-82, 68))
    ax.set_aspect("equal")
    ax.axis("off")
    return figure


def _stages(model):
    """What the architecture shows: (output shape, kind, lines of text) for each layer, the small ones joined to the one before."""
    stages = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in ("ReLU", "Softmax", "Dropout", "BatchNormalization", "SpectrogramAugmentation"):
            stages[-1][2].append(
                {"BatchNormalization": "batch norm.", "Dropout": f"dropout {getattr(layer, 'rate', '')}"}.get(
                    kind, kind
                )
            )
            continue
        size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
        words = {
            "MelSpectrogram": "mel\nspectrogram",
            "Conv2D": "conv",
            "MaxPooling2D": "max pool",
            "Dense": "dense",
            "Flatten": "flatten",
        }[kind]
        stages.append((layer.output_shape, kind, [words + (f"\n{size[0]}×{size[1]}" if size else "")]))
    return stages


def _solid_size(shape):
    """Width, height and depth on paper: frames and mels to scale, channels by their root, vectors by their logarithm."""
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


def _sizes(shape):
    return "×".join(map(str, shape))


def data_flow(model, flow):
    """Forward and backward through a model: shapes and sizes of what each layer gave, and of the gradients that came back.

    `flow`: the table of `pipeline.studies.tracing.trace`, one row a layer. Left, the root mean square of the outputs; right, that of
    the gradient with respect to the layer's input and, if it is trained, of that with respect to its parameters.
    """
    n = len(flow)
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(WIDTH, 0.27 * n + 0.9), sharey=True, width_ratios=(1, 1.15, 1)
    )
    places = np.arange(n)
    left.plot(flow["output"], places, "o-", color=BLUE, markersize=4, linewidth=1)
    left.set(xscale="log", xlabel="RMS of the output", title="Forward")
    right.plot(flow["input gradient"], places, "o-", color=ORANGE, markersize=4, linewidth=1, label="of the input")
    right.plot(flow["parameter gradient"], places, "D", color=DARK, markersize=4, label="of the parameters")
    right.set(xscale="log", xlabel="RMS of the gradient", title="Backward")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=2)
    middle.set(xlim=(0, 1), ylim=(n - 0.4, -0.6))
    middle.axis("off")
    for place, (name, row) in enumerate(flow.iterrows()):
        color = LAYER_COLORS.get(type(model[name]).__name__, GREY)
        _box(middle, 0.1, place - 0.37, 0.8, 0.74, edge=color, fill="white")
        middle.text(0.14, place, name, ha="left", va="center", fontsize=6.8, color=DARK)
        middle.text(0.86, place, row["shape"], ha="right", va="center", fontsize=6.8, color=DARK)
    for x, color, ends in ((0.04, BLUE, (-0.4, n - 0.6)), (0.96, ORANGE, (n - 0.6, -0.4))):
        middle.add_patch(
            FancyArrowPatch((x, ends[0]), (x, ends[1]), arrowstyle="-|>", mutation_scale=12, color=color, linewidth=1.8)
        )
    for ax in (left, right):
        ax.tick_params(axis="y", left=False, labelleft=False)
        ax.grid(axis="x")
        ax.spines["left"].set_visible(False)
    return figure


def _box(ax, x, y, width, height, edge=GREY, fill="#f7f7f7"):
    ax.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.03",
            facecolor=fill,
            edgecolor=edge,
            linewidth=1,
        )
    )
