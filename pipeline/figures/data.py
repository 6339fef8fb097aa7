"""Figures of a dataset: its clips by class, split, kind of sound, source and recording."""

import itertools

import matplotlib.pyplot as plt
import numpy as np

from pipeline.figures.style import CLASS_COLORS, DARK, WIDTH, class_color, horizontal_bars

MOST_BARS = 14
SPLIT_HATCHES = {"train": "", "validation": "////", "test": "xxxx"}


def distribution(table):
    """Clips by class and split, and by the kind of sound.

    `table`, here and below: a row a clip, as `pipeline.corpus.dataset.load` gives it.
    """
    kinds = table.groupby(["label", "kind"]).size().sort_values().reset_index(name="clips")
    size = WIDTH, max(2.8, 0.2 * len(kinds) + 0.9)
    figure, (left, right) = plt.subplots(1, 2, figsize=size, width_ratios=(1, 1.35))
    labels = sorted(table["label"].unique(), reverse=True)
    box = {"facecolor": "white", "linewidth": 0, "pad": 1.2, "alpha": 0.9}
    for place, label in enumerate(labels):
        bottom, color = 0, class_color(label)
        for split, hatch in SPLIT_HATCHES.items():
            n = int(((table["label"] == label) & (table["split"] == split)).sum())
            left.bar(place, n, bottom=bottom, color=color, hatch=hatch, edgecolor="white", linewidth=0.8)
            if n > 0.03 * len(table):
                text = f"{split} {n:,}"
                left.text(place, bottom + n / 2, text, ha="center", va="center", fontsize=7, color=DARK, bbox=box)
            bottom += n
        left.text(place, bottom, f"{bottom:,}", ha="center", va="bottom", fontsize=9, weight="bold", color=DARK)
    left.set(xticks=range(len(labels)), xticklabels=labels, ylabel="Clips of one second", title="By class and split")
    left.yaxis.set_major_formatter("{x:,.0f}")
    left.margins(y=0.1)
    _bars(right, kinds["kind"], kinds["clips"], [class_color(label) for label in kinds["label"]])
    right.set_title("By kind of sound")
    return figure


def by_source(table):
    """Clips by source, and the most frequent instruments of the class Other."""
    sources = table.groupby(["label", "source"]).size().sort_values().tail(MOST_BARS).reset_index(name="clips")
    instruments = table.loc[(table["label"] == "Other") & (table["instrument"] != ""), "instrument"]
    instruments = instruments.value_counts().head(MOST_BARS)[::-1]
    size = WIDTH, 0.2 * max(len(sources), len(instruments)) + 0.9
    figure, (left, right) = plt.subplots(1, 2, figsize=size)
    names = sources["source"] + " · " + sources["label"].str[0]
    _bars(left, names, sources["clips"], [class_color(label) for label in sources["label"]])
    _bars(right, instruments.index, instruments, CLASS_COLORS["Other"])
    left.set_title("By source (P: Piano, O: Other)")
    right.set_title("Other: most frequent")
    return figure


def by_recording(table):
    """How many seconds were taken from each recording, a line a class, longest first."""
    figure, ax = plt.subplots(figsize=(WIDTH, 2.5))
    for (label, part), style in zip(table.groupby("label", sort=False), itertools.cycle(("-", "--", ":", "-."))):
        seconds = part.groupby("recording").size().sort_values(ascending=False).to_numpy()
        words = f"{label}: {len(seconds):,} recordings, median {np.median(seconds):.0f} s"
        ax.plot(np.arange(1, len(seconds) + 1), seconds, color=class_color(label), linestyle=style, label=words)
    ax.set(xscale="log", yscale="log", xlabel="Recordings, the longest first", ylabel="Seconds in the dataset")
    ax.grid()
    ax.legend()
    return figure


def _bars(ax, names, clips, colors):
    horizontal_bars(ax, [name if len(name) <= 33 else f"{name[:32]}…" for name in names], clips, colors, "{:,}")
    ax.set_xlabel("Clips")
    ax.xaxis.set_major_locator(plt.MaxNLocator(4))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.margins(x=0.14)


def scraped(songs):
    """What came of a list of songs, and what did not: by label, by family, and the seconds by label.

    `songs`: a row a song, as `pipeline.corpus.playlists.scrape` gives it.
    """
    songs = songs.assign(came=songs["error"].isna(), family=songs["family"].fillna("").replace("", "no family"))
    several = songs.groupby("label")["family"].transform("nunique") > 1
    families = songs[several].groupby(["family", "label"])["came"].agg(["size", "sum"]).sort_index(ascending=False)
    size = WIDTH, max(2.8, 0.13 * len(families) + 0.8)
    figure, (left, right) = plt.subplots(1, 2, figsize=size, width_ratios=(1, 1.2))
    for place, (label, part) in enumerate(songs.groupby("label", sort=False)):
        n, gone, hours = len(part), int((~part["came"]).sum()), part["seconds"].sum() / 3600
        left.bar(place, n - gone, color=class_color(label), width=0.6)
        left.bar(place, gone, bottom=n - gone, color="white", edgecolor=class_color(label), hatch="////", width=0.6)
        text = f"{n - gone} came, {hours:.1f} h\n{gone} gone"
        left.text(place, n, text, ha="center", va="bottom", fontsize=8, color=DARK)
    labels = list(songs["label"].drop_duplicates())
    left.set(xticks=range(len(labels)), xticklabels=labels, ylabel="Songs", title="By label (hatched: gone)")
    left.set_ylim(0, 1.2 * songs["label"].value_counts().max())
    places, colors = np.arange(len(families)), [class_color(label) for _, label in families.index]
    right.barh(places, families["sum"], color=colors, height=0.7)
    missing = families["size"] - families["sum"]
    right.barh(places, missing, left=families["sum"], color="white", edgecolor=colors, hatch="////", height=0.7)
    right.set_yticks(places, [family for family, _ in families.index], fontsize=6)
    right.set(title="By family", xlabel="Songs")
    right.xaxis.set_major_locator(plt.MaxNLocator(integer=True))
    right.margins(y=0.01)
    return figure
