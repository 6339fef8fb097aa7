"""A sound file of any usual format -> the decoded frames of its sound, and how long the file says it is.
PyAV (the libraries of FFmpeg) opens nearly everything; libsndfile reads wav, aiff and au, and Ogg that FFmpeg refuses.
Nothing but the file itself is opened, and only containers of sound, whatever the file calls itself.
"""

import re
from contextlib import suppress

import numpy as np

from pipeline.errors import AudioError, printable

# The containers that are read, as FFmpeg names them, and how the names of such files end.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,ogg,rm,tak,tta,"
    "voc,w64,wav,wv"
)
_ENDINGS = """
3g2 3gp aac ac3 adts aif aifc aiff amr ape asf au avi awb bwf caf dsf dts eac3 ec3 f4a f4v flac flv m2ts m4a m4b m4r
m4v mka mkv mov mp1 mp2 mp3 mp4 mp4a mpc mpeg mpg mpga mts oga ogg ogv ogx opus ra rf64 rm snd spx tak ts tta voc
vob w64 wav wave weba webm wma wmv wv
"""
SUFFIXES = frozenset(f".{ending}" for ending in _ENDINGS.split())

# A file may call itself song.mp3 and be a playlist that makes FFmpeg open other files and addresses.
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file,subfile"}
_WITH_CLOCK = frozenset(["asf", "avi", "flv", "matroska", "mov", "rm"])
_WITHOUT_LENGTH = frozenset(["aac", "ac3", "amr", "dts", "eac3", "mpeg", "mpegts", "ogg"])  # FFmpeg guesses theirs

# How the files begin that libsndfile can read, too, and those of which FFmpeg misunderstands some.
_LIBSNDFILE = re.compile(rb"RIFF|RIFX|RF64|riff|ID3|FORM|\.snd|dns\.|OggS")
_LIBSNDFILE_FIRST = re.compile(rb"(RIFF|RF64)....WAVE|RIFX|riff|FORM|\.snd|dns\.", re.DOTALL)

# Where a header has the size in bytes: of all that follows it, or, in ASF, of the whole file.
_SIZES = {
    "asf": rb"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\0\xc0\x0c\x20\x53\x65.{24}(.{8})",
    "avi": rb"RIFF(....)",
    "caf": rb"data(\0.{7})",
    "matroska": rb"\x18\x53\x80\x67\x01(.{7})",
}
_BY_SIZE = ("asf", "avi", "caf")  # for these, FFmpeg's length is that of what is there
_LOGGED_SIZES = re.compile(r"^ *(?:RIF[FX]|riff size|data|data size|SSND) *: (\d+) .should be (\d+)", re.I | re.M)
_UNKNOWN_SIZE = 0x7FFFF000  # what is written to a pipe announces as many bytes or more
_MP3_FRAMES = rb"(?:Xing|Info)\0\0\0[\1\3\5\7\x09\x0b\x0d\x0f](....)"

_STEPS = {"u8": 2**-7, "s16": 2**-15, "PCM_U8": 2**-7, "PCM_S8": 2**-7, "PCM_16": 2**-15}


def sounds(path, is_heard):
    """Open and yield the sounds of a file: the links of a chained Ogg file one by one, else the only one.

    Of several tracks it is the default one, or where `is_heard(frames)` is false the first of which it is true. Each
    sound has `container`, `step` (the smallest difference between two samples, 0 for floats), `seconds` (as its header
    says, or None), `is_cut`, `frames()` and, after these, `ends(seconds_decoded)`. Raises AudioError.
    """
    with open(path, "rb") as file:
        head = file.read(12)
    addresses, is_cut = _ogg_links(path) if head.startswith(b"OggS") else ([f"file:{path}"], False)
    readers = [_Ffmpeg]
    if len(addresses) == 1 and _LIBSNDFILE.match(head):
        readers.insert(0 if _LIBSNDFILE_FIRST.match(head) else 1, _Libsndfile)
    if head.startswith(b"RIFX"):  # FFmpeg takes its bytes in the wrong order
        readers = [_Libsndfile]
    for address in addresses:
        sound = _opened(path, address, readers, is_heard)
        if not sound and is_cut and address != addresses[0]:
            return
        if not sound:
            message = (
                f"{printable(path.name)} cannot be read as sound: it is damaged, cut short or of a kind that is not "
                "read; fetch it again, or try m4a, mp3, ogg, flac or wav."
            )
            raise AudioError("corrupt" if head.startswith(b"OggS") else "not_audio", message)
        with sound:
            sound.is_cut = is_cut
            yield sound


