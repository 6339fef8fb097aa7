"""How fast, how large, how much: the measurements behind docs/scale.md, on the machine at hand.

`python -m pipeline.studies.scale` measures what is missing in data/results/scale.json, part by part, then draws the figures and
writes the page's section; with names of parts it measures these again. It wants a machine with nothing else to do: about
ten minutes on two cores, no part more than four.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from nn import Model
from pipeline import files
from pipeline.batch import labelling
from pipeline.song import recognition
from pipeline.studies import findings, lengths, stages
from pipeline.workers import Pool

TASKS = {
    "labelling": 1,
    "decoding": 1 / 2,
    "features": 2,
    "inference": 1 / 2,
    "training": 1 / 3,
}  # for each song of a Size


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    song_seconds: int = 240
    songs: int = 24  # labelled by each engine
    repeats: int = 5  # of each stage
    most: int = 1_000_000  # clips of the largest dataset and batch, and lines of the longest list
    listened: int = 120  # songs of a batch that are listened to, at its end
    batches: int = 64  # of a dataset that are learnt from


TINY = Size(song_seconds=8, songs=4, repeats=1, most=1000, listened=4, batches=2)


def one_core(song, version, size):
    """Seconds of one core for each stage of labelling a song, and for training on its clips."""
    for work in stages.works(song, version):
        yield {"stage": work, "seconds": round(stages.fastest(work, song, version, size.repeats), 4)}


def engines(kind, counts, song, version, size):
    """Times real time of each work with so many workers, the share of time lost between songs, and peak memory (MB)."""
    for n in counts:
        cluster = _cluster(n) if kind == "dask" else None
        row = {"engine": kind, "workers": n, "real_time": {}}
        with Pool(n, cluster and cluster.scheduler_address) as pool:
            for work, share in TASKS.items():
                warm = "labelling" if work == "labelling" else "features"
                _run(pool, warm, 2 * n, song, version)  # everybody has started, loaded the model, and decoded the song
                n_tasks = max(round(share * size.songs), 1)
                wall, found = _run(pool, work, n_tasks, song, version)
                row["real_time"][work] = round(n_tasks * size.song_seconds / wall, 1)
                if work == "labelling":
                    row["lost"] = round(1 - sum(seconds for seconds, _ in found) / n / wall, 4)
                    row["worker_mb"] = round(max(peak for _, peak in found))
        if cluster:
            cluster.close()
        yield row


def _run(pool, work, n_tasks, song, version):
    """Seconds on the clock for `n_tasks` times the same work, and what each returned."""
    started = time.perf_counter()
    found = [finished.result() for finished in pool.run(stages.timed, [(work, song, version)] * n_tasks)]
    return time.perf_counter() - started, found


def _cluster(n):
    from distributed import LocalCluster

    return LocalCluster(n_workers=n, threads_per_worker=1, processes=True, dashboard_address=":0")


PARTS = {
    "lists": lengths.lists,
    "stages": one_core,
    "processes": partial(engines, "processes", (1, 2)),
    "dask": partial(engines, "dask", (1, 2, 4)),
    "datasets": lengths.datasets,
    "batches": lengths.batches,
}


def main(arguments=None):
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.studies.scale", description="Measure throughput and memory on this machine."
    )
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"what to measure again, out of {', '.join(PARTS)} (default: what is missing)",
    )
    parser.add_argument(
        "--into",
        type=Path,
        default=lengths.ROOT,
        metavar="FOLDER",
        help="where data/results, figures and docs/scale.md are (default: here)",
    )
    parser.add_argument("--tiny", action="store_true", help="try everything in a minute; the figures mean nothing")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    if options.tiny and options.into == lengths.ROOT:
        parser.error(
            "--tiny measures nothing worth keeping; give --into FOLDER, a copy of data/results, figures and docs/scale.md"
        )
    size = TINY if options.tiny else Size()
    path = options.into / "data/results/scale.json"
    version = labelling.Version(str(recognition.MODEL_PATH), labelling.fingerprint(recognition.MODEL_PATH))
    about = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        "parameters": int(Model.load(version.path).summary()["parameters"].iloc[-1]),
        "song_seconds": size.song_seconds,
    }
    results = json.loads(path.read_text()) if path.exists() else {}
    if any(results.get(name) != value for name, value in about.items()):
        results = about  # what another machine or network did is no part of this
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder, "song.m4a")
        stages.make_song(song, size.song_seconds)
        results["song_bytes"] = song.stat().st_size
        for name in options.parts or [name for name in PARTS if name not in results]:
            started, rows = time.monotonic(), []
            for row in PARTS[name](str(song), version, size):
                print(f"{name}: {row}", flush=True)
                rows.append(row)
            results |= {name: rows, "date": f"{date.today():%Y-%m-%d}"}
            files.write_json(path, results)
            print(f"{name} took {time.monotonic() - started:.0f} s", flush=True)
    if missing := [name for name in PARTS if name not in results]:
        print(f"Still to be measured: {', '.join(missing)}")
        return 0
    from pipeline.figures import scale as figures

    figures.write(results, options.into / "figures")
    files.write_section(options.into / "docs/scale.md", "scale", findings.markdown(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
