"""What labelling a song is made of, and training beside it, each timed by itself in whichever process it runs."""

import time
from collections import deque
from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from nn import ClipSequence, Model, RMSprop, parallel
from nn.parallel import one_blas_thread
from pipeline.batch import labelling
from pipeline.song import recognition
from pipeline.song.audio import SAMPLE_RATE, decode, load
from pipeline.song.cleaning import cut

BATCH = 32  # clips
RATE = 1e-4  # of learning, small enough for any weights


def make_song(path, seconds, rate=44_100):
    """Write a song as YouTube serves it (AAC in m4a, 44.1 kHz, stereo, 128 kbit/s), of the samples that ship, repeated."""
    samples = np.resize(sound(), seconds * SAMPLE_RATE)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="stereo")
        stream.bit_rate = 128_000
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
        for start in range(0, len(samples), SAMPLE_RATE):
            frame = av.AudioFrame.from_ndarray(
                samples[np.newaxis, start : start + SAMPLE_RATE], format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))


def sound():
    """The samples that ship, one after the other: float32 (n,)."""
    songs = sorted((recognition.MODEL_PATH.parent / "samples").iterdir())
    return np.concatenate([load(song) for song in songs if song.stem.startswith(("piano-", "other-"))])


def timed(work, song, version):
    """Seconds that one work on one song took in this process, and the peak memory of the process so far (MB).

    `work` is "labelling" or a key of `works`; `version` a `labelling.Version`.
    """
    do = _label if work == "labelling" else works(song, version)[work]
    started = time.perf_counter()
    do(song, version)
    return time.perf_counter() - started, peak_mb()


def fastest(work, song, version, repeats):
    """Seconds of the fastest of `repeats`, without the other processes' noise."""
    return min(timed(work, song, version)[0] for _ in range(repeats))


@lru_cache(maxsize=1)
def works(song, version):
    """The stages of a song as functions of (song, version), on one thread and with all that comes before a stage done."""
    parallel.set_threads(1)
    model, blocks = Model.load(version.path), list(decode(song))
    clips = np.stack([clip.samples for clip in cut(blocks)])
    data = ClipSequence(clips, np.arange(len(clips)) % len(model.class_names), len(model.class_names), BATCH)
    return {
        "decoding": lambda *_: deque(decode(song), maxlen=0),
        "cleaning": lambda *_: deque(cut(blocks), maxlen=0),
        "features": lambda *_: features(model, (clips[i : i + BATCH] for i in range(0, len(clips), BATCH))),
        "inference": lambda *_: model.predict(clips, BATCH),
        "training": lambda *_: model.fit(data, epochs=1, optimizer=RMSprop(RATE), progress=False),
    }


def features(model, batches):
    """Make the picture of every clip: the model's first layer alone."""
    with one_blas_thread():
        for samples in batches:
            model.layers[0].forward(samples)


def peak_mb(pid="self"):
    """The peak memory of a process so far, in MB (getrusage would count that of the process it was forked from)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _label(song, version):
    row = labelling.listen(str(song), None, str(song), Path(song).name, version, None, 0)
    if "error" in row:
        raise RuntimeError(row["message"])
