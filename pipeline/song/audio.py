"""A sound file of any usual format -> mono samples at 16 kHz, as a stream.
The frames that `containers` decodes are resampled and mixed block by block: a long file takes no more memory.
A file that is damaged, cut short or has no sound in it ends in one sentence that says so.
"""

import stat
from pathlib import Path

import numpy as np

from pipeline.errors import AudioError, SourceError, printable
from pipeline.song import containers

SAMPLE_RATE = 16_000
BLOCK = 10 * SAMPLE_RATE  # samples; long blocks keep the work out of Python
MAX_SECONDS = 4 * 3600  # of a song
MIN_RATE = 4_000  # samples a second; below, even a piano no longer sounds like one
MAX_RATE = 10_000_000  # with more, the filter of the resampler would take minutes

AUDIO_SUFFIXES = containers.SUFFIXES
_READ_WHEN_CUT = frozenset(["mp3", "wav", "w64"])  # often cut short, and any part of them can be read
_HEADER_TOLERANCE = 0.5  # seconds by which a file may be shorter than its header says: encoders pad the ends
_VIDEO_TOLERANCE = 2.0  # of a video: YouTube announces whole seconds, and the sound may end before the picture

FAINTEST = 2**-15  # the peak of a song; softer is the noise of 16 bits
_FAINTEST_STEPS = 16  # the same in steps: below, rounding has changed what is heard (and the answer for some songs)
_OVERSHOOT = 1.5  # lossy codecs exceed full scale by as much
_CANCELLED = 0.2  # of the level that unrelated channels would have when mixed
_OFFSET = 0.02  # of the peak; a smaller mean is no offset


def is_audio(path):
    """Whether a file's name ends like one of sound or video; for looking through folders."""
    return Path(path).suffix.lower() in AUDIO_SUFFIXES


def decode(path, expected_seconds=None, progress=None):
    """Decode a file to mono at 16 kHz, block by block.

    Of several tracks it is the default one, or where that is silent the first that sounds. Channels are averaged; where
    they cancel each other out, the loudest is taken. Single samples that are no number are interpolated, longer gaps
    become 0, and a constant offset is removed. Floats far beyond full scale are divided by that of integers, where they
    look like these, else by their peak so far.

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

    Returns
    -------
    bool
        Whether the file is an mp3, wav or ogg file that was cut short; others raise `truncated`.

    Raises
    ------
    SourceError
        missing, folder or unreadable.
    AudioError
        empty, not_audio, no_sound (a video without any), low_rate, too_long; after the blocks corrupt, not_finite (no
        sample is a number), truncated (the file ends before it should) or too_quiet (it lies in the noise).
    """
    path = Path(path)
    name = printable(path.name)
    _check_file(path)
    n_samples, n_finite, total, peak, full_scale = 0, 0, 0.0, 0.0, 1.0
    for sound in containers.sounds(path, _is_heard):
        announced = max(expected_seconds or 0, sound.seconds or 0) or None
        for frame in _resampled(sound.frames()):
            channels = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
            finite = np.abs(channels) < 1e30
            n_finite += int(np.count_nonzero(finite))
            block = _mixed(np.where(finite, channels, 0))
            n_samples += len(block)
            if max(announced or 0, n_samples / SAMPLE_RATE) > MAX_SECONDS:
                message = f"{name} lasts longer than {MAX_SECONDS // 3600} hours, the limit; give a part of it."
                raise AudioError("too_long", message)
            total += float(block.sum(dtype=np.float64))
            if abs(total / n_samples) > _OFFSET * np.abs(block).max(initial=0):
                block = block - np.float32(total / n_samples)
            loudest = float(np.abs(block).max(initial=0))
            full_scale = max(full_scale, _full_scale(loudest))
            peak = max(peak, loudest / full_scale)
            yield np.clip(block / np.float32(full_scale), -1, 1)
            if progress:
                progress("decoding", n_samples / SAMPLE_RATE, announced)
    if not n_samples:
        raise AudioError("corrupt", f"Nothing in {name} could be decoded; it is damaged or not what its name says.")
    if not n_finite:
        raise AudioError("not_finite", f"No sample in {name} is a number; export the sound again.")
    is_cut = _check_length(name, sound, n_samples / SAMPLE_RATE, expected_seconds)
    if 0 < peak < max(FAINTEST, _FAINTEST_STEPS * sound.step):
        bits = 8 if sound.step > FAINTEST else 16
        message = f"{name} is too quiet: what is heard lies in the noise of {bits} bits; record it again, and louder."
        raise AudioError("too_quiet", message)
    return is_cut


def load(path):
    """Decode a whole file to one float32 array (n,), mono at 16 kHz; errors as in `decode`."""
    return np.concatenate(list(decode(path)))


def rms(samples):
    """The root mean square of an array of any shape, as a float; of nothing it is 0."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if np.size(samples) else 0.0


def _mixed(channels):
    """The mean of the channels, or the loudest where they cancel each other out; (n, channels) -> float32 (n,)."""
    mean = channels.mean(axis=1, dtype=np.float32)
    levels = [rms(channel) for channel in channels.T]
    if rms(mean) < _CANCELLED * np.linalg.norm(levels) / len(levels):
        return channels[:, np.argmax(levels)]
    return mean


def _full_scale(peak):
    """What a sample of full scale is in a file with this peak: 1, or 2**15 or 2**31 where floats hold integers."""
    if peak <= _OVERSHOOT:
        return 1.0
    return peak if peak < 64 or peak > 2**31 else 2.0**15 if peak < 2**16 else 2.0**31


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


def _check_length(name, sound, decoded, expected_seconds):
    """Whether the file ends before its header says; raise `truncated` where it must not be used."""
    reached, announced = sound.ends(decoded)
    if (expected_seconds or 0) - reached > _VIDEO_TOLERANCE:
        announced = expected_seconds
    elif sound.is_cut or announced - reached <= _HEADER_TOLERANCE:
        return sound.is_cut
    elif sound.container in _READ_WHEN_CUT:
        return True
    message = f"{name} ends after {reached:.1f} of {announced:.1f} seconds; fetch or copy it again."
    raise AudioError("truncated", message)


def _is_heard(frames):
    """Whether frames hold more than the noise of 16 bits anywhere."""
    return any(np.abs(frame.to_ndarray()).max() > FAINTEST for frame in _resampled(frames))


def _resampled(frames):
    """Frames as interleaved floats at 16 kHz, every channel by itself.

    The channels are not mixed here, since FFmpeg weights them by their names and lets a mix exceed full scale; they
    are interleaved, since PyAV reads beyond the memory of a frame with eight or more planes.
    """
    import av

    strange = AudioError(
        "corrupt", "The sound in this file has a form that cannot be read; export it again, in stereo at 44,100 Hz."
    )
    resampler, form = None, None
    try:
        for frame in frames:
            # At the start, and where the recording of a radio stream changes its format.
            if form != (frame.format.name, frame.layout.name, frame.sample_rate):
                if frame.sample_rate < MIN_RATE:
                    rates = f"{frame.sample_rate:,} samples a second; music needs {MIN_RATE:,} or more"
                    raise AudioError("low_rate", f"This file has {rates}.")
                if frame.sample_rate > MAX_RATE:
                    raise strange
                if resampler:
                    yield from resampler.resample(None)
                form = (frame.format.name, frame.layout.name, frame.sample_rate)
                resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE, frame_size=BLOCK)
            frame.pts = None  # a gap in the clock of a damaged file must not be filled
            yield from resampler.resample(frame)
        if resampler:
            yield from resampler.resample(None)
    except av.error.FFmpegError:  # such as 65 channels
        raise strange from None
