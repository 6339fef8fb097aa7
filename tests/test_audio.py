"""Sound files of every format, whole, odd and broken."""

import os
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import av
import media
import numpy as np
import pytest
import soundfile

from pipeline.errors import AudioError, Cancelled, SourceError
from pipeline.song import audio

ROOT = Path(__file__).parents[1]
RATE = audio.SAMPLE_RATE


def pitch_of(samples):
    """The loudest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * RATE / len(samples)


def check_tone(samples, seconds=3.0, level=0.5):
    """A sine of 440 Hz, found by its length, pitch and level."""
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert abs(len(samples) / RATE - seconds) < 0.1
    assert abs(pitch_of(samples) - 440) < 1
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    assert abs(np.sqrt(2 * np.mean(middle**2)) - level) < 0.06


def error_of(path, **options):
    """What decoding a file raises; its sentence is checked."""
    with pytest.raises((AudioError, SourceError)) as caught:
        list(audio.decode(path, **options))
    message = str(caught.value)
    assert message.isprintable(), message
    assert message.endswith("."), message
    assert len(message) < 300, message
    return caught.value


FORMATS = """.m4a .m4v .mp4 .mov .3gp .webm .mkv .mka .opus .ogg .mp3 .aac .ac3 .eac3 .flac .wav .w64 .aiff .au .caf
.flv .avi .ts .m2ts .mpg .vob .tta .wv .voc .wma"""


@pytest.mark.parametrize("suffix", FORMATS.split())
@pytest.mark.parametrize("channels", [1, 2])
def test_formats(tmp_path, suffix, channels):
    path = media.write(tmp_path / f"song{suffix}", media.tone(3, 48_000, channels), 48_000)
    check_tone(audio.load(path))
    assert audio.is_audio(path)


@pytest.mark.parametrize("name", ["film.mp4", "film.webm", "film.mkv"])
def test_a_video_with_sound(tmp_path, name):
    check_tone(audio.load(media.write(tmp_path / name, media.tone(3, 48_000, 2), 48_000, picture=True)))


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 96_000, 192_000])
def test_rates(tmp_path, rate):
    check_tone(audio.load(media.write(tmp_path / "song.wav", media.tone(3, rate), rate)))


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_channels_are_averaged(tmp_path, channels, suffix):
    samples = np.zeros((3 * 44_100, channels), np.float32)
    samples[:, -1] = media.tone(3, level=0.8)
    check_tone(audio.load(media.write(tmp_path / f"song{suffix}", samples)), level=0.8 / channels)


@pytest.mark.parametrize(("name", "channels", "n_heard"), [("film.mp4", 6, 5), ("film.webm", 8, 8), ("film.mkv", 8, 8)])
def test_surround_sound(tmp_path, name, channels, n_heard):
    path = media.write(tmp_path / name, media.tone(3, 48_000, channels), 48_000)
    check_tone(audio.load(path), level=0.5 * n_heard / channels)  # AAC keeps only the bass of the bass channel


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_widths_of_samples(tmp_path, subtype):
    check_tone(audio.load(media.write(tmp_path / "song.wav", media.tone(3), subtype=subtype)))


def test_what_16_khz_cannot_hold_is_filtered_out(tmp_path):
    path = media.write(tmp_path / "high.wav", media.tone(3, hertz=12_000))
    assert np.abs(audio.load(path)[1000:-1000]).max() < 0.005


def test_blocks_are_long_and_make_up_the_whole(tmp_path):
    path = media.write(tmp_path / "song.flac", media.tone(25, 22_050), 22_050)
    blocks, steps = [], []
    for block in audio.decode(path, progress=lambda *step: steps.append(step)):
        blocks.append(block)
    assert [len(block) for block in blocks] == [10 * RATE, 10 * RATE, 5 * RATE]
    assert np.array_equal(np.concatenate(blocks), audio.load(path))
    assert steps == [("decoding", 10, 25), ("decoding", 20, 25), ("decoding", 25, 25)]


def test_progress_may_cancel(tmp_path):
    def progress(*_):
        raise Cancelled

    with pytest.raises(Cancelled):
        list(audio.decode(media.write(tmp_path / "song.wav", media.tone(1)), progress=progress))


def test_the_root_mean_square():
    assert audio.rms(np.array([[3, -4]], np.int16)) == pytest.approx(12.5**0.5)
    assert audio.rms(np.full(2, 30_000, np.int16)) == 30_000  # the square of which no int16 holds
    assert audio.rms([]) == 0


def test_samples_that_are_no_numbers(tmp_path):
    samples = media.tone(3, RATE)
    samples[:RATE] = np.nan
    samples[[RATE, RATE + 1]] = np.inf, -np.inf
    path = media.write(tmp_path / "song.wav", samples, RATE, subtype="FLOAT")
    loaded = audio.load(path)
    assert np.isfinite(loaded).all()
    assert np.abs(loaded).max() <= 1
    assert not loaded[:RATE].any()
    assert np.array_equal(loaded[RATE + 2 :], samples[RATE + 2 :])
    assert error_of(media.write(tmp_path / "nan.wav", samples * np.nan, RATE, subtype="FLOAT")).kind == "not_finite"


def test_a_sample_that_is_no_number_does_not_spoil_its_neighbours(tmp_path):
    samples = media.tone(3)
    samples[::100] = np.nan
    check_tone(audio.load(media.write(tmp_path / "song.wav", samples, subtype="FLOAT")))


@pytest.mark.parametrize("scale", [4, 20, 2**15, 2**23, 2**31])
def test_floats_beyond_full_scale_are_scaled_and_not_clipped(tmp_path, scale):
    samples = media.tone(1, RATE) * np.float32(scale)
    loaded = audio.load(media.write(tmp_path / "song.wav", samples, RATE, subtype="FLOAT"))
    assert 0.001 < np.abs(loaded).max() <= 1
    assert np.allclose(loaded / np.abs(loaded).max(), samples / np.abs(samples).max(), atol=1e-6)
    assert scale != 2**15 or np.array_equal(loaded, samples / 2**15)  # the same as from a file of integers


def test_the_overshoot_of_a_lossy_codec_is_clipped(tmp_path):
    samples = media.tone(1, RATE, level=1.2)
    loaded = audio.load(media.write(tmp_path / "song.wav", samples, RATE, subtype="FLOAT"))
    assert np.array_equal(loaded, np.clip(samples, -1, 1))


@pytest.mark.parametrize("suffix", [".webm", ".mkv", ".flac", ".aiff"])
@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.9])
def test_a_truncated_file(tmp_path, suffix, fraction):
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 12 * 48_000)
    whole = media.write(tmp_path / f"song{suffix}", noise, 48_000)
    assert abs(len(audio.load(whole)) / RATE - 12) < 0.1
    error = error_of(media.cut(whole, fraction))
    assert error.kind == "truncated"
    assert " of 12.0 seconds" in str(error)


def test_a_truncated_mp4_has_lost_its_index(tmp_path):
    whole = media.write(tmp_path / "song.m4a", media.tone(5))
    assert error_of(media.cut(whole, 0.5)).kind == "not_audio"


def ogg_crc(page):
    """The checksum of an Ogg page: CRC-32 with the polynomial 04c11db7, not reflected (RFC 3533)."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def test_an_ogg_file_that_ffmpeg_refuses_is_heard_all_the_same(tmp_path):
    path = tmp_path / "strict.ogg"
    soundfile.write(
        path, 0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * 44_100) / 44_100), 44_100, format="OGG", subtype="VORBIS"
    )
    data = path.read_bytes()
    starts = [i for i in range(len(data)) if data[i : i + 5] == b"OggS\0"]
    page = bytearray(data[starts[1] : starts[2]] + b"\xff")  # the decoder's set-up, with a byte of something after it
    page[26 + page[26]] += 1  # the length of its last segment
    page[22:26] = bytes(4)
    page[22:26] = ogg_crc(page).to_bytes(4, "little")
    path.write_bytes(data[: starts[1]] + page + data[starts[2] :])
    with pytest.raises(av.error.FFmpegError):
        av.open(str(path))
    samples = audio.load(path)
    assert len(samples) == pytest.approx(3 * 16_000, abs=200)
    spectrum = np.abs(np.fft.rfft(samples[:16_000]))
    assert spectrum.argmax() == 440
    path.write_bytes(b"OggS" + bytes(500))
    with pytest.raises(AudioError) as error:
        audio.load(path)
    assert error.value.kind == "corrupt"