def _ogg_links(path):
    """The addresses of the links of a chained Ogg file, in FFmpeg's words, and whether its last page is cut short."""
    starts, position, is_header, size = [], 0, False, path.stat().st_size
    with open(path, "rb") as file:
        while (page := file.read(27)).startswith(b"OggS") and len(page) == 27:
            is_first = bool(page[5] & 2)  # of a stream; a link begins with the first pages of all its streams
            if is_first and not is_header:
                starts.append(position)
            is_header = is_first
            position += 27 + page[26] + sum(file.read(page[26]))
            file.seek(position)
    is_cut = position > size or (page != b"" and b"OggS".startswith(page[:4]))
    links = [f"subfile,,start,{a},end,{b},,:file:{path}" for a, b in zip(starts, [*starts[1:], size])]
    return links if len(links) > 1 else [f"file:{path}"], is_cut


def _opened(path, address, readers, is_heard):
    """A sound, by the first reader that accepts the file; None if there is none."""
    import av
    import soundfile

    for reader in readers:
        with suppress(av.error.FFmpegError, soundfile.LibsndfileError, OSError, ValueError):
            sound = reader(path, address)
            break
    else:
        return None
    if not sound.tracks:
        message = f"{printable(path.name)} has no sound in it; choose a file or video with sound."
        raise AudioError("no_sound", message)
    for track in sound.tracks if len(sound.tracks) > 1 else ():
        with suppress(AudioError), _Ffmpeg(path, address, track) as trial:
            if is_heard(trial.frames()):
                return _Ffmpeg(path, address, track)
    return sound


class _Libsndfile:
    """A sound that libsndfile decodes. Raises LibsndfileError or ValueError where it does not."""

    tracks = (0,)

    def __init__(self, path, address):
        import soundfile

        self._file = soundfile.SoundFile(path)
        if not self._file.frames or self._file.channels > 64:  # written to a pipe, or too many to be resampled
            raise ValueError("left to FFmpeg")
        self.container = "wav" if self._file.format in ("WAV", "WAVEX", "RF64", "W64") else self._file.format.lower()
        self.step = _STEPS.get(self._file.subtype, 0)
        # Its log has the size of the file, or of what is in it, as announced and as it is.
        sizes = [(int(said), int(found)) for said, found in _LOGGED_SIZES.findall(self._file.extra_info)]
        shares = [said / found for said, found in sizes if said < _UNKNOWN_SIZE and found]
        self.seconds = max(shares, default=1) * self._file.frames / self._file.samplerate

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def frames(self):
        """The decoded frames."""
        import av
        import soundfile

        layout = av.AudioLayout(f"{self._file.channels}C")
        with suppress(soundfile.LibsndfileError):
            while len(block := self._file.read(1 << 16, dtype="float32", always_2d=True)):
                for channel in block.T:  # one sample that is no number would spoil all that it is mixed with
                    good = np.flatnonzero(np.isfinite(channel))
                    if 0 < len(good) < len(channel):
                        channel[:] = np.interp(np.arange(len(channel)), good, channel[good], left=0, right=0)
                frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout=layout)
                frame.sample_rate = self._file.samplerate
                yield frame

    def ends(self, decoded):
        """Where the sound ends and where it should, in seconds."""
        return decoded, self.seconds


