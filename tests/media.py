"""Writes the sound files that tests need, in every format, whole or damaged, with PyAV and soundfile."""

import av
import numpy as np
import soundfile

CODECS = {
    ".m4a": "aac",
    ".m4v": "aac",
    ".mp4": "aac",
    ".3gp": "aac",
    ".webm": "libopus",
    ".opus": "libopus",
    ".mp3": "libmp3lame",
    ".mkv": "pcm_s16le",
    ".aac": "aac",
    ".flv": "aac",
}


def tone(seconds, rate=44_100, channels=1, hertz=440.0, level=0.5):
    """A sine wave, float32 (n,) or (n, channels)."""
    wave = (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)
    return wave if channels == 1 else np.repeat(wave[:, None], channels, axis=1)


def write(path, samples, rate=44_100, subtype=None, picture=False):
    """Write samples (n,) or (n, channels) in the format of the path's suffix; `picture` adds a video track. Returns the path."""
    samples = np.asarray(samples, np.float32)
    if path.suffix not in CODECS:
        soundfile.write(path, samples, rate, subtype=subtype)
        return path
    samples = samples.reshape(len(samples), -1)
    with av.open(str(path), "w") as container:
        video = _add_video(container) if picture else None
        layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[samples.shape[1]]
        stream = container.add_stream(CODECS[path.suffix], rate=rate, layout=layout)
        for start in range(0, len(samples), rate):
            interleaved = samples[start : start + rate].reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if video:
            _write_pictures(container, video, len(samples) / rate)
    return path


def write_silent_video(path, seconds=1.0):
    """A video with no sound track at all."""
    with av.open(str(path), "w") as container:
        _write_pictures(container, _add_video(container), seconds)
    return path


def cut(path, fraction, name=None):
    """The first part of a file's bytes, beside it: a download that stopped half-way."""
    data = path.read_bytes()
    shorter = path.with_name(name or f"cut-{path.name}")
    shorter.write_bytes(data[: round(len(data) * fraction)])
    return shorter


def _add_video(container):
    stream = container.add_stream("libvpx" if container.format.name == "webm" else "mpeg4", rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    return stream


def _write_pictures(container, stream, seconds):
    for i in range(round(seconds * 10)):
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        frame.pts = i
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
