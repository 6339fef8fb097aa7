"""A sound file of any usual format -> mono samples at 16 kHz, as a stream.
PyAV (the libraries of FFmpeg) decodes and resamples block by block: a long file takes no more memory than a short one.
An Ogg file that FFmpeg refuses is tried with libsndfile, which is less strict with its headers.
A file that is damaged, cut short or has no sound in it ends in one sentence that says so.
"""

import stat
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np

from pipeline.errors import AudioError, SourceError, printable

SAMPLE_RATE = 16_000
BLOCK = 10 * SAMPLE_RATE  # samples; long blocks keep the work out of Python

AUDIO_SUFFIXES = frozenset(
    [
        ".3gp",
        ".aac",
        ".aif",
        ".aifc",
        ".aiff",
        ".amr",
        ".asf",
        ".au",
        ".caf",
        ".flac",
        ".flv",
        ".m4a",
        ".m4b",
        ".m4v",
        ".mka",
        ".mkv",
        ".mov",
        ".mp2",
        ".mp3",
        ".mp4",
        ".oga",
        ".ogg",
        ".opus",
        ".w64",
        ".wav",
        ".weba",
        ".webm",
        ".wma",
    ]
)

# An uploaded file may call itself song.mp3 and be a playlist that makes FFmpeg open other files and addresses:
# only containers of sound are read, and only from the file itself.
_OPTIONS = {
    "format_whitelist": "aac,aiff,amr,asf,au,caf,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,"
    "w64,wav",
    "protocol_whitelist": "file",
}
_GUESSED_DURATION = frozenset({"aac", "amr", "mp3", "mpeg", "mpegts", "ogg"})  # guessed from the size or the last page
_HEADER_TOLERANCE = 0.5  # seconds by which sound may be shorter than its file's header says: encoders pad the ends
_VIDEO_TOLERANCE = 2.0  # of a video: YouTube announces whole seconds, and the sound may end before the picture


def is_audio(path):
    """Whether a file's name ends like one of sound or video; for looking through folders."""
    return Path(path).suffix.lower() in AUDIO_SUFFIXES


def decode(path, expected_seconds=None, progress=None):
    """Decode a file to mono at 16 kHz, block by block.

    Channels are averaged; samples that are no number become 0, and those beyond full scale are clipped.

    Parameters
    ----------
    path : str or Path
    expected_seconds : float, optional
        The length that somebody else announced, such as YouTube; the file's own header is believed too.
    progress : callable, optional
        `progress("decoding", seconds_done, seconds_in_all or None)`, once a block.

    Yields
    ------
    float32 array (n,)
        In -1..1. All blocks but the last have `BLOCK` samples, except where a file changes its format midway.

    Raises
    ------
    SourceError
        missing, folder or unreadable.
    AudioError
        empty, not_audio, no_sound (a video without any), corrupt, not_finite (no sample is a number) or truncated
        (the sound ends before it should); the last three are raised after the blocks. A wav, ogg or mp3 file that
        was cut short does not tell, unless `expected_seconds` does.
    """
    path = Path(path)
    name = printable(path.name)
    _check_file(path)
    container = _open(path)
    with container or nullcontext():
        if container is None:
            frames, announced, tolerance = _ogg_frames(path), expected_seconds, _VIDEO_TOLERANCE
        elif not container.streams.audio:
            raise AudioError("no_sound", f"{name} has no sound in it; choose a file or video with sound.")
        else:
            stream = container.streams.audio[0]
            announced, tolerance = _announced_seconds(container, stream, expected_seconds)
            frames = _frames(container, stream)
        n_samples, n_finite = 0, 0
        for frame in _resampled(frames):
            block = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
            finite = np.isfinite(block)
            n_finite += int(np.count_nonzero(finite))
            if not finite.all():
                block = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
            n_samples += len(block)
            yield np.clip(block, -1, 1).mean(axis=1, dtype=np.float32)
            if progress:
                progress("decoding", n_samples / SAMPLE_RATE, announced)
    decoded = n_samples / SAMPLE_RATE
    if not n_samples:
        raise AudioError("corrupt", f"Nothing in {name} could be decoded; it is damaged or not what its name says.")
    if not n_finite:
        raise AudioError("not_finite", f"No sample in {name} is a number; export the sound again.")
    if announced and decoded < announced - tolerance:
        message = f"{name} ends after {decoded:.1f} of {announced:.1f} seconds; fetch or copy it again."
        raise AudioError("truncated", message)


