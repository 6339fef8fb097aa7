"""What the study of scale times: labelling a song and its stages, and long lists, datasets and batches.

Each function runs in whichever process calls it, on one thread, and returns plain numbers.
"""

import tempfile
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import psutil

from nn import ClipSequence, Model, RMSprop, parallel
from nn.data import prefetch
from nn.parallel import one_blas_thread
from pipeline.batch import labelling, song_list
from pipeline.batch.journal import Journal
from pipeline.song import recognition
from pipeline.song.audio import SAMPLE_RATE, decode, load
from pipeline.song.cleaning import cut

BATCH = 32  # clips
STEP = SAMPLE_RATE // 1000  # samples between the clips of a dataset


def sample_songs():
    """The sample songs of the repository, one after the other: float32 (n,)."""
    songs = sorted((recognition.MODEL_PATH.parent / "samples").iterdir())
    return np.concatenate([load(song) for song in songs if song.stem.startswith(("piano-", "other-"))])


def make_song(path, seconds, rate=44_100):
    """Write a song as YouTube serves it (AAC in m4a, 44.1 kHz, stereo, 128 kbit/s): the sample songs, repeated."""
    samples = np.resize(sample_songs(), seconds * SAMPLE_RATE)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="stereo")
        stream.bit_rate = 128_000
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
        for start in range(0, len(samples), SAMPLE_RATE):
            second = samples[np.newaxis, start : start + SAMPLE_RATE]
            frame = av.AudioFrame.from_ndarray(second, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))


def stages(song, version, repeats):
    """Core-seconds of each stage of labelling a song, the fastest of some runs. `version`: a `labelling.Version`."""
    parallel.set_threads(1)
    model, blocks = Model.load(version.path), list(decode(song))
    clips = np.stack([clip.samples for clip in cut(blocks)])
    works = {
        "decoding": lambda: deque(decode(song), maxlen=0),
        "cleaning": lambda: deque(cut(blocks), maxlen=0),
        "features": lambda: _features(model, clips),
        "inference": lambda: model.predict(clips, BATCH),
    }
    return {work: round(min(_seconds(do) for _ in range(repeats)), 4) for work, do in works.items()}


def _features(model, clips):
    with one_blas_thread():
        for start in range(0, len(clips), BATCH):
            model.layers[0].forward(clips[start : start + BATCH])  # the mel spectrogram


def _seconds(do):
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def timed_label(song, version):
    """Seconds that labelling a song takes, and the peak memory of this process so far (MB)."""
    return _seconds(lambda: label(song, version)), peak_mb()


def label(song, version):
    """The row of one song in a batch."""
    row = labelling.listen(song, None, song, Path(song).name, version, None, 0)
    if "error" in row:
        raise RuntimeError(row["message"])
    return row


def peak_mb(pid="self"):
    """The peak memory of a process so far, in MB (getrusage would count that of the process it was forked from)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def read_list(n_lines):
    """Seconds to read a list of links into the journal, and the peak memory of this process (MB)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "list.txt")
        with open(path, "w") as file:
            file.writelines(f"https://www.youtube.com/watch?v={i:011d}\n" for i in range(n_lines))
        started = time.perf_counter()
        with Journal(Path(folder, "rows.parquet"), {"list": song_list.digest(path)}) as journal:
            journal.fill((entry, song_list.key(entry)) for entry in song_list.entries(path))
        return {"lines": n_lines, "seconds": round(time.perf_counter() - started, 2), "peak_mb": round(peak_mb())}


def dataset(samples_path, n_clips, model_path, n_batches):
    """Clips a second that the generator reads of a whole dataset, and that a model learns from in its first batches.

    The clips begin `STEP` samples apart in a file of samples. `peak_mb` is the peak memory of this process.
    """
    parallel.set_threads(1)
    model = Model.load(model_path)
    clips = np.lib.stride_tricks.sliding_window_view(np.load(samples_path, mmap_mode="r"), SAMPLE_RATE)[::STEP]
    n_classes, n_learnt = len(model.class_names), min(n_clips, n_batches * BATCH)
    whole, part = (
        ClipSequence(clips[:n], np.arange(n) % n_classes, n_classes, BATCH, shuffle=True) for n in (n_clips, n_learnt)
    )
    optimizer = RMSprop(1e-4)  # slow enough for any weights
    reading = _seconds(lambda: deque(prefetch(whole), maxlen=0))
    training = _seconds(lambda: model.fit(part, epochs=1, optimizer=optimizer, progress=False))
    return {
        "clips": n_clips,
        "reading": round(n_clips / reading, 1),
        "training": round(n_learnt / training, 1),
        "peak_mb": round(peak_mb()),
    }


def batch(songs, out, model_path):
    """Label the songs that are left of a batch with two workers: songs a second, and peak memory (MB).

    `start_seconds` pass until both workers have finished their first song, `end_seconds` from the last song to the
    Parquet file.
    """
    ticks, workers = [], {}

    def watch(step, done, total):
        ticks.append(time.perf_counter())
        for child in psutil.Process().children(recursive=True):
            with suppress(OSError):  # it has just ended
                workers[child.pid] = peak_mb(child.pid)

    started = time.perf_counter()
    summary = labelling.run(songs, out, model_path, workers=2, progress=watch)
    ended = time.perf_counter()
    if summary.failed:
        raise RuntimeError(f"{summary.reasons}")
    _, _, first, *others = ticks  # the first tick comes before any song
    return {
        "labelled": len(ticks) - 1,
        "start_seconds": round(first - started, 2),
        "songs_per_second": round(len(others) / (others[-1] - first), 3),
        "end_seconds": round(ended - others[-1], 2),
        "parent_mb": round(peak_mb()),
        "worker_mb": round(max(workers.values())),
    }
