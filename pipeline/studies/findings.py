"""What the study of scale found, as the section of docs/scale.md: tables of what was measured, and what follows from it."""

from pipeline.batch import PER_HOUR

STAGES = ("decoding", "cleaning", "features", "network")
WORKS = ("labelling", "decoding", "features", "inference", "training")
ENGINES = {"processes": "joblib", "dask": "Dask"}
WANTED_MB, WANTED_SPEED_UP, WANTED_LOST, WANTED_REAL_TIME = 400, 1.7, 0.05, 150
SONGS = 1_000_000
CORES = 64


def stage_seconds(results):
    """Core-seconds of one song by stage: what `inference` takes longer than `features` is the network's."""
    seconds = {row["stage"]: row["seconds"] for row in results["stages"]}
    return {name: seconds.get(name, max(seconds["inference"] - seconds["features"], 0)) for name in STAGES}


def goals(results):
    """What labelling must reach: {what: (found, wanted, whether it is)}."""
    one, two = results["processes"]
    speed_up = two["real_time"]["labelling"] / one["real_time"]["labelling"]
    memory = max(row["worker_mb"] for part in ("processes", "dask", "batches") for row in results[part])
    rate = one["real_time"]["labelling"]
    return {
        "speed of 2 workers over 1": (f"{speed_up:.2f}", f"at least {WANTED_SPEED_UP}", speed_up >= WANTED_SPEED_UP),
        "time lost between songs, 2 workers": (
            f"{two['lost']:.1%}",
            f"under {WANTED_LOST:.0%}",
            two["lost"] < WANTED_LOST,
        ),
        "times real time, 1 core": (f"{rate:.0f}", f"at least {WANTED_REAL_TIME}", rate >= WANTED_REAL_TIME),
        "peak memory of a worker, any engine and length": (f"{memory} MB", f"under {WANTED_MB} MB", memory < WANTED_MB),
    }


def costs(results):
    """What a million songs would cost, extrapolated: core-hours, days by what limits them, terabytes, gigabytes."""
    core_hours = SONGS * results["song_seconds"] * 2 / results["processes"][1]["real_time"]["labelling"] / 3600
    days = {
        f"downloading, {PER_HOUR} an hour": SONGS / PER_HOUR / 24,
        "listening, 2 cores": core_hours / 2 / 24,
        f"listening, {CORES} cores": core_hours / CORES / 24,
    }
    return {
        "core_hours": core_hours,
        "days": days,
        "sound_tb": SONGS * results["song_bytes"] / 1e12,
        "rows_gb": SONGS * results["batches"][-1]["journal_bytes_per_song"] / 1e9,
    }


def markdown(results):
    """The section, with its figures."""
    seconds, found = stage_seconds(results), costs(results)
    total, _longest, read = sum(seconds.values()), results["batches"][-1], results["lists"][-1]
    engines = [(ENGINES[kind], row) for kind in ENGINES for row in results[kind]]
    limits = sorted(found["days"].items(), key=lambda item: -item[1])
    parts = [
        f"Measured on {results['date']} ({results['machine']}) with songs of {results['song_seconds']} seconds, AAC in stereo, and the model that shipped "
        f"then ({results['parameters']:,} parameters). A clip is a second of sound, so clips a second are times real time.",
        _table(
            ["labelling", "found", "wanted", ""],
            [[name, *goal[:2], "reached" if goal[2] else "**missed**"] for name, goal in goals(results).items()],
        ),
        "### Where the time goes",
        _table(
            ["stage of a song", "core-seconds", "share", "times real time"],
            [
                [name, f"{value:.3f}", f"{value / total:.0%}", f"{results['song_seconds'] / max(value, 1e-4):,.0f}"]
                for name, value in seconds.items()
            ],
        ),
        "![The stages of labelling one song, as shares of one core's time](../figures/figure-scale-stages.png)",
        "### Against workers",
        "Times real time of all workers together, on one machine; Dask's are processes of a LocalCluster. Lost is the share of the workers' time "
        "in which they had no song.",
        _table(
            ["engine", "workers", *WORKS, "lost", "MB a worker"],
            [
                [
                    name,
                    row["workers"],
                    *(f"{row['real_time'][work]:,.0f}" for work in WORKS),
                    f"{row['lost']:.1%}",
                    row["worker_mb"],
                ]
                for name, row in engines
            ],
        ),
        "![Speed-up and memory against the number of workers](../figures/figure-scale-workers.png)",
        "### Against the number of clips",
        "Datasets, clips a second on one core: a thousand clips repeated, all of them read by the data generator, and as many as the table says, "
        "drawn from all over them, looked at, judged and learnt from.",
        _table(
            ["clips", "reading", "for the rest", "features", "inference", "training", "peak MB"],
            [
                [
                    f"{row['clips']:,}",
                    *(f"{row[key]:,.0f}" for key in ("reading", "share", "features", "inference", "training")),
                    row["peak_mb"],
                ]
                for row in results["datasets"]
            ],
        ),
        "Batches with two workers: one song repeated. Of a long batch only the last songs are listened to; the others have their row in the "
        "journal before the clock starts.",
        _table(
            ["clips", "songs", "listened to", "clips a second", "start s", "end s", "MB, rows", "MB a worker"],
            [
                [
                    f"{row['clips']:,}",
                    f"{row['songs']:,}",
                    row["listened"],
                    f"{row['songs_per_second'] * results['song_seconds']:,.0f}",
                    f"{row['start_seconds']:.1f}",
                    f"{row['end_seconds']:.1f}",
                    row["parent_mb"],
                    row["worker_mb"],
                ]
                for row in results["batches"]
            ],
        ),
        f"A list of {read['lines']:,} links is in the journal after {read['seconds']:.0f} seconds, in a process of {read['peak_mb']} MB.",
        "![Throughput and memory against the number of clips](../figures/figure-scale-clips.png)",
        "### A million songs: extrapolated, not measured",
        f"At the rate of two workers, a million songs of {results['song_seconds']} seconds cost {found['core_hours']:,.0f} core-hours. "
        f"{max(seconds, key=seconds.get).capitalize()} takes most of them. Downloads are deleted once heard; kept, they would be "
        f"{found['sound_tb']:,.1f} TB. The journal grows to {found['rows_gb']:.1f} GB.",
        _table(["limit", "days"], [[name, f"{days:,.1f}"] for name, days in limits]),
        f"The limit that comes first is {limits[0][0].split(',')[0]}.",
        "![Days for a million songs by what limits them](../figures/figure-scale-million.png)",
    ]
    return "\n\n".join(parts)


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
