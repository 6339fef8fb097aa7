"""Figures of the study of scale: where the time goes, what more workers and more clips bring, and what a million songs cost."""

from pathlib import Path

import matplotlib.pyplot as plt

from pipeline.figures import style
from pipeline.figures.style import BLUE, DARK, GREEN, GREY, LIGHT, ORANGE, WIDTH

STAGES = ("decoding", "cleaning", "features", "network")
DOWNLOADS = 300  # an hour, what YouTube grants a guest
SONGS = 1_000_000


def write(results, folder=None):
    """Draw all figures from what `pipeline.batch.scale` measured, as `figure-scale-NAME.png` and `.svg` in `folder`."""
    style.use()
    folder = Path(folder or style.FIGURES)
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in (("stages", stages), ("workers", workers), ("clips", clips), ("million", million)):
        figure = draw(results)
        for suffix, options in (("png", {"dpi": style.PRINT_DPI}), ("svg", {"metadata": {"Date": None}})):
            figure.savefig(folder / f"figure-scale-{name}.{suffix}", **options)
        plt.close(figure)


def stages(results):
    """Core-seconds for each stage of one song, as one bar."""
    seconds, total = results["stages"]["seconds"], sum(results["stages"]["seconds"][name] for name in STAGES)
    figure, ax = plt.subplots(figsize=(WIDTH, 1.5))
    left = 0
    for name, color in zip(STAGES, (BLUE, GREY, GREEN, ORANGE)):
        ax.barh(0, seconds[name], left=left, color=color, label=f"{name} {seconds[name] / total:.0%}")
        left += seconds[name]
    ax.set(yticks=[], xlabel=f"Seconds of one core for a song of {results['song_seconds'] // 60} minutes", xlim=(0, total))
    ax.set_title(f"{results['song_seconds'] / total:.0f} times real time")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def workers(results):
    """Throughput and memory against workers, for processes of one machine and for a Dask cluster on it."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.7))
    for engine, color, marker, name in (("processes", BLUE, "o", "processes (joblib)"), ("dask", ORANGE, "s", "Dask workers")):
        rows = [row for row in results["engines"] if row["engine"] == engine]
        counts = [row["workers"] for row in rows]
        left.plot(counts, [row["real_time"] for row in rows], marker=marker, color=color, label=name)
        right.plot(counts, [row["worker_mb"] for row in rows], marker=marker, color=color)
    one = next(row["real_time"] for row in results["engines"] if row["workers"] == 1)
    left.plot([1, 2], [one, 2 * one], color=DARK, linewidth=0.9, linestyle=(0, (2, 2)), label="twice as many, twice as fast")
    left.set(xlabel="Workers", ylabel="Times real time", xticks=(1, 2, 4), ylim=(0, 1.1 * max(2 * one, *(row["real_time"] for row in results["engines"]))))
    right.axhline(400, color=DARK, linewidth=0.9, linestyle=(0, (2, 2)))
    right.text(4, 400, "limit", ha="right", va="bottom", fontsize=7, color=DARK)
    right.set(xlabel="Workers", ylabel="Peak memory of a worker (MB)", xticks=(1, 2, 4), ylim=(0, 440))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def clips(results):
    """Throughput and memory of whole batches against the number of their clips."""
    rows = results["lengths"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.7))
    counts = [row["clips"] for row in rows]
    left.semilogx(counts, [row["clips_per_second"] for row in rows], marker="o", color=BLUE)
    left.set(xlabel="Clips in the batch", ylabel="Clips a second, 2 workers", ylim=(0, 1.15 * max(row["clips_per_second"] for row in rows)))
    right.semilogx(counts, [row["worker_mb"] for row in rows], marker="s", color=ORANGE, label="largest worker")
    right.semilogx(counts, [row["parent_mb"] for row in rows], marker="o", color=BLUE, label="process that writes the rows")
    right.set(xlabel="Clips in the batch", ylabel="Peak memory (MB)", ylim=(0, 440))
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def costs(results):
    """What a million songs would cost, extrapolated: core-hours, and days by what limits them."""
    two = next(row for row in results["engines"] if row["engine"] == "processes" and row["workers"] == 2)
    core_hours = SONGS * 2 / two["songs_per_hour"]
    days = {"downloading, 300 an hour": SONGS / DOWNLOADS / 24, "listening, 2 cores": core_hours / 2 / 24, "listening, 64 cores": core_hours / 64 / 24}
    rows = results["lengths"][-1]["parquet_bytes_per_song"] * SONGS / 1e9
    return {"core_hours": core_hours, "days": days, "download_tb": SONGS * results["song_bytes"] / 1e12, "rows_gb": rows}


def million(results):
    """Days for a million songs, by what limits them."""
    days = costs(results)["days"]
    figure, ax = plt.subplots(figsize=(WIDTH, 1.7))
    bars = ax.barh(list(days)[::-1], list(days.values())[::-1], color=[BLUE, BLUE, ORANGE], height=0.6)
    ax.bar_label(bars, [f" {value:,.0f} days" if value >= 2 else f" {24 * value:,.0f} hours" for value in list(days.values())[::-1]])
    ax.set(xlabel="Days for a million songs of 4 minutes (extrapolated)", xlim=(0, 1.2 * max(days.values())))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=LIGHT)
    return figure
