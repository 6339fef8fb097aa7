"""The study of scale against length: longer and longer lists, datasets and batches, each in a process of its own.

A million clips are had by repetition, and of the longest only a share is listened to or learnt from; the rows say how much.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from nn import ClipSequence, Model, RMSprop, parallel
from nn.data import prefetch
from pipeline.batch import labelling, song_list
from pipeline.batch.journal import Journal
from pipeline.errors import Cancelled
from pipeline.song import recognition
from pipeline.song.audio import SAMPLE_RATE
from pipeline.studies import stages

ROOT = recognition.MODEL_PATH.parents[1]


def lists(song, version, size):
    """`read_list` of more and more lines."""
    for n_lines in _sizes(10_000, size.most):
        yield _in_new_process("read_list", n_lines)


def read_list(n_lines):
    """Seconds to read a list of links into the journal, and the peak memory of this process (MB)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "list.txt")
        with open(path, "w") as file:
            file.writelines(f"https://www.youtube.com/watch?v={i:011d}\n" for i in range(n_lines))
        started = time.perf_counter()
        with Journal(Path(folder, "rows.parquet"), {"list": song_list.digest(path)}) as journal:
            journal.fill((entry, song_list.key(entry)) for entry in song_list.entries(path))
        return {
            "lines": n_lines,
            "seconds": round(time.perf_counter() - started, 2),
            "peak_mb": round(stages.peak_mb()),
        }


class Repeated:
    """Few clips that look like many: clip i is clip i modulo their number."""

    def __init__(self, clips, n):
        self.clips, self.n = clips, n

    def __len__(self):
        return self.n

    def __getitem__(self, rows):
        return self.clips[rows % len(self.clips)]


class Share(ClipSequence):
    """A shuffled dataset of which an epoch takes `most` batches, from all over it."""

    def __init__(self, *arguments, most, **options):
        self.most = most
        super().__init__(*arguments, **options)

    def __len__(self):
        return min(super().__len__(), self.most)


def dataset(clips_path, n_clips, model_path, n_batches):
    """Clips a second of a dataset: all of it read by the generator, a share of it looked at, judged and learnt from.

    On one core; `peak_mb` is that of this process, which should have done nothing else.
    """
    parallel.set_threads(1)
    model = Model.load(model_path)
    clips = Repeated(np.load(clips_path, mmap_mode="r"), n_clips)
    labels = np.arange(n_clips) % len(model.class_names)
    every = ClipSequence(clips, labels, len(model.class_names), stages.BATCH, shuffle=True)
    share = Share(clips, labels, len(model.class_names), stages.BATCH, shuffle=True, most=n_batches)
    n_share = min(n_clips, n_batches * stages.BATCH)
    works = {
        "reading": (n_clips, lambda: [None for _ in prefetch(every)]),
        "features": (n_share, lambda: stages.features(model, (samples for samples, _ in prefetch(share)))),
        "inference": (n_share, lambda: model.evaluate(share)),
        "training": (n_share, lambda: model.fit(share, epochs=1, optimizer=RMSprop(stages.RATE), progress=False)),
    }
    row = {"clips": n_clips, "share": n_share}
    for work, (n, do) in works.items():
        started = time.perf_counter()
        do()
        row[work] = round(n / (time.perf_counter() - started), 1)
    return row | {"peak_mb": round(stages.peak_mb())}


def datasets(song, version, size):
    """`dataset` for more and more clips, a thousand of them repeated, each in a process of its own."""
    clips = np.resize(stages.sound(), (1000, SAMPLE_RATE))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clips.npy")
        np.save(path, np.rint(clips * 32767).astype(np.int16))
        for n_clips in _sizes(1000, size.most):
            yield _in_new_process("dataset", str(path), n_clips, version.path, size.batches)


def batch(songs, out, model_path):
    """Label the songs that are left of a batch with two workers: songs a second, peak memory (MB).

    `start_seconds` pass until both workers have done their first song, `end_seconds` from the last song to the Parquet file.
    """
    import psutil

    ticks, workers = [], {}

    def watch(step, done, total):
        ticks.append(time.perf_counter())
        for child in psutil.Process().children(recursive=True):
            with suppress(OSError):  # it has just ended
                workers[child.pid] = stages.peak_mb(child.pid)

    started = time.perf_counter()
    summary = labelling.run(songs, out, model_path, workers=2, progress=watch)
    ended = time.perf_counter()
    if summary.failed:
        raise RuntimeError(f"{summary.reasons}")
    _, _, first, *others = ticks  # the first tick is before any song
    return {
        "listened": len(ticks) - 1,
        "start_seconds": round(first - started, 2),
        "songs_per_second": round(len(others) / (others[-1] - first), 3),
        "end_seconds": round(ended - others[-1], 2),
        "parent_mb": round(stages.peak_mb()),
        "worker_mb": round(max(workers.values())),
        "journal_bytes_per_song": round(os.path.getsize(f"{out}.journal") / summary.labelled),
    }


def batches(song, version, size):
    """`batch` for longer and longer batches; of a long one, all but the last songs have their row already."""
    row = labelling.listen(str(song), None, str(song), Path(song).name, version, None, 0)
    for n_clips in _sizes(1000, size.most):
        with tempfile.TemporaryDirectory() as folder:
            songs, out = Path(folder, "songs"), Path(folder, "rows.parquet")
            songs.mkdir()
            n_songs = max(round(n_clips / size.song_seconds), 4)
            for i in range(n_songs):
                (songs / f"{i:06}.m4a").symlink_to(song)
            if n_songs > size.listened:
                with suppress(Cancelled):
                    labelling.run(songs, out, version.path, workers=1, progress=_stop)
                with Journal(out, {}) as journal:
                    for entry in journal.pending(n_songs - size.listened):
                        journal.record(entry, row)
            yield {"clips": n_clips, "songs": n_songs} | _in_new_process("batch", str(songs), str(out), version.path)


def _stop(step, *_):
    if step == "listening":
        raise Cancelled


def _sizes(first, most):
    """`first`, ten times as many, and so on up to `most`."""
    return [first * 10**i for i in range(20) if first * 10**i <= most] or [most]


def _in_new_process(function, *arguments):
    """What a function of this module returns in a process of its own, whose memory nothing else has filled."""
    code = f"import json, sys; from pipeline.batch import lengths; print(json.dumps(lengths.{function}(*json.loads(sys.argv[1]))))"
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    return json.loads(done.stdout)
