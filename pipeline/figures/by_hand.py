"""Figures of the network by hand: paths of optimizers, which output touches which input, initial weights."""

import matplotlib.pyplot as plt
import numpy as np

from pipeline.figures.style import BLUE, DARK, GREEN, GREY, LIGHT, ORANGE, WIDTH

COLORS = (ORANGE, BLUE, GREEN)


def descent(surface, paths, losses):
    """Contours of a loss over two weights, and the path and loss of each optimizer.

    surface : `(weights 1 (n,), weights 2 (m,), loss (m, n))`
    paths, losses : dict of name to float (steps + 1, 2), and to (steps + 1,)
    """
    across, up, loss = surface
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.0), width_ratios=(1.3, 1))
    levels = np.geomspace(loss.min() * 1.02, loss.max(), 14)
    left.contour(across, up, loss, levels, colors=GREY, linewidths=0.6)
    for (name, places), color in zip(paths.items(), COLORS):
        left.plot(*places.T, ".-", color=color, markersize=3, linewidth=1.2, label=name)
        right.plot(losses[name], color=color, label=name)
    start = next(iter(paths.values()))[0]
    left.plot(*start, "o", color=DARK, markersize=6)
    left.annotate("start", start, textcoords="offset points", xytext=(6, 5), fontsize=8)
    left.set(xlabel="Weight 1", ylabel="Weight 2", title="The loss as a landscape")
    left.set(xlim=(across[0], across[-1]), ylim=(up[0], up[-1]))
    right.set(xlabel="Steps", ylabel="Loss", title="The loss along the way", yscale="log")
    right.legend()
    right.grid()
    return figure


def touching(size, window, pixel):
    """Which outputs of a convolution touch one input pixel, and through which weight of the kernel.

    `size` of the image and `window` of the kernel, both (height, width); padding "valid", strides of one.
    """
    (height, width), (down, across), (row, column) = size, window, pixel
    new = height - down + 1, width - across + 1
    weights = {(row - y, column - x): (y, x) for y in range(down) for x in range(across)}
    weights = {place: tap for place, tap in weights.items() if 0 <= place[0] < new[0] and 0 <= place[1] < new[1]}
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.7), width_ratios=(width, new[1]))
    for ax, shape, title in ((left, size, "Input"), (right, new, "Gradient of the output")):
        for y, x in np.ndindex(shape):
            ax.add_patch(plt.Rectangle((x, y), 1, 1, facecolor="white", edgecolor=GREY, linewidth=0.8))
        ax.set(xlim=(-0.1, shape[1] + 0.1), ylim=(shape[0] + 0.1, -0.1), aspect="equal", title=title)
        ax.axis("off")
    left.add_patch(plt.Rectangle((column, row), 1, 1, facecolor=BLUE))
    left.text(column + 0.5, row + 0.5, "x", color="white", ha="center", va="center")
    for (y, x), tap in weights.items():
        right.add_patch(plt.Rectangle((x, y), 1, 1, facecolor=ORANGE, alpha=0.85, edgecolor="white"))
        right.text(x + 0.5, y + 0.5, f"$w_{{{tap[0]}{tap[1]}}}$", ha="center", va="center", color="white")
    return figure


def initial_spread(outputs, gradients):
    """Standard deviation of activations and gradients over the layers, a line for each way to draw the weights.

    Both: dict of name to a list with a value a layer.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.6), sharex=True)
    titles = ("Activations, forward", "Gradients, backward")
    for ax, values, title in zip(axes, (outputs, gradients), titles):
        for (name, line), color, style in zip(values.items(), COLORS, ("o-", "s--", "^:")):
            ax.plot(np.arange(1, len(line) + 1), line, style, color=color, markersize=4, label=name)
        ax.set(yscale="log", xlabel="Layer", title=title)
        ax.grid(color=LIGHT)
    axes[0].set_ylabel("Standard deviation")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
