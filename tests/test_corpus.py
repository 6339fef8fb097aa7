"""The sources of sound: packages, scores, renderings, mixtures, folders and playlists, without the web."""

import io
import itertools
import shutil
import struct
import sys
import tarfile
import threading
import zipfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pretty_midi
import pytest
import soundfile

from pipeline import files
from pipeline.corpus import catalogue, collection, gus_patches, packages, sounds
from pipeline.corpus.catalogue import Font, Pieces, Recordings, Samples
from pipeline.corpus.packages import Package, fetch, fetch_all, unpack
from pipeline.corpus.render import RATE, FontPlayer, Touch, darkened, programs, render
from pipeline.corpus.sampler import SamplePlayer, notes_in
from pipeline.corpus.scores import NOTE, Score, improvise, midi_in_wad, outermost, read_midi
from pipeline.corpus.sounds import Band, Duo, Excerpt, Piece, Recorded, Scattered, Solo, Together
from pipeline.errors import SourceError
from pipeline.song import audio

FONT = str(Path(pretty_midi.__file__).parent / "TimGM6mb.sf2")
FLUTE, PIANO, VIOLIN = 73, 0, 40


@pytest.fixture(autouse=True)
def decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(sounds, "DECODED", tmp_path / "decoded")


def score(*notes, pedal=()):
    """Notes as (start, end, pitch, velocity)."""
    return Score(np.array([(*n, 0, False) for n in notes], NOTE), np.array(pedal, float).reshape(-1, 2))


def midi(path, program=0, drums=False):
    song = pretty_midi.PrettyMIDI()
    instrument = pretty_midi.Instrument(program)
    for i in range(40):
        instrument.notes.append(pretty_midi.Note(90, 60 + i % 12, i * 0.25, i * 0.25 + 0.24))
    instrument.control_changes += [pretty_midi.ControlChange(64, v, t) for v, t in [(100, 0.1), (110, 0.2), (0, 1.0)]]
    song.instruments.append(instrument)
    if drums:
        beat = pretty_midi.Instrument(0, is_drum=True)
        beat.notes += [pretty_midi.Note(100, 38, i * 0.5, i * 0.5 + 0.1) for i in range(20)]
        song.instruments.append(beat)
    song.write(str(path))
    return path


def tone(path, frequency, seconds, rate=16000):
    t = np.arange(int(seconds * rate)) / rate
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * frequency * t), rate)
    return path


def strongest(samples):
    """The frequency with the most energy, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 4 * len(samples)))
    return spectrum.argmax() * RATE / (4 * len(samples))


# packages


def wheel(folder, name="tinysounds", files=(("tinysounds/a.txt", b"sound"),)):
    """A wheel that the real pip accepts, without any code."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        for inside, data in files:
            file.writestr(inside, data)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return path


