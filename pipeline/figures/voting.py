"""A figure of the vote: precision and recall of recordings over the threshold of a clip."""

import matplotlib.pyplot as plt

from pipeline.figures.style import BLUE, DARK, ORANGE, WIDTH


def precision_and_recall(table, threshold):
    """Precision and recall over the threshold, a line each; a line marks `threshold`, dots what it gives.

    `table`: a row a threshold: threshold, precision (NaN where nothing is called piano), recall.
    """
    figure, ax = plt.subplots(figsize=(WIDTH * 0.7, 2.6))
    chosen = table.loc[(table["threshold"] - threshold).abs().idxmin()]
    for name, color, style in (("precision", BLUE, "-"), ("recall", ORANGE, "--")):
        ax.plot(table["threshold"], table[name], color=color, linestyle=style, label=name)
        ax.plot(chosen["threshold"], chosen[name], "o", color=color, markersize=6)
    ax.axvline(threshold, color=DARK, linewidth=0.8)
    ax.set(xlabel="Threshold of a clip", ylabel="Of recordings", xlim=(0, 1), ylim=(0, 1.03))
    ax.legend(loc="lower left")
    ax.grid()
    return figure
