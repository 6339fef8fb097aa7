"""What the study of scale found, as the section of docs/scale.md with its tables and figures."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from pipeline import files
from pipeline.batch import PER_HOUR
from pipeline.figures import scale as figures
from pipeline.figures import style

STAGES = ("decoding", "cleaning", "features", "network")
MOST_MB, LEAST_SPEED_UP, MOST_LOST, LEAST_REAL_TIME = 400, 1.7, 0.05, 150  # the goals of labelling


def write(results, folder):
    """Draw the figures and write the section, in a `folder` with docs/scale.md; `results` are those of `scale`."""
    style.use()
    length, datasets, batches = results["song_seconds"], *map(pd.DataFrame, (results["datasets"], results["batches"]))
    for name, figure in (
        ("stages", figures.stages(stage_seconds(results), length)),
        ("clips", figures.clips(datasets, batches, length)),
    ):
        style.save(figure, f"scale-{name}", Path(folder, "figures"))
        plt.close(figure)
    files.write_section(Path(folder, "docs/scale.md"), "scale", markdown(results))


def stage_seconds(results):
    """Core-seconds of one song by stage: the network's are those of `inference` without those of `features`."""
    (seconds,) = results["stages"]
    return {name: seconds.get(name, max(seconds["inference"] - seconds["features"], 0)) for name in STAGES}


def goals(results):
    """What labelling must reach: a dict of what, found, goal and is_reached each."""
    one, two = (row for row in results["workers"] if row["engine"] == "joblib")
    speed_up, lost, speed = two["real_time"] / one["real_time"], two["lost"], one["real_time"]
    memory = max(row["worker_mb"] for part in ("workers", "batches") for row in results[part])
    found = (
        ("speed of 2 workers over 1", f"{speed_up:.2f}", f"at least {LEAST_SPEED_UP}", speed_up >= LEAST_SPEED_UP),
        ("time lost between songs, 2 workers", f"{lost:.1%}", f"under {MOST_LOST:.0%}", lost < MOST_LOST),
        ("times real time, 1 worker", f"{speed:.0f}", f"at least {LEAST_REAL_TIME}", speed >= LEAST_REAL_TIME),
        ("peak memory of a worker", f"{memory} MB", f"under {MOST_MB} MB", memory < MOST_MB),
    )
    return [dict(zip(("what", "found", "goal", "is_reached"), goal)) for goal in found]


def markdown(results):
    """The section, with its figures."""
    length, seconds, (read,) = results["song_seconds"], stage_seconds(results), results["lists"]
    reached = [goal | {"reached": "reached" if goal["is_reached"] else "**missed**"} for goal in goals(results)]
    stages = [
        {"stage": name, "seconds": value, "share": value / sum(seconds.values()), "speed": length / max(value, 1e-4)}
        for name, value in seconds.items()
    ]
    batches = [row | {"speed": row["songs_per_second"] * length} for row in results["batches"]]
    parts = [
        f"Measured on {results['date']} ({results['machine']}) with songs of {length} seconds, AAC in stereo, and a "
        f"model of {results['parameters']:,} parameters. A clip is a second of sound, so clips a second are times "
        f"real time. Links are limited by their download: {PER_HOUR} songs an hour are "
        f"{PER_HOUR * length / 3600:.0f} times real time.",
        _table(reached, {"labelling": "{what}", "found": "{found}", "goal": "{goal}", "": "{reached}"}),
        "### Where the time goes",
        _table(
            stages,
            {
                "stage of a song": "{stage}",
                "core-seconds": "{seconds:.3f}",
                "share": "{share:.0%}",
                "times real time": "{speed:,.0f}",
            },
        ),
        "![The stages of labelling one song, as shares of one core's time](../figures/figure-scale-stages.png)",
        "### More workers",
        "Times real time of all workers together; Dask's are processes of a cluster on the same machine. One worker "
        "and two took turns, and the fastest round of each counts. Lost is the share of the workers' time between "
        "songs.",
        _table(
            results["workers"],
            {
                "engine": "{engine}",
                "workers": "{workers}",
                "times real time": "{real_time:,.0f}",
                "lost": "{lost:.1%}",
                "MB a worker": "{worker_mb}",
            },
        ),
        "### More clips",
        "Clips a second of a dataset, on one core. The clips begin a millisecond apart in the sample songs; the data "
        "generator reads the whole dataset, and the model learns from its first batches.",
        _table(
            results["datasets"],
            {"clips": "{clips:,}", "reading": "{reading:,.0f}", "training": "{training:,.0f}", "peak MB": "{peak_mb}"},
        ),
        "Batches with two workers. One song is repeated; of a long batch only the last songs are labelled, the others "
        "have their row in the journal before the clock starts. Memory is that of the process that writes the rows, "
        "and that of the largest worker.",
        _table(
            batches,
            {
                "clips": "{clips:,}",
                "songs": "{songs:,}",
                "labelled": "{labelled}",
                "clips a second": "{speed:,.0f}",
                "start s": "{start_seconds:.1f}",
                "end s": "{end_seconds:.1f}",
                "MB, rows": "{parent_mb}",
                "MB a worker": "{worker_mb}",
            },
        ),
        f"A list of {read['lines']:,} links is in the journal after {read['seconds']:.0f} seconds, in a process of "
        f"{read['peak_mb']} MB.",
        "![Throughput and memory against the number of clips](../figures/figure-scale-clips.png)",
    ]
    return "\n\n".join(parts)


def _table(rows, columns):
    """A Markdown table of dicts. `columns`: dict of heading to format."""
    lines = [columns, ["---"] * len(columns), *([text.format(**row) for text in columns.values()] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