def test_the_real_pip_fetches_a_package_once(tmp_path, monkeypatch):
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wheel(shelf)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    folder = fetch(Package("pip", "tinysounds"), tmp_path / "cache")
    assert (folder / "tinysounds" / "a.txt").read_bytes() == b"sound"
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [folder.name]  # no scratch is left
    monkeypatch.setattr(packages.subprocess, "run", None)  # a second call needs no client
    assert fetch(Package("pip", "tinysounds"), tmp_path / "cache") == folder
    monkeypatch.undo()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SourceError, match=r"pip could not fetch nosuchsounds .* try again"):
        fetch(Package("pip", "nosuchsounds"), tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [folder.name]


def test_packages_are_fetched_side_by_side(tmp_path, monkeypatch):
    wanted = [Package("pip", name) for name in ("tinysounds", "moresounds", "lastsounds")]
    for package in wanted:
        wheel(tmp_path, package.name, [(f"{package.name}/a.txt", package.name.encode())])
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    folders = fetch_all(wanted, tmp_path / "cache")
    assert [(folders[p] / p.name / "a.txt").read_text() for p in wanted] == [p.name for p in wanted]
    with pytest.raises(SourceError, match="could not fetch nosuchsounds"):
        fetch_all([Package("pip", "nosuchsounds"), *wanted], tmp_path / "cache")
    both = threading.Barrier(2, timeout=20)  # passed only by two at the same time
    monkeypatch.setattr(packages, "fetch", lambda package, cache: both.wait())
    assert sorted(fetch_all(wanted[:2]).values()) == [0, 1]


def test_an_archive_inside_a_package_is_unpacked_too(tmp_path, monkeypatch):
    shelf, inner = tmp_path / "shelf", io.BytesIO()
    shelf.mkdir()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("C4.txt", b"a note")
    wheel(
        shelf,
        files=(
            ("tinysounds/notes.zip", inner.getvalue()),
            ("tinysounds/music.pk3", inner.getvalue()),
            ("tinysounds/b.zip", b"no archive"),
        ),
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    folder = fetch(Package("pip", "tinysounds"), tmp_path / "cache") / "tinysounds"
    assert (folder / "notes/C4.txt").read_bytes() == (folder / "music/C4.txt").read_bytes() == b"a note"


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(SourceError, match=r"cache cannot be written \(.*\); choose another folder"):
        fetch(Package("pip", "tinysounds"), tmp_path / "cache")


def test_a_missing_client_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert packages.available("pip")
    assert not packages.available("npm")
    with pytest.raises(SourceError, match="needs npm"):
        fetch(Package("npm", "x"), tmp_path)


@pytest.mark.parametrize("name", ["../out.txt", "{outside}/out.txt", "a/../../out.txt"])
def test_an_archive_cannot_leave_its_folder(tmp_path, name):
    name, inside = name.format(outside=tmp_path), tmp_path / "inside"
    inside.mkdir()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(name, b"x")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as file:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        file.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(SourceError, match="unsafe"):
        unpack(tmp_path / "a.zip", inside)
    with suppress(SourceError):
        unpack(tmp_path / "a.tgz", inside)  # an absolute name is stripped by tarfile's filter, a climbing one refused
    assert not (tmp_path / "out.txt").exists()


def test_a_damaged_archive_is_an_error_of_ours(tmp_path):
    for name in ("a.whl", "a.tar.gz"):
        (tmp_path / name).write_bytes(b"not an archive")
        with pytest.raises(SourceError, match="damaged"):
            unpack(tmp_path / name, tmp_path)


# scores


def test_midi_is_read_with_its_pedal(tmp_path):
    read = read_midi(midi(tmp_path / "a.mid", VIOLIN, drums=True))
    assert len(read.notes) == 60
    assert read.notes["drum"].sum() == 20
    assert np.all(np.diff(read.notes["start"]) >= 0)
    np.testing.assert_allclose(read.pedal, [[0.1, 1], [1.0, 0]], atol=0.01)  # only the moves that change something
    assert set(read.for_program(5).notes["program"]) == {5}
    assert not read.for_program(5).notes["drum"].any()
    with pytest.raises(SourceError, match="MIDI data is not a MIDI file that can be read"):
        read_midi(b"MThd no")


def test_midi_inside_a_wad(tmp_path):
    data = midi(tmp_path / "a.mid").read_bytes()
    directory = struct.pack("<ii8s", 12, len(data), b"D_E1M1") + struct.pack("<ii8s", 12, 4, b"OTHER")
    (tmp_path / "a.wad").write_bytes(b"PWAD" + struct.pack("<ii", 2, 12 + len(data)) + data + directory)
    assert midi_in_wad(tmp_path / "a.wad")["D_E1M1"] == data
    assert len(Piece(str(tmp_path / "a.wad"), "D_E1M1").score().notes) == 40
    with pytest.raises(SourceError, match="WAD"):
        midi_in_wad(tmp_path / "a.mid")


def test_notes_stay_on_the_keyboard():
    moved = score((0, 1, 100, 64), (0, 1, 30, 64)).transposed(12, 24, 103).notes["pitch"]
    assert list(moved) == [100, 42]  # 112 comes back by an octave
    rng = np.random.default_rng(3)
    for _ in range(30):
        tune = improvise(rng, 6.0)
        assert len(tune.notes)
        assert tune.notes["pitch"].min() >= 24
        assert tune.notes["pitch"].max() <= 103
        assert tune.notes["velocity"].min() >= 1
        assert np.all(tune.notes["end"] > tune.notes["start"])


def test_the_pedal_holds_notes():
    held = score((0, 1, 60, 64), (3, 4, 60, 64), pedal=[(0.5, 1), (2.0, 0)]).sustained()
    assert list(held.notes["end"]) == [2.0, 4.0]
    assert len(held.pedal) == 0
    renewed = score((0, 1, 60, 64), (1.5, 1.7, 64, 64), (3, 4, 60, 64)).pedalled(2.0).sustained()
    assert list(renewed.notes["end"]) == [2.0, 2.0, 4.0]


# rendering


def test_a_font_plays_in_tune_and_at_16_khz():
    assert programs(FONT) == list(range(128))
    tune = score((0, 2, 69, 100)).for_program(FLUTE)
    plain = render(tune, FONT, 0.5, 1.0)
    assert plain.shape == (RATE,)
    assert plain.dtype == np.float32
    assert strongest(plain) == pytest.approx(440, rel=0.01)
    assert strongest(render(tune, FONT, 0.5, 1.0, Touch(cents=100))) == pytest.approx(466.2, rel=0.01)


def test_a_missing_synthesizer_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(SourceError, match=r"install it with: .* pip install --no-deps tinysoundfont"):
        programs("another.sf2")


def test_touch_changes_loudness_and_tempo():
    tune = score((0, 0.5, 60, 64), (2, 2.5, 60, 64)).for_program(PIANO)
    soft, loud = (np.abs(render(tune, FONT, 0, 1, Touch(loudness=x))).max() for x in (0.4, 1.6))
    assert loud > 2 * soft > 0
    fast = render(tune, FONT, 0, 2, Touch(tempo=2.0))  # the second note now begins at one second
    assert (
        np.abs(fast[int(1.0 * RATE) : int(1.3 * RATE)]).max()
        > 5 * np.abs(fast[int(0.9 * RATE) : int(0.98 * RATE)]).max()
    )
    assert list(Touch(contrast=2.0).velocity(np.array([32, 64]))) == [16, 64]
    assert list(Touch(loudness=0.5).velocity(np.array([64]))) == [32]


def test_an_instrument_out_of_tune():
    tune = score((0, 2, 69, 100)).for_program(FLUTE)
    assert abs(strongest(render(tune, FONT, 0.5, 1.0, Touch(mistuning=400))) - 440) > 20


def test_the_pedal_is_heard_in_the_tempo_of_the_score():
    tune = score((0, 1, 69, 100), pedal=[(0.2, 1), (4, 0)]).for_program(FLUTE)
    held, plain = (render(tune, FONT, 0, 3, Touch(tempo=2.0, pedal=pedal)) for pedal in (True, False))

    def level(samples, begin, end):
        return np.std(samples[int(begin * RATE) : int(end * RATE)])

    assert level(held, 1, 1.8) > 20 * level(plain, 1, 1.8)
    assert level(held, 2.6, 3) < 0.05 * level(held, 1, 1.8)


def test_a_window_is_a_part_of_the_whole():
    rng = np.random.default_rng(0)
    tune = improvise(rng, 8.0)
    whole = render(tune, FONT, 0, 6)
    window = render(tune, FONT, 3, 2)
    assert np.corrcoef(whole[3 * RATE : 5 * RATE], window)[0, 1] > 0.9


def test_the_sampler_plays_recorded_notes_in_tune(tmp_path):
    (tmp_path / "soft").mkdir()
    (tmp_path / "loud").mkdir()
    tone(tmp_path / "soft" / "A4.wav", 440, 3)
    tone(tmp_path / "loud" / "A4.wav", 880, 3)
    player = SamplePlayer((str(tmp_path / "soft"), str(tmp_path / "loud")))
    for velocity, frequency in ((30, 523.25), (90, 1046.5)):
        sound = player.render(score((0, 1.5, 72, velocity)), 0.2, 1.0)
        assert strongest(sound) == pytest.approx(frequency, rel=0.01)
    sound = player.render(score((0, 0.3, 69, 90)), 0, 2.0)
    assert np.abs(sound[: RATE // 4]).max() > 0.1
    assert np.abs(sound[RATE:]).max() < 1e-3
    with pytest.raises(SourceError, match="no notes"):
        SamplePlayer((str(tmp_path),)).render(score((0, 1, 60, 90)), 0, 1)


@pytest.mark.parametrize(
    ("name", "pitch"),
    [
        ("A4.wav", 69),
        ("Piano.ff.A4.flac", 69),
        ("a4.wav", 69),
        ("A4v10.ogg", 69),
        ("As1.mp3", 34),
        ("Ab1.mp3", 32),
        ("c#2.wav", 37),
    ],
)
def test_notes_are_found_by_their_names(tmp_path, name, pitch):
    (tmp_path / name).touch()
    (tmp_path / "Data4.txt").touch()
    assert notes_in(tmp_path) == {pitch: str(tmp_path / name)}


def test_softly_played_notes_are_darker(tmp_path):
    time = np.arange(2 * RATE) / RATE
    soundfile.write(tmp_path / "A4.wav", 0.2 * (np.sin(2 * np.pi * 440 * time) + np.sin(2 * np.pi * 6000 * time)), RATE)
    player = SamplePlayer((str(tmp_path),))

    def brightness(velocity):
        spectrum = np.abs(np.fft.rfft(player.render(score((0, 2, 69, velocity)), 0, 1.0)))
        return spectrum[6000] / spectrum[440]

    assert brightness(10) < 0.5 * brightness(120)


def test_what_is_played_softly_goes_through_a_low_pass_of_its_velocity():
    cutoff = 1200 * 2 ** (4 * 32 / 127)
    made = darkened(np.sin(2 * np.pi * cutoff * np.arange(RATE) / RATE).astype(np.float32), 32)
    assert np.mean(made**2) == pytest.approx(0.5 / 2, rel=0.04)  # 3 dB down


def patch(path, frequency=440.0, rate=22050, n=4410):
    """A patch with one note: 0.2 s of a sine in 16 bits, of which the second half is a loop."""
    samples = np.rint(20000 * np.sin(2 * np.pi * frequency * np.arange(n) / rate)).astype("<i2").tobytes()
    note = bytearray(96)
    struct.pack_into("<IIIHIII", note, 8, len(samples), n, 2 * n, rate, 20, 20_000_000, int(frequency * 1000))
    note[55] = 0b101  # 16 bits, looped
    layer = bytearray(47)
    layer[6] = 1
    path.write_bytes(b"GF1PATCH110\0".ljust(129 + 63, b"\0") + layer + note + samples)
    return path


def test_a_patch_of_the_ultrasound_is_read(tmp_path):
    path = patch(tmp_path / "024_Nylon_Guitar.pat")
    ((pitch, samples),) = gus_patches.notes(path, 3).items()
    assert pitch == 69
    assert len(samples) == pytest.approx(3 * RATE, abs=2)
    assert strongest(samples) == pytest.approx(440, rel=0.01)
    assert np.abs(samples[: RATE // 5]).max() == pytest.approx(20000 / 32768, rel=0.02)
    assert np.abs(samples[2 * RATE :]).max() < 0.1
    sound = SamplePlayer((str(path),)).render(score((0, 1.5, 72, 90)), 0.2, 1.0)
    assert strongest(sound) == pytest.approx(523.25, rel=0.01)
    (tmp_path / "bad.pat").write_bytes(b"RIFF")
    with pytest.raises(SourceError, match="not a patch"):
        gus_patches.notes(tmp_path / "bad.pat", 3)


# sounds


def test_excerpts_are_seeded(tmp_path):
    piece = Piece(str(midi(tmp_path / "a.mid")))
    for sound in (
        Solo(FontPlayer(FONT, PIANO), piece),
        Solo(FontPlayer(FONT, VIOLIN), piece, melody=True),
        Solo(FontPlayer(FONT, PIANO)),
        Duo(FontPlayer(FONT, PIANO), FontPlayer(FONT, VIOLIN), piece),
        sounds.Noise("applause"),
    ):
        first, second = (sound.excerpt(np.random.default_rng(7), 4) for _ in range(2))
        np.testing.assert_array_equal(first.samples, second.samples)
        assert len(first.samples) == 4 * RATE
        assert np.isfinite(first.samples).all()
        assert np.abs(first.samples).max() > 0


class Reader:
    """A player that writes down the pitches it is given, and whether it may use a pedal and the score has one."""

    def render(self, score, start, seconds, touch):
        self.pitches, self.pedal, self.pedalled = score.notes["pitch"].tolist(), touch.pedal, bool(len(score.pedal))
        return np.ones(int(seconds * RATE), np.float32)


@pytest.mark.parametrize(("bass", "voice"), [(False, [45, 76, 76]), (True, [40, 45])])
def test_beside_a_piano_an_instrument_takes_the_highest_voice_and_a_bass_the_lowest(monkeypatch, bass, voice):
    played = score((0, 1, 40, 90), (0, 1, 64, 90), (0, 1, 76, 90), (1, 2, 76, 90), (2, 3, 45, 90))
    monkeypatch.setattr(Piece, "score", lambda self: played)
    left, pedals = set(), set()
    for seed in range(20):
        piano, other = Reader(), Reader()
        Duo(piano, other, Piece("piece.mid"), bass).excerpt(np.random.default_rng(seed), 4)
        moved = min(other.pitches) - min(voice)
        assert sorted(other.pitches) == [pitch + moved for pitch in voice]
        assert {*piano.pitches, *other.pitches} == {pitch + moved for pitch in (40, 45, 64, 76)}
        left.add(len(piano.pitches))
        pedals.add((piano.pedal, other.pedal))
    assert left == {5, 5 - len(voice)}  # the piano plays its voice too, or leaves it
    assert pedals == {(True, False), (False, False)}  # only the piano has a pedal


@pytest.mark.parametrize(
    ("melody", "written", "pedals"),
    [
        (False, False, {(True, True), (True, False), (False, True), (False, False)}),
        (True, False, {(False, True), (False, False)}),
        (False, True, {(True, True), (False, True)}),
    ],
)
def test_a_piece_without_a_pedal_is_often_given_one_and_a_melody_does_without(monkeypatch, melody, written, pedals):
    played = score((0, 1, 60, 90), (1, 4, 64, 90), pedal=[(0, True), (2, False)] if written else ())
    monkeypatch.setattr(Piece, "score", lambda self: played)
    found, player = [], Reader()
    for seed in range(60):
        Solo(player, Piece("piece.mid"), melody).excerpt(np.random.default_rng(seed), 4)
        found.append((player.pedal, player.pedalled))
    assert set(found) == pedals
    assert len(played.pedal) == 2 * written
    if not written:
        assert 0.4 < np.mean([pedalled for _, pedalled in found]) < 0.8


class Fixed:
    """A sound with these samples."""

    def __init__(self, samples):
        self.samples = np.asarray(samples, np.float32)

    def excerpt(self, rng, seconds):
        return Excerpt(self.samples, 0.0, "fixed")


def test_a_mixture_counts_only_where_the_other_is_heard():
    rng = np.random.default_rng(1)
    piano = Fixed(rng.standard_normal(4 * RATE) * 0.1)
    other = np.zeros(4 * RATE)
    other[RATE : 2 * RATE] = rng.standard_normal(RATE)
    other[3 * RATE : 3 * RATE + 40] = 1e-3  # there, but nobody would hear it
    assert list(Together(piano, Fixed(other)).excerpt(rng, 4).keep) == [False, True, False, False]
    steps = np.repeat(10 ** (np.array([-11, -13]) / 20), RATE)  # 11 and 13 dB below the rest
    assert list(sounds._audible(steps * piano.samples[: 2 * RATE], piano.samples)) == [True, False]


def test_the_balance_of_a_mixture_is_in_decibels():
    piano, other = 0.1 * np.random.default_rng(0).standard_normal((2, 2 * RATE)).astype(np.float32)
    mixed = Together(Fixed(piano), Fixed(5 * other)).excerpt(SimpleNamespace(uniform=lambda low, high: high), 2).samples
    assert 20 * np.log10(np.std(mixed - piano) / np.std(piano)) == pytest.approx(10, abs=0.1)


def test_seconds_of_a_band_in_which_a_piano_plays_alone_do_not_count(monkeypatch):
    monkeypatch.setattr(Touch, "random", lambda rng: Touch())
    notes = [(0, 4, 60, 90, 0, False), *[(2.1 + 0.4 * i, 2.4 + 0.4 * i, 38, 127, 0, True) for i in range(5)]]
    piece = SimpleNamespace(name="piece", score=lambda: Score(np.array(notes, NOTE), np.empty((0, 2))))
    assert list(Band(FONT, piece).excerpt(np.random.default_rng(0), 4).keep) == [False, False, True, True]


def test_the_melody_is_what_sounds_above_all_others():
    tune = score((0, 1, 60, 64), (0, 1, 72, 64), (1.1, 2, 64, 64), (1.1, 2, 76, 64))
    assert list(outermost(tune.notes)) == [False, True, False, True]


def test_short_files_are_strung_together(tmp_path):
    paths = tuple(str(tone(tmp_path / f"{i}.wav", 300 + 100 * i, 0.3)) for i in range(4))
    samples = Scattered(paths).excerpt(np.random.default_rng(0), 5).samples
    assert len(samples) == 5 * RATE
    assert np.abs(samples).max() <= 2.0
    assert all(np.abs(samples[i * RATE : (i + 1) * RATE]).max() > 0.1 for i in range(5))


def test_a_recording_is_decoded_once(tmp_path):
    path = tone(tmp_path / "a.wav", 440, 10, rate=44100)
    excerpt = Recorded(str(path)).excerpt(np.random.default_rng(0), 3)
    assert len(excerpt.samples) == 3 * RATE
    assert strongest(excerpt.samples) == pytest.approx(440, rel=0.01)
    assert len(list(sounds.DECODED.iterdir())) == 1
    other = tone(tmp_path / "b.wav", 880, 0.5)
    assert len(Recorded(str(other)).excerpt(np.random.default_rng(0), 3).samples) == pytest.approx(8000, abs=50)


def test_excerpts_stay_within_their_spans(tmp_path):
    path = str(tone(tmp_path / "a.wav", 440, 20))
    sound, rng = Recorded(path, ((3.0, 5.0), (10.0, 18.0))), np.random.default_rng(0)
    for _ in range(40):
        made = sound.excerpt(rng, 4)
        end = made.second + len(made.samples) / RATE
        assert (made.second >= 3 and end <= 5) or (made.second >= 10 and end <= 18)
    assert Recorded(path).excerpt(rng, 30).samples.shape == (20 * RATE,)


# the catalogue and the corpus


def test_two_recordings_of_one_name_are_not_taken_for_the_same(tmp_path):
    assert [Piece("a/x.wad", "D_E1M1").name, Piece("b/y.wad", "D_E1M1").name, Piece("z.mid").name] == [
        "x/D_E1M1",
        "y/D_E1M1",
        "z",
    ]
    first, second = (tmp_path / name for name in "ab")
    for folder in (first, second):
        (folder / "Piano").mkdir(parents=True)
        tone(folder / "Piano" / "1.wav", 440, 1)
    assert [r.id for r in collection.recordings([], [first, first])] == ["Piano/1.wav"]
    with pytest.raises(SourceError, match=r"Two different recordings are called Piano/1\.wav"):
        collection.recordings([], [first, second])


def test_no_family_of_fonts_is_in_two_splits():
    splits = {}
    for entry in (*catalogue.entries(Font), *catalogue.entries(Samples)):
        splits.setdefault(entry.family, set()).add(entry.split)
    assert splits
    assert all(len(s) == 1 for s in splits.values())
    pip_alone = {entry.split for entry in catalogue.entries(Font) if entry.package.client == "pip"}
    assert pip_alone == set(catalogue.SPLITS)


def test_recordings_of_an_evaluation_are_never_used():
    names = ["data_music/Chopin_Op010-03-Measures1-8_Varsi.wav", "data_music/Chopin_Op010-03-Measures1-8_Igoshina.wav"]
    patterns = [e.path for e in catalogue.entries(Recordings) if e.package.name == "synctoolbox"]
    assert patterns
    assert not any(Path("x", n).match(p) for n in names for p in patterns)


def test_voice_and_piano_alone_never_overlap():
    files = {file for file, _ in catalogue.spans()}
    assert len(files) == 4
    for file in files:
        spans = sorted(catalogue.spans()[file, "voice"] + catalogue.spans()[file, "piano"])
        assert all(begin < end for begin, end in spans)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))


def test_every_kind_of_recording_has_a_share():
    shares = catalogue.shares()
    assert {entry.kind for entry in catalogue.entries(Recordings)} <= {
        kind for kinds in shares.values() for kind in kinds
    }
    assert {entry.kind for entry in catalogue.entries(Pieces)} == {"performance", "band"}


def test_the_programs_are_those_of_general_midi():
    names = {program: about.name for program, about in catalogue.programs().items()}
    assert names == {program: pretty_midi.program_to_instrument_name(program) for program in range(128)}


def test_the_page_of_sounds_is_what_the_command_writes(tmp_path):
    page = tmp_path / "SOUNDS.md"
    shutil.copy(catalogue.PAGE, page)
    catalogue.write_page(page)
    text = page.read_text(encoding="utf-8")
    assert text == catalogue.PAGE.read_text(encoding="utf-8")
    entries = [entry for kind in catalogue.KINDS for entry in catalogue.entries(kind)]
    assert len(files.section(page, "downloaded").splitlines()) == len(entries) + 2
    for entry in entries:
        assert all(f"`{package.name}`" in text for package in entry.packages)
        assert f"| {entry.licence} |" in text
        assert entry.comment in text
    assert not [path.name for path in Path("data/samples").iterdir() if f"`{path.name}`" not in text]


@pytest.mark.parametrize(
    ("table", "found", "wrong", "message"),
    [
        (
            "fonts",
            ",train,",
            ",trian,",
            "Row 2 of fonts.csv is wrong: 'trian' is not one of 'train', 'validation', 'test'",
        ),
        ("fonts", "0 1 3", "0 l 3", "Row 2 of fonts.csv is wrong: .*'l'"),
        ("recordings", ",voice,", ",singer,", "Row 2 of recordings.csv is wrong: 'singer'"),
        ("samples", "2.5,", "2.5,,", "Row 2 of samples.csv is wrong: it has more or fewer cells"),
        ("programs", "127,", "last,", "Row 129 of programs.csv is wrong: .*'last'"),
        ("shares", ",kind", ",part", "shares.csv needs the columns default, kind, label, released"),
    ],
)
def test_a_mistake_in_a_table_is_named_with_its_row(tmp_path, monkeypatch, table, found, wrong, message):
    text = (catalogue.TABLES / f"{table}.csv").read_text(encoding="utf-8")
    columns = set(text.splitlines()[0].split(","))
    (tmp_path / f"{table}.csv").write_text(text.replace(found, wrong, 1), encoding="utf-8")
    assert catalogue.read(table, columns)
    monkeypatch.setattr(catalogue, "TABLES", tmp_path)
    with pytest.raises(SourceError, match=message):
        catalogue.read(table, columns)


def test_sample_songs_are_there_and_can_be_read():
    songs = sorted(Path("data/samples").iterdir())
    assert sum(p.name.startswith("piano-") for p in songs) >= 3
    assert sum(p.name.startswith("other-") for p in songs) >= 5
    assert sum(p.stat().st_size for p in songs) < 4e6
    assert len({p.suffix for p in songs}) >= 4
    for path in songs:
        samples = audio.load(path)
        assert 9.5 <= len(samples) / RATE <= 60
        assert np.abs(samples).max() > 0.1


def test_packages_become_recordings_with_the_right_label_and_split(tmp_path, monkeypatch):
    package, pieces = Package("pip", "tinysounds"), dict(zip(collection.SPLITS, "abc"))
    (tmp_path / "font.sf2").symlink_to(FONT)
    for name in pieces.values():
        midi(tmp_path / f"{name}.mid", drums=True)
    about = {"packages": (package,), "licence": "MIT"}
    kinds, split_of = ("performance", "band"), {"validation": ("b",), "test": ("c",)}
    played = [Pieces(path="*.mid", kind=kind, **split_of, **about) for kind in kinds]
    programs = {"pianos": (0, 1, 3), "left_out": (), "drums": True}
    fonts = [
        Font(path="font.sf2", name=split, family=split, split=split, **programs, **about) for split in collection.SPLITS
    ]
    monkeypatch.setattr(catalogue, "entries", {Font: fonts, Samples: [], Pieces: played, Recordings: []}.get)
    monkeypatch.setattr(collection, "fetch_all", lambda *_: {package: tmp_path})
    found = [r for r in collection.recordings() if r.source != "synthesis"]
    assert {r.kind for r in found} >= {"piano with instrument", "piano with sound", "band"}
    pianos = [pretty_midi.program_to_instrument_name(program) for program in range(4)]
    assert {r.instrument for r in found if r.label == "Piano"} == {pianos[0], pianos[1], pianos[3]}
    assert not {r.instrument for r in found if r.label == "Other"} & set(pianos)
    assert all(r.id.startswith(r.split) for r in found)  # the font of the split
    duos = {r.instrument: r.sound.bass for r in found if r.kind == "piano with instrument"}
    assert {name.removeprefix("Piano with ") for name, bass in duos.items() if bass} == {
        "Acoustic Bass",
        "Electric Bass (finger)",
        "Electric Bass (pick)",
        "Fretless Bass",
        "Contrabass",
    }
    assert "Piano with Bassoon" in duos
    heard = [
        (r.split, getattr(sound, "piece", None)) for r in found for sound in (r.sound, getattr(r.sound, "piano", None))
    ]
    assert {(split, piece.name) for split, piece in heard if piece} == set(pieces.items())


def test_eight_files_of_ten_are_for_training():
    shares = Counter(catalogue.split_by_hash(f"Piano/{i}.wav") for i in range(5000))
    assert [shares[split] / 5000 for split in collection.SPLITS] == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_a_folder_of_ones_own(tmp_path):
    for label in ("Piano", "Other", "Rain"):
        (tmp_path / label).mkdir()
        for i in range(12):
            tone(tmp_path / label / f"{i}.wav", 200 + i, 1)
    found = collection.from_folder(tmp_path)
    assert {r.label for r in found} == {"Piano", "Other", "Rain"}
    assert len(found) == 36
    assert len({r.split for r in found}) > 1
    assert len({r.group for r in found}) == 36
    assert {r.split for r in collection.from_folder(tmp_path, "test")} == {"test"}
    assert [r.split for r in found] == [r.split for r in collection.from_folder(tmp_path)]
    with pytest.raises(SourceError, match="no sound in sub-folders"):
        collection.from_folder(tmp_path / "Piano")
    with pytest.raises(SourceError, match="no folder"):
        collection.from_folder(tmp_path / "nothing")
    with pytest.raises(SourceError, match="no source called radio"):
        collection.recordings(["radio"])