def load(path):
    """Decode a whole file to one float32 array (n,), mono at 16 kHz; errors as in `decode`."""
    return np.concatenate(list(decode(path)))


def rms(samples):
    """The root mean square of an array of any shape, as a float; of nothing it is 0."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if np.size(samples) else 0.0


def _check_file(path):
    """Say what is wrong with a path before a decoder sees it."""
    shown = printable(path)
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise SourceError("folder", f"{shown} is a folder; give a sound file.")
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for its other end
            raise SourceError("unreadable", f"{shown} is not an ordinary file; give a sound file.")
        with open(path, "rb") as file:
            if not file.read(1):
                raise AudioError("empty", f"{printable(path.name)} is an empty file; fetch or copy it again.")
    except FileNotFoundError:
        raise SourceError("missing", f"There is no file {shown}; check the spelling.") from None
    except (OSError, ValueError) as error:  # a ValueError is a path with a NUL in it
        reason = getattr(error, "strerror", None) or error
        raise SourceError("unreadable", f"{shown} cannot be read: {str(reason).lower()}.") from None


def _open(path):
    """The container of a sound file, or None for an Ogg file that FFmpeg does not accept."""
    import av

    # Before 19, PyAV refused a file whose title is not UTF-8, unless it was told not to.
    lenient = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}
    try:
        return av.open(f"file:{path}", options=_OPTIONS, **lenient)
    except (av.error.FFmpegError, OSError, ValueError):
        if _is_ogg(path):
            return None
        message = (
            f"{printable(path.name)} cannot be read as sound: it is damaged, cut short or something else; "
            "fetch it again, or try m4a, mp3, ogg, flac or wav."
        )
        raise AudioError("not_audio", message) from None


def _announced_seconds(container, stream, expected_seconds):
    """The length announced by the caller or the file's header, whichever asks for more, and how much may be missing."""
    lengths = [(expected_seconds, _VIDEO_TOLERANCE)] if expected_seconds else []
    if not set(container.format.name.split(",")) & _GUESSED_DURATION:
        if stream.duration:
            lengths.append((float(stream.duration * stream.time_base), _HEADER_TOLERANCE))
        elif container.duration:
            tolerance = _VIDEO_TOLERANCE if container.streams.video else _HEADER_TOLERANCE
            lengths.append((container.duration / 1e6, tolerance))
    return max(lengths, key=lambda length: length[0] - length[1], default=(None, 0))


def _is_ogg(path):
    with open(path, "rb") as file:
        return file.read(4) == b"OggS"


def _ogg_frames(path):
    """The frames of an Ogg file as libsndfile decodes it, mono; none if it cannot read it either."""
    import av
    import soundfile

    with suppress(soundfile.LibsndfileError), soundfile.SoundFile(path) as file:
        for block in file.blocks(BLOCK, dtype="float32", always_2d=True):
            frame = av.AudioFrame.from_ndarray(block.mean(axis=1)[np.newaxis], format="flt", layout="mono")
            frame.sample_rate = file.samplerate
            yield frame


def _resampled(frames):
    """Frames as interleaved floats at 16 kHz, every channel by itself.

    The channels are not mixed here, since FFmpeg weights them by their names and lets a mix exceed full scale; they
    are interleaved, since PyAV reads beyond the memory of a frame with eight or more planes.
    """
    import av

    resampler, form = None, None
    try:
        for frame in frames:
            # At the start, and where the recording of a radio stream changes its format.
            if form != (frame.format.name, frame.layout.name, frame.sample_rate):
                if resampler:
                    yield from resampler.resample(None)
                form = (frame.format.name, frame.layout.name, frame.sample_rate)
                resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE, frame_size=BLOCK)
            frame.pts = None  # a gap in the clock of a damaged file must not be filled
            yield from resampler.resample(frame)
        if resampler:
            yield from resampler.resample(None)
    except av.error.FFmpegError:  # 65 channels, or a rate beyond all measure
        message = "The sound in this file has a form that cannot be read; export it again, in stereo at 44,100 Hz."
        raise AudioError("corrupt", message) from None


def _frames(container, stream):
    """Decode packet by packet; damaged packets are left out, and the length at the end tells how much was lost."""
    import av

    n_good = n_damaged = 0
    with suppress(av.error.FFmpegError):  # raised where the demuxer finds no way on
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
                n_good += 1
            except av.error.InvalidDataError:
                n_damaged += 1
    if n_damaged > n_good:
        raise AudioError("corrupt", "Most of this file could not be decoded; it is damaged or not what its name says.")
