"""Figures of the study of scale: where the time goes, and speed and memory against the number of clips."""

import matplotlib.pyplot as plt

from pipeline.figures.style import BLUE, GREEN, GREY, ORANGE, PINK, WIDTH


def stages(seconds, song_seconds):
    """Core-seconds for each stage of one song, as one bar. `seconds`: dict of stage to seconds."""
    total, left = sum(seconds.values()), 0
    figure, ax = plt.subplots(figsize=(WIDTH, 1.5))
    for (name, value), color in zip(seconds.items(), (BLUE, GREY, GREEN, ORANGE)):
        ax.barh(0, value, left=left, color=color, label=f"{name} {value / total:.0%}")
        left += value
    ax.set(yticks=[], xlabel=f"Seconds of one core for a song of {song_seconds} seconds", xlim=(0, total))
    ax.set_title(f"{song_seconds / total:.0f} times real time")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def clips(datasets, batches, song_seconds):
    """Throughput and memory against the number of clips. `datasets`, `batches`: a row a size, the columns as drawn."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.0))
    for work, color in (("reading", GREEN), ("training", ORANGE)):
        left.loglog(datasets["clips"], datasets[work], marker="o", color=color, label=work)
    speed = batches["songs_per_second"] * song_seconds
    left.loglog(batches["clips"], speed, marker="s", color=PINK, label="labelling, 2 workers")
    left.set(xlabel="Clips", ylabel="Clips a second")
    left.set_ylim(top=8 * left.dataLim.y1)  # room for the legend
    for table, column, color, name in (
        (datasets, "peak_mb", ORANGE, "process that trains"),
        (batches, "worker_mb", PINK, "largest worker of a batch"),
        (batches, "parent_mb", BLUE, "process that writes its rows"),
    ):
        right.semilogx(table["clips"], table[column], marker="o", color=color, label=name)
    right.set(xlabel="Clips", ylabel="Peak memory (MB)", ylim=(0, 1.15 * right.dataLim.y1))
    left.legend(fontsize=7, loc="upper right", ncols=2)
    right.legend(fontsize=7, loc="lower left")
    return figure