def cut_short(path):
    """Decode a file; returns its length and what `decode` says at its end."""
    blocks, n_samples = audio.decode(path), 0
    while True:
        try:
            n_samples += len(next(blocks))
        except StopIteration as end:
            return n_samples / RATE, end.value


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.9])
@pytest.mark.parametrize(
    "name", ["song.wav", "song.rf64", "song.w64", "song.mp3", "tagged.mp3", "song.ogg", "song.opus"]
)
def test_what_can_be_read_although_it_was_cut_short_says_so(tmp_path, name, fraction):
    whole = media.write(tmp_path / name, np.random.default_rng(0).uniform(-0.3, 0.3, 12 * 48_000), 48_000)
    if name == "tagged.mp3":  # a picture of the cover comes first
        whole.write_bytes(b"ID3\3\0\0\0\0\x40\0" + bytes(8192) + whole.read_bytes())
    seconds, is_cut = cut_short(whole)
    assert seconds == pytest.approx(12, abs=0.1)
    assert is_cut is False
    seconds, is_cut = cut_short(media.cut(whole, fraction))
    assert seconds == pytest.approx(12 * fraction, abs=1.3)
    assert is_cut is True


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".flv", ".avi", ".wmv", ".m4a", ".mov", ".ts", ".mpg"])
@pytest.mark.parametrize("way", [{"pictures": 6}, {"start": 60}, {"start": 30, "pictures": 3}, {"hole": (1, 2)}])
def test_pictures_clocks_and_holes_cut_nothing_off(tmp_path, suffix, way):
    whole = media.write_tracks(tmp_path / f"song{suffix}", [media.tone(3, 48_000, 2)], **way)
    seconds, is_cut = cut_short(whole)
    assert seconds == pytest.approx(2 if "hole" in way else 3, abs=0.1)
    assert is_cut is False
    if suffix in (".mkv", ".webm", ".flv", ".avi", ".wmv"):  # the others lose their index, or announce no length
        assert error_of(media.cut(whole, 0.5)).kind == "truncated"


