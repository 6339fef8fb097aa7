"""The figure of the benchmark: inference time against clips, and where the time of a training step goes."""

import matplotlib.pyplot as plt

from pipeline.figures.style import BLUE, DARK, GREEN, GREY, LIGHT, ORANGE, PINK, SKY, WIDTH, YELLOW

PARTS = {
    "products": BLUE,
    "transforms": SKY,
    "copies": GREEN,
    "pooling": YELLOW,
    "normalization": ORANGE,
    "optimizer": PINK,
    "the rest": GREY,
}


def draw(details):
    """`details` are what `details` of tests/benchmark.py measured, as plain values."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.0), width_ratios=(1, 1.25))
    _by_clips(left, details["seconds by clips"])
    _by_part(right, details["step"])
    return figure


def _by_clips(ax, seconds):
    for (name, times), color, marker in zip(seconds.items(), (BLUE, ORANGE), "os"):
        ax.loglog([int(n) for n in times], list(times.values()), color=color, marker=marker, label=name)
    ax.set(title="Inference", xlabel="Clips of one second", ylabel="Seconds")
    ax.legend()


def _by_part(ax, step):
    """Horizontal bars, one a part, from where the one above it ends; lines where the products alone would end."""
    names, left, total = list(step["ms"]), 0, sum(step["ms"].values())
    for place, (name, value) in enumerate(step["ms"].items()):
        ax.barh(place, value, left=left, color=PARTS[name], height=0.7)
        label = ax.text(left + value + 0.01 * total, place, f"{value:.0f} ms", va="center", fontsize=7, color=DARK)
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
        left += value
    for key, label, style in (
        ("limit", "products alone", (0, (4, 2))),
        ("limit of the plain sum", "products of the plain sum alone", (0, (1, 1))),
    ):
        ax.axvline(
            step[key], color=DARK, linewidth=0.9, linestyle=style, zorder=0, label=f"{label}, at the core's peak"
        )
    ax.set(title="A training step on one core", xlabel="Milliseconds", yticks=range(len(names)), yticklabels=names)
    ax.set_xlim(0, 1.12 * max(total, step["limit of the plain sum"]))
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=LIGHT)
    ax.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.4, -0.2))
