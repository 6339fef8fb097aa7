"""The measurements of speed and memory behind docs/scale.md, on the machine at hand.

`python -m pipeline.studies.scale` measures what is missing in data/results/scale.json, draws the figures and writes the
page's section. It needs a machine with nothing else to do, for about ten minutes on two cores.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from nn import Model
from pipeline import files
from pipeline.batch import labelling
from pipeline.batch.journal import Journal
from pipeline.errors import Cancelled
from pipeline.song import recognition
from pipeline.song.audio import SAMPLE_RATE
from pipeline.studies import workloads
from pipeline.workers import Pool

ROOT = recognition.MODEL_PATH.parents[1]


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    song_seconds: int = 240
    repeats: int = 5  # of each stage
    songs: int = 16  # labelled by each engine, in each of `rounds`
    rounds: int = 2  # of one worker and two in turn
    most: int = 1_000_000  # clips of the largest dataset and batch, and lines of the list
    labelled: int = 60  # songs of a long batch, its last ones
    batches: int = 32  # of a dataset that the model learns from


SIZE = Size()


def lists(song, version, size):
    """The time to read a long list."""
    yield _in_new_process(workloads.read_list, size.most)


def stages(song, version, size):
    """Seconds of one core for each stage of labelling a song."""
    yield workloads.stages(song, version, size.repeats)


def workers(song, version, size):
    """Times real time of labelling with one worker and two, by joblib and by Dask.

    One worker and two take turns, and of each the fastest round counts: another program's noise in one of them would
    make their ratio too large or too small. `lost` is the share of the workers' time between songs.
    """
    for engine in ("joblib", "Dask"):
        rounds = {1: [], 2: []}
        for n in (1, 2) * size.rounds:
            with _pool(engine, n) as pool:
                _label(pool, 2 * n, song, version)  # so that every worker has started
                started = time.perf_counter()
                found = _label(pool, size.songs, song, version)
                seconds = time.perf_counter() - started
            row = {
                "engine": engine,
                "workers": n,
                "real_time": round(size.songs * size.song_seconds / seconds, 1),
                "lost": round(1 - sum(busy for busy, _ in found) / n / seconds, 4),
                "worker_mb": round(max(peak for _, peak in found)),
            }
            rounds[n].append(row)
        for rows in rounds.values():
            yield max(rows, key=lambda row: row["real_time"])


def _label(pool, n_songs, song, version):
    return [finished.result() for finished in pool.run(workloads.timed_label, [(song, version)] * n_songs)]


@contextmanager
def _pool(engine, n):
    """A Pool of `n` workers: processes of joblib, or of a Dask cluster on this machine."""
    with ExitStack() as stack:
        address = None
        if engine == "Dask":
            from distributed import LocalCluster

            cluster = LocalCluster(n_workers=n, threads_per_worker=1, processes=True, dashboard_address=":0")
            address = stack.enter_context(cluster).scheduler_address
        yield stack.enter_context(Pool(n, address))


def datasets(song, version, size):
    """Clips a second of larger and larger datasets."""
    samples = np.resize(workloads.sample_songs(), size.most * workloads.STEP + SAMPLE_RATE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "samples.npy")
        np.save(path, np.rint(samples * 32767).astype(np.int16))
        for n_clips in _sizes(size):
            yield _in_new_process(workloads.dataset, path, n_clips, version.path, size.batches)


def batches(song, version, size):
    """Songs a second of longer and longer batches; of a long one, all but the last songs have their row already."""
    row = workloads.label(song, version)
    for n_clips in _sizes(size):
        with tempfile.TemporaryDirectory() as folder:
            songs, out = Path(folder, "songs"), Path(folder, "rows.parquet")
            songs.mkdir()
            n_songs = max(round(n_clips / size.song_seconds), 4)
            for i in range(n_songs):
                (songs / f"{i:06}.m4a").symlink_to(song)
            if n_songs > size.labelled:
                with suppress(Cancelled):
                    labelling.run(songs, out, version.path, workers=1, progress=_stop)
                with Journal(out, {}) as journal:
                    for entry in journal.pending(n_songs - size.labelled):
                        journal.record(entry, row)
            found = _in_new_process(workloads.batch, songs, out, version.path)
            yield {"clips": n_clips, "songs": n_songs} | found


def _stop(step, *_):
    if step == "listening":
        raise Cancelled


def _sizes(size):
    """A thousand clips, ten times as many, and so on."""
    return [n for n in (1000, 10_000, 100_000, 1_000_000) if n <= size.most]


def _in_new_process(function, *arguments):
    """What a function returns in a process of its own, whose memory nothing else has filled."""
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        return executor.submit(function, *arguments).result()


PARTS = {part.__name__: part for part in (lists, stages, workers, datasets, batches)}


def measure(parts=(), size=SIZE, folder=ROOT):
    """Measure `parts`, or what is missing, into data/results of `folder`; with all parts there, write the page."""
    path = folder / "data/results/scale.json"
    version = labelling.Version(str(recognition.MODEL_PATH), labelling.fingerprint(recognition.MODEL_PATH))
    machine = platform.machine(), f"{os.cpu_count()} cores", platform.system(), f"Python {platform.python_version()}"
    about = {
        "machine": ", ".join(machine),
        "parameters": int(Model.load(version.path).summary()["parameters"].iloc[-1]),
        "song_seconds": size.song_seconds,
    }
    results = json.loads(path.read_text()) if path.exists() else {}
    if any(results.get(name) != value for name, value in about.items()):
        results = about  # of another machine or network, nothing is kept
    with tempfile.TemporaryDirectory() as temporary:
        song = Path(temporary, "song.m4a")
        workloads.make_song(song, size.song_seconds)
        for name in parts or [name for name in PARTS if name not in results]:
            started, rows = time.monotonic(), []
            for row in PARTS[name](str(song), version, size):
                print(f"{name}: {row}", flush=True)
                rows.append(row)
            results |= {name: rows, "date": f"{date.today():%Y-%m-%d}"}
            files.write_json(path, results)
            print(f"{name} took {time.monotonic() - started:.0f} s", flush=True)
    if missing := [name for name in PARTS if name not in results]:
        print(f"Still to be measured: {', '.join(missing)}")
    else:
        from pipeline.studies import scale_page  # not above: matplotlib would add to the memory that is measured

        scale_page.write(results, folder)


def main(arguments=None):
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.studies.scale", description="Measure throughput and memory on this machine."
    )
    choices = ", ".join(PARTS)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"measured again, out of {choices} (default: what is missing)"
    )
    parts = parser.parse_args(arguments).parts
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; choose from {choices}")
    measure(parts)


if __name__ == "__main__":
    main()
