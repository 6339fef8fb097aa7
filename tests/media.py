"""Writes the sound files that tests need, in every format, whole or damaged, with PyAV and soundfile."""

import av
import numpy as np
import soundfile

CODECS = {
    ".3gp": "aac",
    ".aac": "aac",
    ".ac3": "ac3",
    ".avi": "libmp3lame",
    ".eac3": "eac3",
    ".flv": "aac",
    ".m2ts": "aac",
    ".m4a": "aac",
    ".m4v": "aac",
    ".mka": "flac",
    ".mkv": "pcm_s16le",
    ".mov": "alac",
    ".mp3": "libmp3lame",
    ".mp4": "aac",
    ".mpg": "mp2",
    ".opus": "libopus",
    ".ts": "aac",
    ".tta": "tta",
    ".vob": "ac3",
    ".webm": "libopus",
    ".wma": "wmav2",
    ".wmv": "wmav2",
    ".wv": "wavpack",
}


def tone(seconds, rate=44_100, channels=1, hertz=440.0, level=0.5):
    """A sine wave, float32 (n,) or (n, channels)."""
    wave = (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)
    return wave if channels == 1 else np.repeat(wave[:, None], channels, axis=1)


def write(path, samples, rate=44_100, subtype=None, picture=False):
    """Write samples (n,) or (n, channels) in the format of the path's suffix; `picture` adds a video track."""
    samples = np.asarray(samples, np.float32)
    if path.suffix not in CODECS:
        soundfile.write(path, samples, rate, subtype=subtype)
        return path
    return write_tracks(path, [samples], rate, pictures=len(samples) / rate if picture else 0)


def write_tracks(path, tracks, rate=48_000, default=0, pictures=0, start=0, hole=(0, 0)):
    """Write several tracks of samples, of which one is the default.

    `pictures` is the length of a video in seconds, `start` where the clock begins, and in `hole`, from second to
    second, nothing was recorded.
    """
    with av.open(str(path), "w") as container:
        video = _add_video(container) if pictures else None
        streams = []
        for i, samples in enumerate(tracks):
            layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[samples.reshape(len(samples), -1).shape[1]]
            streams.append(container.add_stream(CODECS[path.suffix], rate=rate, layout=layout))
            if path.suffix in (".wma", ".wmv"):  # this encoder has no default
                streams[i].bit_rate = 128_000
            if len(tracks) > 1:
                streams[i].disposition = av.stream.Disposition.default if i == default else av.stream.Disposition(0)
        for stream, samples in zip(streams, tracks):
            size = stream.codec_context.frame_size or 1024
            for at in range(0, len(samples), size):
                if hole[0] <= at / rate < hole[1]:
                    continue
                part = np.ascontiguousarray(samples[at : at + size].reshape(1, -1))
                frame = av.AudioFrame.from_ndarray(part, format="flt", layout=stream.codec_context.layout.name)
                frame.sample_rate, frame.pts = rate, at + start * rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if video:
            _write_pictures(container, video, pictures, start)
    return path


def write_with_subtitles(path, sound, seconds):
    """Copy the sound of a file beside a subtitle that is shown for some seconds."""
    text = path.with_suffix(".srt")
    text.write_text(f"1\n00:00:00,000 --> 00:00:{seconds:02},000\nA song\n")
    with av.open(str(sound)) as source, av.open(str(text)) as subtitles, av.open(str(path), "w") as container:
        copies = [(media, container.add_stream_from_template(media.streams[0])) for media in (subtitles, source)]
        for media, copy in copies:
            for packet in media.demux(media.streams[0]):
                if packet.pts is not None:
                    packet.stream = copy
                    container.mux(packet)
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
    codecs = {"webm": "libvpx", "mpeg": "mpeg2video", "vob": "mpeg2video", "flv": "flv"}
    stream = container.add_stream(codecs.get(container.format.name, "mpeg4"), rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    return stream


def _write_pictures(container, stream, seconds, start=0):
    for i in range(round(start * 25), round((start + seconds) * 25)):
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        frame.pts = i
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