class _Ffmpeg:
    """A sound that FFmpeg decodes. Raises FFmpegError, OSError or ValueError where it does not."""

    def __init__(self, path, address, track=None):
        import av

        # Before 19, PyAV refused a file whose title is not UTF-8, unless it was told not to.
        lenient = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}
        self._media = av.open(address, options=_OPTIONS, **lenient)
        self.container = self._media.format.name.partition(",")[0]
        audio = self._media.streams.audio
        is_default = [bool(stream.disposition & av.stream.Disposition.default) for stream in audio]
        self.tracks = sorted(range(len(audio)), key=lambda i: not is_default[i])
        self._stream = audio[self.tracks[0] if track is None else track] if audio else None
        # A clock may begin anywhere; the length of a Matroska file counts from zero all the same.
        self._begin = 0 if self.container == "matroska" else (self._media.start_time or 0) / 1e6
        self.step, self._end, self._lost, self._share = 0, 0.0, 0.0, 1.0
        self.seconds = self._announced(path) if audio else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._media.close()

    def frames(self):
        """The decoded frames; damaged packets are left out, and the length at the end tells how much was lost."""
        import av

        tracks = list(self._media.streams)
        if self._share > 1:  # a single subtitle may reach to the end of what is cut off
            tracks = [stream for stream in tracks if stream.type in ("audio", "video")]
        n_good = n_damaged = 0
        # The first where the demuxer finds no way on; the second at the end, where a stream that is damaged became two.
        with suppress(av.error.FFmpegError, IndexError):
            for packet in self._media.demux(tracks):
                seconds = float((packet.duration or 0) * packet.time_base)
                try:
                    if packet.stream.index == self._stream.index:
                        for frame in packet.decode():
                            self.step = _STEPS.get(frame.format.name.rstrip("p"), 0)
                            yield frame
                        n_good += 1
                except av.error.FFmpegError:
                    n_damaged += 1
                    self._lost += seconds
                if packet.pts is not None:
                    self._end = max(self._end, float(packet.pts * packet.time_base) + seconds)
        if n_damaged > n_good:
            message = "Most of this file could not be decoded; it is damaged or not what its name says."
            raise AudioError("corrupt", message)

    def ends(self, decoded):
        """Where the file ends and where its header says so, in seconds.

        Where packets have a clock, the end is that of the last one of any track: picture or subtitles may outlast the
        sound, and a clock may stand still or begin anywhere. What damage has cost does not count.
        """
        reached = max(decoded, self._end - self._begin - self._lost if self.container in _WITH_CLOCK else 0)
        return reached, reached * self._share if self.container in _BY_SIZE else self.seconds or 0

    def _announced(self, path):
        """The length in seconds that the header says, or None.

        Sets `_share`: how many times as large as this file the whole one would be, in bytes.
        """
        with open(path, "rb") as file:
            head = file.read(4096)
            if found := re.search(_SIZES.get(self.container, b"$^"), head, re.DOTALL):
                size = int.from_bytes(found[1], "little" if self.container in ("asf", "avi") else "big")
                if size < _UNKNOWN_SIZE:
                    self._share = (size + (found.end() if self.container != "asf" else 0)) / self._media.size
            if self.container == "mp3":  # FFmpeg guesses where nothing is said
                if head.startswith(b"ID3"):
                    file.seek(10 + sum((byte & 127) << 7 * i for i, byte in enumerate(head[9:5:-1])))
                    head = file.read(4096)
                found = re.search(_MP3_FRAMES, head, re.DOTALL)
                if not found or not self._stream.rate:
                    return None
                return int.from_bytes(found[1]) * self._stream.codec_context.frame_size / self._stream.rate
        if self.container in (*_WITHOUT_LENGTH, *_BY_SIZE) or not self._media.duration:
            return None
        return self._media.duration / 1e6
