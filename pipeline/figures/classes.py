"""The figure of a model with many classes: who was taken for whom."""

import matplotlib.pyplot as plt
from matplotlib.colors import LinearSegmentedColormap

from pipeline.figures.style import BLUE, DARK, WIDTH


def confusion(counts):
    """A confusion matrix as a heat map of the shares of each row. `counts`: DataFrame, rows the class, columns the label."""
    shares = counts.to_numpy() / counts.sum(axis=1).clip(lower=1).to_numpy()[:, None]
    names, size = list(counts.index), min(WIDTH, 0.42 * len(counts) + 1.6)
    figure, ax = plt.subplots(figsize=(size, size - 0.2))
    ax.imshow(
        shares,
        cmap=LinearSegmentedColormap.from_list("share", ["white", BLUE]),
        vmin=0,
        vmax=1,
        aspect="equal",
        interpolation="none",
    )
    for (row, column), count in ((place, counts.iat[place]) for place in zip(*counts.to_numpy().nonzero())):
        ax.text(
            column,
            row,
            count,
            ha="center",
            va="center",
            fontsize=8,
            color="white" if shares[row, column] > 0.55 else DARK,
        )
    ax.set(yticks=range(len(names)), yticklabels=names, xlabel="Label", ylabel="Class")
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    return figure
