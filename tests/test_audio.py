"""Sound files of every format, whole, odd and broken."""

import os
import subprocess
import sys
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
    assert message.isprintable() and message.endswith(".") and len(message) < 300, message
    return caught.value


@pytest.mark.parametrize(
    "suffix",
    [
        ".m4a",
        ".m4v",
        ".mp4",
        ".3gp",
        ".webm",
        ".mkv",
        ".opus",
        ".ogg",
        ".mp3",
        ".aac",
        ".flac",
        ".wav",
        ".w64",
        ".aiff",
        ".au",
        ".caf",
        ".flv",
    ],
)
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


@pytest.mark.parametrize("suffix", [".ogg", ".mp3", ".m4a"])
def test_a_song_shorter_than_announced(tmp_path, suffix):
    path = media.write(tmp_path / f"song{suffix}", media.tone(5))
    assert error_of(path, expected_seconds=8).kind == "truncated"
    assert sum(map(len, audio.decode(path, expected_seconds=6))) > 4.9 * RATE  # YouTube rounds, and pictures go on


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


@pytest.mark.parametrize(("channels", "rate"), [(65, RATE), (1, 2**31 - 1)])
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
