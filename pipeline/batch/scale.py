"""How fast, how large, how much: the measurements behind docs/scale.md, on the machine at hand.

`python -m pipeline.batch.scale` writes data/results/scale.json and the figures. It wants a machine with nothing else to do;
the full run, up to a million clips, takes about an hour on two cores (`--most-clips 10000` a few minutes).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from nn import ClipSequence, Model, RMSprop, parallel
from nn.parallel import one_blas_thread
from pipeline import recognition
from pipeline.audio import SAMPLE_RATE, decode, load
from pipeline.batch import labelling, song_list
from pipeline.batch.journal import Journal
from pipeline.cleaning import cut
from pipeline.workers import Pool

RESULTS = recognition.MODEL_PATH.parent / "results" / "scale.json"
SAMPLES = recognition.MODEL_PATH.parent / "samples"
SONG_SECONDS = 240
ENGINES = (("processes", 1), ("processes", 2), ("dask", 1), ("dask", 2), ("dask", 4))


def make_song(path, seconds=SONG_SECONDS, rate=44_100):
    """Write a song as YouTube serves it (AAC in m4a, 44.1 kHz, stereo, 128 kbit/s), of the samples that ship, repeated."""
    songs = [load(song) for song in sorted(SAMPLES.iterdir()) if song.stem.startswith(("piano-", "other-"))]
    samples = np.resize(np.concatenate(songs), seconds * SAMPLE_RATE)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="stereo")
        stream.bit_rate = 128_000
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
        for start in range(0, len(samples), SAMPLE_RATE):
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis, start : start + SAMPLE_RATE], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))


def stages(song, model_path, repeats=5):
    """Seconds of one core for each stage of labelling a song, and for training on its clips; the fastest of `repeats`."""
    parallel.set_threads(1)
    model = Model.load(model_path)
    blocks = list(decode(song))
    clips = np.stack([clip.samples for clip in cut(blocks)])
    features = model.layers[0]
    data = ClipSequence(clips, np.arange(len(clips)) % len(model.class_names), len(model.class_names))
    work = {
        "decoding": lambda: list(decode(song)),
        "cleaning": lambda: list(cut(blocks)),
        "features": lambda: [features.forward(clips[i : i + 32]) for i in range(0, len(clips), 32)],
        "features and network": lambda: model.predict(clips),
        "training": lambda: model.fit(data, epochs=1, optimizer=RMSprop(1e-4), progress=False),
    }
    with one_blas_thread():
        seconds = {name: min(_timed(function) for _ in range(repeats)) for name, function in work.items()}
    seconds["network"] = seconds.pop("features and network") - seconds["features"]
    return {"seconds": {name: round(value, 4) for name, value in seconds.items()}, "clips": len(clips)}


def _timed(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def timed_listen(path, version):
    """In some process: label a song; how long it took, and the peak memory of the process so far (MB)."""
    started = time.perf_counter()
    row = labelling.listen(str(path), None, str(path), Path(path).name, version, None, 0)
    if "error" in row:
        raise RuntimeError(row["message"])
    return time.perf_counter() - started, peak_mb()


def peak_mb(pid="self"):
    """The peak memory of a process so far, in MB (getrusage would count that of the process it was forked from)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def engines(song, version, n_songs=24):
    """Songs an hour with each engine and number of workers, the share of time lost between songs, and peak memory (MB)."""
    rows = []
    for kind, n in ENGINES:
        cluster = _cluster(n) if kind == "dask" else None
        with Pool(n, cluster and cluster.scheduler_address) as pool:
            for finished in pool.run(timed_listen, [(song, version)] * 2 * n):  # everybody has started and loaded the model
                finished.result()
            started = time.perf_counter()
            found = [finished.result() for finished in pool.run(timed_listen, [(song, version)] * n_songs)]
            wall = time.perf_counter() - started
        if cluster:
            cluster.close()
        busy = sum(seconds for seconds, _ in found) / n
        rows.append({"engine": kind, "workers": n, "songs": n_songs, "seconds": round(wall, 2), "lost": round(1 - busy / wall, 4),
                     "songs_per_hour": round(3600 * n_songs / wall, 1), "real_time": round(n_songs * SONG_SECONDS / wall, 1),
                     "worker_mb": round(max(peak for _, peak in found))})
        print(rows[-1], flush=True)
    return rows