def test_subtitles_may_outlast_the_sound(tmp_path):
    sound = media.write(tmp_path / "sound.mka", media.tone(4, 48_000), 48_000)
    path = media.write_with_subtitles(tmp_path / "song.mkv", sound, 20)
    check_tone(audio.load(path), 4)
    assert error_of(media.cut(path, 0.5)).kind == "truncated"


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_the_default_track_is_heard_or_the_one_that_sounds(tmp_path, suffix):
    sound, other, silence = (
        media.tone(2, 48_000, hertz=hertz, level=level) for hertz, level in ((440, 0.5), (880, 0.5), (440, 0))
    )
    for tracks, default in (
        ([sound, other], 0),
        ([other, sound], 1),
        ([silence, sound], 0),
        ([other, silence, sound], 2),
    ):
        path = media.write_tracks(tmp_path / f"song{suffix}", tracks, default=default)
        assert pitch_of(audio.load(path)) == pytest.approx(440, abs=1)
    assert not audio.load(media.write_tracks(tmp_path / f"silent{suffix}", [silence, silence])).any()


@pytest.mark.parametrize("gain", [-1, -0.95])
@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".webm"])
def test_channels_that_cancel_each_other_out(tmp_path, suffix, gain):
    sound = media.tone(3, 48_000)
    path = media.write(tmp_path / f"song{suffix}", np.stack([sound, gain * sound], axis=1), 48_000)
    check_tone(audio.load(path))


