"""Figures of a dataset: how its clips spread over classes, splits, kinds, sources and recordings."""

import itertools

import matplotlib.pyplot as plt
import numpy as np

from pipeline.figures.style import CLASS_COLORS, DARK, GREY, WIDTH

SPLIT_HATCHES = {"train": "", "validation": "////", "test": "xxxx"}


def distribution(table):
    """Clips by class and split, and by the kind of sound. `table`: a row a clip, as `pipeline.corpus.dataset.load` gives it."""
    kinds = table.groupby(["label", "kind"]).size().sort_values().reset_index(name="clips")
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, max(2.8, 0.2 * len(kinds) + 0.9)), width_ratios=(1, 1.35)
    )
    for place, label in enumerate(sorted(table["label"].unique(), reverse=True)):
        bottom = 0
        for split, hatch in SPLIT_HATCHES.items():
            n = int(((table["label"] == label) & (table["split"] == split)).sum())
            left.bar(
                place, n, bottom=bottom, color=_color(label), hatch=hatch, edgecolor="white", width=0.8, linewidth=0.8
            )
            if n > 0.03 * len(table):
                left.text(
                    place,
                    bottom + n / 2,
                    f"{split} {n:,}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color=DARK,
                    bbox={"facecolor": "white", "linewidth": 0, "pad": 1.2, "alpha": 0.9},
                )
            bottom += n
        left.text(place, bottom, f"{bottom:,}", ha="center", va="bottom", fontsize=9, weight="bold", color=DARK)
    left.set(
        xticks=range(table["label"].nunique()),
        xticklabels=sorted(table["label"].unique(), reverse=True),
        ylabel="Clips of one second",
        title="By class and split",
    )
    left.yaxis.set_major_formatter("{x:,.0f}")
    left.margins(y=0.1)
    _bars(right, kinds["kind"], kinds["clips"], [_color(label) for label in kinds["label"]])
    right.set(xlabel="Clips", title="By kind of sound")
    return figure


def by_source(table, count=14):
    """Clips by source and the instruments of the class Other that are heard most."""
    sources = table.groupby(["label", "source"]).size().sort_values().tail(count).reset_index(name="clips")
    others = (
        table.loc[(table["label"] == "Other") & (table["instrument"] != ""), "instrument"]
        .value_counts()
        .head(count)[::-1]
    )
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 0.2 * max(len(sources), len(others)) + 0.9))
    _bars(
        left,
        sources["source"] + " · " + sources["label"].str[0],
        sources["clips"],
        [_color(label) for label in sources["label"]],
    )
    _bars(right, others.index, others, CLASS_COLORS["Other"])
    left.set(xlabel="Clips", title="By source (P: Piano, O: Other)")
    right.set(xlabel="Clips", title="Other: what is heard most")
    return figure


def by_recording(table):
    """How many seconds were taken from each recording, a line a class, longest first."""
    figure, ax = plt.subplots(figsize=(WIDTH, 2.5))
    for (label, part), style in zip(table.groupby("label", sort=False), itertools.cycle(("-", "--", ":", "-."))):
        seconds = part.groupby("recording").size().sort_values(ascending=False).to_numpy()
        ax.plot(
            np.arange(1, len(seconds) + 1),
            seconds,
            color=_color(label),
            linestyle=style,
            label=f"{label}: {len(seconds):,} recordings, median {np.median(seconds):.0f} s",
        )
    ax.set(xscale="log", yscale="log", xlabel="Recordings, the longest first", ylabel="Seconds in the dataset")
    ax.grid()
    ax.legend()
    return figure


def _bars(ax, names, values, colors):
    places = np.arange(len(values))
    ax.barh(places, values, color=colors, height=0.68)
    ax.set_yticks(places, [name if len(name) <= 33 else f"{name[:32]}…" for name in names])
    ax.tick_params(axis="y", length=0)
    for place, value in zip(places, values):
        ax.annotate(
            f"{value:,}", (value, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7, color=DARK
        )
    ax.xaxis.set_major_locator(plt.MaxNLocator(4))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.margins(x=0.14, y=0.02)


def _color(label):
    return CLASS_COLORS.get(label, GREY)