def _cluster(n):
    from distributed import LocalCluster

    return LocalCluster(n_workers=n, threads_per_worker=1, processes=True, dashboard_address=None)


_BATCH = """
import sys, time
from contextlib import suppress
import psutil
from pipeline.batch import labelling
from pipeline.batch.scale import peak_mb

workers = {}

def watch(*_):
    for child in psutil.Process().children(recursive=True):
        with suppress(OSError):  # it has just ended
            workers[child.pid] = peak_mb(child.pid)

started = time.perf_counter()
summary = labelling.run(*sys.argv[1:4], workers=2, progress=watch)
assert summary.failed == 0
print(time.perf_counter() - started, peak_mb(), max(workers.values()))
"""


def lengths(song, model_path, folder, most_clips):
    """Whole batches of more and more songs: time, rate, and peak memory (MB) of the parent and of the largest worker."""
    rows, n_clips = [], 1000
    while n_clips <= most_clips:
        songs = Path(folder, f"songs-{n_clips}")
        songs.mkdir()
        n_songs = max(round(n_clips / SONG_SECONDS), 1)
        for i in range(n_songs):
            (songs / f"{i:06}.m4a").symlink_to(song)
        command = [sys.executable, "-c", _BATCH, songs, f"{songs}.parquet", model_path]
        seconds, parent, worker = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        rows.append({"clips": n_songs * SONG_SECONDS, "songs": n_songs, "seconds": round(seconds, 2), "parent_mb": round(parent),
                     "worker_mb": round(worker), "clips_per_second": round(n_songs * SONG_SECONDS / seconds, 1),
                     "parquet_bytes_per_song": round(os.path.getsize(f"{songs}.parquet") / n_songs)})
        print(rows[-1], flush=True)
        n_clips *= 10
    return rows


def lists(folder, most_lines=1_000_000):
    """Reading a list into the journal: seconds and the growth of this process's peak memory (MB)."""
    rows, n_lines = [], 10_000
    while n_lines <= most_lines:
        path = Path(folder, f"list-{n_lines}.txt")
        with open(path, "w") as file:
            file.writelines(f"https://www.youtube.com/watch?v={i:011d}\n" for i in range(n_lines))
        before = peak_mb()
        started = time.perf_counter()
        with Journal(Path(folder, f"list-{n_lines}.parquet"), {"list": song_list.digest(path)}) as journal:
            journal.fill((entry, song_list.key(entry)) for entry in song_list.entries(path))
        grown = peak_mb() - before
        rows.append({"lines": n_lines, "seconds": round(time.perf_counter() - started, 2), "grown_mb": round(grown, 1)})
        print(rows[-1], flush=True)
        n_lines *= 10
    return rows


def main(arguments=None):
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.batch.scale", description="Measure throughput and memory on this machine.")
    parser.add_argument("--model", default=recognition.MODEL_PATH, help="a model file (default: the one that ships)")
    parser.add_argument("--most-clips", type=int, default=1_000_000, help="of the longest batch (default: 1,000,000)")
    parser.add_argument("--results", default=RESULTS, help="the JSON file to write")
    parser.add_argument("--figures", default=None, help="the folder for the figures (default: figures/)")
    options = parser.parse_args(arguments)
    version = labelling.Version(str(Path(options.model).absolute()), labelling.fingerprint(options.model))
    with tempfile.TemporaryDirectory() as folder:
        read = lists(folder)  # first, while this process is small
        song = Path(folder, "song.m4a")
        make_song(song)
        results = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
            "song_seconds": SONG_SECONDS,
            "song_bytes": song.stat().st_size,
            "lists": read,
            "stages": stages(song, version.path),
            "engines": engines(song, version),
            "lengths": lengths(song, version.path, folder, options.most_clips),
        }
    path = Path(options.results)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    from pipeline.figures import scale as figures

    figures.write(results, options.figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