def chain(path, *parts):
    """Write an Ogg file that consists of several, one after the other."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_every_link_of_a_chained_ogg_file_is_read(tmp_path):
    links = [
        media.write(tmp_path / "one.ogg", media.tone(2, 44_100), 44_100),
        media.write(tmp_path / "two.opus", media.tone(2, 48_000, 2, hertz=660), 48_000),
        media.write(tmp_path / "three.ogg", media.tone(2, 22_050, hertz=880), 22_050),
    ]
    path = chain(tmp_path / "chained.ogg", *links)
    samples = audio.load(path)
    assert len(samples) / RATE == pytest.approx(6, abs=0.1)
    assert [round(pitch_of(samples[i : i + RATE]) / 10) for i in range(RATE // 2, 6 * RATE, 2 * RATE)] == [44, 66, 88]
    assert cut_short(path)[1] is False
    seconds, is_cut = cut_short(media.cut(path, 0.5))
    assert 1.9 < seconds < 4.1
    assert is_cut is True


def riff(samples, bits=16, container=None, order="<", is_float=False, extensible=False, size=None):
    """The bytes of a wav file of any width and byte order; the samples fill the upper bits of their containers."""
    container = container or -(-bits // 8)
    if is_float:
        data = samples.astype(f"{order}f{container}").tobytes()
    else:
        values = np.round(samples * (2 ** (bits - 1) - 1)).astype(np.int64) << 8 * container - bits
        octets = values.astype(f"{order}i8").view(np.uint8).reshape(-1, 8)
        data = (octets[:, :container] if order == "<" else octets[:, -container:]).tobytes()
    width, tag = 8 * container, 3 if is_float else 1
    form = struct.pack(order + "HHIIHH", 0xFFFE if extensible else tag, 1, RATE, RATE * container, container, width)
    if extensible:
        form += struct.pack(order + "HHIIHH", 22, bits, 4, tag, 0, 16) + bytes.fromhex("800000aa00389b71")
    chunks = b"WAVEfmt " + struct.pack(order + "I", len(form)) + form
    chunks += b"data" + struct.pack(order + "I", len(data) if size is None else size) + data
    magic = b"RIFF" if order == "<" else b"RIFX"
    return magic + struct.pack(order + "I", len(chunks) if size is None else size) + chunks


@pytest.mark.parametrize(
    "options",
    [
        *({"order": order, "bits": bits} for order in "<>" for bits in (12, 16, 20, 24, 32)),
        *({"order": order, "bits": bits, "is_float": True} for order in "<>" for bits in (32, 64)),
        *({"order": order, "bits": bits, "container": 4, "extensible": True} for order in "<>" for bits in (20, 24)),
        {"bits": 16, "container": 3, "extensible": True},
        {"bits": 64},
        *({"size": size} for size in (0, 0x7FFFFFFF, 0xFFFFFFFF)),  # as written to a pipe
    ],
    ids=str,
)
def test_wav_files_of_every_width_and_byte_order(tmp_path, options):
    path = tmp_path / "song.wav"
    path.write_bytes(riff(media.tone(3, RATE).astype(np.float64), **options))
    seconds, is_cut = cut_short(path)
    assert (seconds, is_cut) == (3, False)
    check_tone(audio.load(path))


def test_a_wav_file_is_not_read_in_the_wrong_byte_order(tmp_path):
    path = tmp_path / "song.wav"
    path.write_bytes(riff(media.tone(3, RATE).astype(np.float64), bits=64, order=">"))
    assert error_of(path).kind == "not_audio"


def test_a_tag_before_a_wav_file(tmp_path):
    path = tmp_path / "song.wav"
    path.write_bytes(b"ID3\3\0\0\0\0\1\0" + bytes(128) + riff(media.tone(3, RATE)))
    check_tone(audio.load(path))


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "NMS_ADPCM_32"])
def test_codes_in_a_wav_file(tmp_path, subtype):
    path = media.write(tmp_path / "song.wav", media.tone(3, 8_000), 8_000, subtype=subtype)
    seconds, is_cut = cut_short(path)
    assert seconds == pytest.approx(3, abs=0.1)
    assert is_cut is False
    assert pitch_of(audio.load(path)) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
@pytest.mark.parametrize("form", ["AIFF", "AU", "CAF"])
def test_both_byte_orders(tmp_path, form, endian):
    path = tmp_path / f"song.{form.lower()}"
    soundfile.write(path, media.tone(3), 44_100, "PCM_24", endian, form)
    check_tone(audio.load(path))
    assert error_of(media.cut(path, 0.5)).kind == "truncated"


@pytest.mark.parametrize("rate", [1, 100, 3_999])
def test_too_few_samples_a_second(tmp_path, rate):
    error = error_of(media.write(tmp_path / "song.wav", media.tone(2, 10_000), rate))
    assert error.kind == "low_rate"
    assert f"{rate:,} samples a second" in str(error)


def test_the_longest_song(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "MAX_SECONDS", 20)
    for name in ("song.wav", "song.aac"):  # which says so at its beginning, and which does not
        assert error_of(media.write(tmp_path / name, media.tone(21, 16_000), 16_000)).kind == "too_long"
    with pytest.raises(AudioError):
        next(audio.decode(tmp_path / "song.wav"))
    assert len(audio.load(media.write(tmp_path / "short.wav", media.tone(20, 16_000), 16_000))) == 20 * RATE


@pytest.mark.parametrize("offset", [0.3, -0.05])
def test_a_constant_offset_is_removed(tmp_path, offset):
    samples = audio.load(media.write(tmp_path / "song.wav", media.tone(25, RATE, level=0.2) + np.float32(offset), RATE))
    check_tone(samples, 25, 0.2)
    assert abs(samples.mean()) < 1e-4
    assert not audio.load(media.write(tmp_path / "silent.wav", np.full(RATE, offset), RATE)).any()


@pytest.mark.parametrize(
    ("subtype", "steps", "is_heard"),
    [
        ("PCM_16", 4, False),  # the dither of a silent file
        ("PCM_16", 15, False),
        ("PCM_16", 17, True),
        ("FLOAT", 4, True),
        ("PCM_24", 4, True),
        ("FLOAT", 0.9, False),
        ("PCM_U8", 5 * 256, False),
        ("PCM_U8", 20 * 256, True),
    ],
)
def test_what_lies_in_the_noise_is_too_quiet(tmp_path, subtype, steps, is_heard):
    noise = np.random.default_rng(0).uniform(-steps, steps, 3 * RATE) / 2**15
    path = media.write(tmp_path / "song.wav", noise, RATE, subtype=subtype)
    if is_heard:
        assert np.abs(audio.load(path)).max() > 0
    else:
        error = error_of(path)
        assert error.kind == "too_quiet"
        assert f"the noise of {8 if subtype == 'PCM_U8' else 16} bits" in str(error)


def test_a_silent_file_is_silent(tmp_path):
    assert not audio.load(media.write(tmp_path / "song.wav", np.zeros(RATE), RATE, subtype="PCM_16")).any()


@pytest.mark.parametrize("suffix", [".ogg", ".mp3", ".m4a"])
def test_a_song_shorter_than_announced(tmp_path, suffix):
    path = media.write(tmp_path / f"song{suffix}", media.tone(5))
    assert error_of(path, expected_seconds=8).kind == "truncated"
    assert sum(map(len, audio.decode(path, expected_seconds=6))) > 4.9 * RATE  # YouTube rounds, and pictures go on


@pytest.mark.parametrize("suffix", [".flac", ".m4a", ".mp4"])
def test_much_damage_in_the_middle_of_a_file_that_says_its_length_is_told(tmp_path, suffix):
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 6 * 48_000)
    data = bytearray(media.write(tmp_path / f"song{suffix}", noise, 48_000).read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = bytes(third)
    damaged = tmp_path / f"damaged{suffix}"
    damaged.write_bytes(data)
    assert error_of(damaged).kind == "truncated"


def test_damage_in_the_middle_is_left_out(tmp_path):
    data = bytearray(media.write(tmp_path / "song.mp3", media.tone(5)).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 1000] = bytes(1000)
    damaged = tmp_path / "damaged.mp3"
    damaged.write_bytes(data)
    assert len(audio.load(damaged)) > 4.5 * RATE


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("empty", "song.mp3", b""),
        ("not_audio", "song.mp3", b"This is no sound.\n" * 1000),
        ("not_audio", "song.m4a", b"<!doctype html><title>Sorry</title>"),
        ("not_audio", "song.wav", bytes(5000)),
        ("not_audio", "song.flac", b"fLaC" + bytes(2000)),
        ("not_audio", "song.png", b"\x89PNG\r\n\x1a\n" + bytes(2000)),
        ("corrupt", "song.mp3", np.random.default_rng(1).bytes(100_000)),
    ],
)
def test_a_file_that_is_no_sound(tmp_path, kind, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert error_of(path).kind == kind


@pytest.mark.parametrize(("channels", "rate"), [(65, RATE), (1, 2**31 - 1), (1, 1_476_411_008)])
def test_a_form_that_no_resampler_takes(tmp_path, channels, rate):
    error = error_of(media.write(tmp_path / "song.wav", np.zeros((1000, channels)), rate))
    assert error.kind == "corrupt"
    assert "export it again" in str(error)


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {}\n"]
)
def test_a_file_cannot_make_the_decoder_open_another(tmp_path, text):
    media.write(tmp_path / "secret.aac", media.tone(2))
    disguised = tmp_path / "song.mp3"
    for target in ("secret.aac", f"file:{tmp_path}/secret.aac"):
        disguised.write_text(text.format(target))
        assert error_of(disguised).kind == "not_audio"


@pytest.mark.parametrize("name", ["film.mp4", "film.webm"])
def test_a_video_without_sound(tmp_path, name):
    assert error_of(media.write_silent_video(tmp_path / name)).kind == "no_sound"


def test_paths_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp3")
    for kind, path in {
        "missing": tmp_path / "none.mp3",
        "folder": tmp_path,
        "unreadable": tmp_path / "pipe.mp3",
    }.items():
        error = error_of(path)
        assert isinstance(error, SourceError)
        assert error.kind == kind
    assert error_of("a\0b.mp3").kind == "unreadable"
    assert error_of("http://localhost/song.mp3").kind == "missing"
    assert error_of(tmp_path / "song.wav" / "x").kind == "missing"


@pytest.mark.parametrize(
    "name",
    [
        "a:b?c=1#%20.wav",
        "-y.wav",
        "höre \N{MUSICAL SYMBOL G CLEF}.wav",
        "http:x.wav",
        "tab\tand\nline.wav",
        os.fsdecode(b"l\xe9.wav"),
    ],
)
def test_odd_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.rename(media.write(tmp_path / "song.wav", media.tone(3)), name)
    check_tone(audio.load(name))
    Path(name).write_bytes(b"")
    assert error_of(name).kind == "empty"


def test_a_title_that_is_not_utf_8(tmp_path):
    path = media.write(tmp_path / "song.wav", media.tone(3))
    title = b"LIST\x12\0\0\0INFOINAM\x06\0\0\0H\xf6re\xff\0"
    path.write_bytes(path.read_bytes().replace(b"data", title + b"data", 1))
    check_tone(audio.load(path))


def test_which_files_of_a_folder_are_sound():
    named = ".ogv .mpg .mpeg .vob .ts .m2ts .wmv .spx .wave .bwf .m4r .mpga .mp4a .3g2 .awb .avi .ape .mpc .eac3"
    assert all(audio.is_audio(f"a{suffix}") for suffix in named.split())
    assert all(audio.is_audio(name) for name in ("a.MP3", Path("b/c.m4a"), "d.Flac", "e.webm", "f.aiff", "voice.amr"))
    assert not any(audio.is_audio(name) for name in ("a.txt", "mp3", ".mp3", "b.mp3.part", "c.mid", "d.jpg"))


def test_the_libraries_print_nothing(tmp_path, capfd):
    whole = media.write(tmp_path / "song.webm", media.tone(3), 48_000)
    capfd.readouterr()
    audio.load(whole)
    error_of(media.cut(whole, 0.4))
    assert capfd.readouterr() == ("", "")


def test_memory_does_not_grow_with_the_length(tmp_path):
    block = np.random.default_rng(0).integers(-3000, 3000, 60 * RATE).astype(np.int16)
    for name, minutes in {"short.wav": 1, "long.wav": 30}.items():
        with soundfile.SoundFile(tmp_path / name, "w", RATE, 1, "PCM_16") as file:
            for _ in range(minutes):
                file.write(block)
    script = """
import resource, sys
from pipeline.song.cleaning import clean
for path in sys.argv[1:]:
    print(sum(1 for _ in clean(path)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "short.wav", tmp_path / "long.wav"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (n_short, before), (n_long, after) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert (n_short, n_long) == (60, 1800)
    assert after - before < 20, "MB; the samples of the long file alone are 115"


@pytest.mark.parametrize("suffix", [".ts", ".flv", ".mp4", ".webm", ".ogg", ".mp3", ".flac", ".wav", ".aiff"])
def test_any_damage_ends_in_sound_or_a_sentence(tmp_path, suffix):
    rng = np.random.default_rng(0)
    whole = np.frombuffer(media.write(tmp_path / f"song{suffix}", media.tone(2, 48_000), 48_000).read_bytes(), np.uint8)
    damaged = tmp_path / f"damaged{suffix}"
    for _ in range(40):
        data = whole.copy()
        data[rng.integers(len(data) if rng.random() < 0.5 else 512, size=rng.integers(1, 100))] = rng.integers(256)
        damaged.write_bytes(data.tobytes())
        with suppress(AudioError):
            assert np.isfinite(audio.load(damaged)).all()
