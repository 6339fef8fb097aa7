"""Figures of the study of scale: where the time goes, what more workers and more clips bring, and what a million songs cost."""

import matplotlib.pyplot as plt

from pipeline.figures import style
from pipeline.figures.style import BLUE, DARK, GREEN, GREY, LIGHT, ORANGE, PINK, WIDTH
from pipeline.studies import findings

ENGINES = (("processes", "processes (joblib)", BLUE, "o"), ("dask", "Dask workers", ORANGE, "s"))


def write(results, folder):
    """Draw all figures from what `pipeline.studies.scale` measured, as `figure-scale-NAME.png` and `.svg` in `folder`."""
    style.use()
    for name, draw in (("stages", stages), ("workers", workers), ("clips", clips), ("million", million)):
        figure = draw(results)
        style.save(figure, f"scale-{name}", folder)
        plt.close(figure)


def stages(results):
    """Core-seconds for each stage of one song, as one bar."""
    seconds = findings.stage_seconds(results)
    total = sum(seconds.values())
    figure, ax = plt.subplots(figsize=(WIDTH, 1.5))
    left = 0
    for (name, value), color in zip(seconds.items(), (BLUE, GREY, GREEN, ORANGE)):
        ax.barh(0, value, left=left, color=color, label=f"{name} {value / total:.0%}")
        left += value
    ax.set(yticks=[], xlabel=f"Seconds of one core for a song of {results['song_seconds']} seconds", xlim=(0, total))
    ax.set_title(f"{results['song_seconds'] / total:.0f} times real time")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def workers(results):
    """Speed of each work, and memory, against workers: processes of one machine and a Dask cluster on it."""
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 4.2), sharex=True)
    memory = axes.flat[-1]
    for kind, name, color, marker in ENGINES:
        counts = [row["workers"] for row in results[kind]]
        for work, ax in zip(findings.WORKS, axes.flat):
            one = results["processes"][0]["real_time"][work]
            ax.plot(
                counts, [row["real_time"][work] / one for row in results[kind]], marker=marker, color=color, label=name
            )
            ax.set_title(work)
        memory.plot(counts, [row["worker_mb"] for row in results[kind]], marker=marker, color=color)
    highest = max(ax.dataLim.y1 for ax in axes.flat[:-1])
    for ax in axes.flat[:-1]:
        ax.set_ylim(0, 1.1 * highest)
        ax.plot([1, 2], [1, 2], color=DARK, linewidth=0.9, linestyle=(0, (2, 2)), label="twice as many, twice as fast")
    memory.axhline(findings.WANTED_MB, color=PINK, linewidth=0.9)
    memory.text(1, findings.WANTED_MB, f"wanted: under {findings.WANTED_MB}", color=PINK, fontsize=7, va="bottom")
    memory.set(title="peak memory (MB)", xticks=(1, 2, 4), ylim=(0, 1.2 * findings.WANTED_MB))
    for ax in axes[:, 0]:
        ax.set_ylabel("Speed-up over one process")
    for ax in axes[1]:
        ax.set_xlabel("Workers")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def clips(results):
    """Throughput and memory against the number of clips, of datasets and of whole batches."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.0))
    for work, color in (("reading", GREY), ("features", GREEN), ("inference", BLUE), ("training", ORANGE)):
        left.loglog(
            [row["clips"] for row in results["datasets"]],
            [row[work] for row in results["datasets"]],
            marker="o",
            color=color,
            label=work,
        )
    counts = [row["clips"] for row in results["batches"]]
    left.loglog(
        counts,
        [row["songs_per_second"] * results["song_seconds"] for row in results["batches"]],
        marker="s",
        color=PINK,
        label="labelling, 2 workers",
    )
    left.set(xlabel="Clips", ylabel="Clips a second")
    for rows, key, color, name in (
        ("datasets", "peak_mb", ORANGE, "process that trains"),
        ("batches", "worker_mb", PINK, "largest worker of a batch"),
        ("batches", "parent_mb", BLUE, "process that writes its rows"),
    ):
        right.semilogx(
            [row["clips"] for row in results[rows]],
            [row[key] for row in results[rows]],
            marker="o",
            color=color,
            label=name,
        )
    highest = max(
        row[key]
        for rows, key in (("datasets", "peak_mb"), ("batches", "worker_mb"), ("batches", "parent_mb"))
        for row in results[rows]
    )
    right.set(xlabel="Clips", ylabel="Peak memory (MB)", ylim=(0, 1.15 * highest))
    left.set_ylim(top=8 * left.dataLim.y1)  # room for the legend
    left.legend(fontsize=7, loc="upper right", ncols=2)
    right.legend(fontsize=7, loc="lower left")
    return figure


def million(results):
    """Days for a million songs, by what limits them."""
    days = findings.costs(results)["days"]
    figure, ax = plt.subplots(figsize=(WIDTH, 1.7))
    bars = ax.barh(list(days)[::-1], list(days.values())[::-1], color=[BLUE, BLUE, ORANGE], height=0.6)
    ax.bar_label(
        bars,
        [f" {value:,.0f} days" if value >= 2 else f" {24 * value:,.0f} hours" for value in list(days.values())[::-1]],
    )
    ax.set(xlabel="Days for a million songs of 4 minutes (extrapolated)", xlim=(0, 1.2 * max(days.values())))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=LIGHT)
    return figure
