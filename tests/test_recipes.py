"""The recipes: the default dataset keeps its clips, and the corpus of the released model has what its tables say."""

import zlib
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile

from pipeline.corpus import catalogue, collection, dataset, devices, instruments, sounds
from pipeline.corpus.audibility import a_weighting, heard
from pipeline.corpus.catalogue import RECIPES, Font, Pieces, Recordings, Samples
from pipeline.corpus.devices import DEVICES
from pipeline.corpus.packages import Package
from pipeline.corpus.render import FontPlayer, Touch
from pipeline.corpus.sampler import TAKE, SamplePlayer, instrument_notes
from pipeline.corpus.scores import NOTE, Score, accompaniment, as_student
from pipeline.corpus.sounds import Excerpt, Loop, Solo, at_ratio
from pipeline.errors import SourceError
from pipeline.song.audio import rms

FONT = Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"


@pytest.fixture(autouse=True)
def decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(sounds, "DECODED", tmp_path / "decoded")


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """A small package in the place of all others: a font in each split, a piece and a band for each."""
    folder, package = tmp_path / "package", Package("pip", "tinysounds")
    folder.mkdir()
    (folder / "font.sf2").symlink_to(FONT)
    for name in "abc":
        song = pretty_midi.PrettyMIDI()
        for program, pitch, drum in ((0, 60, False), (33, 40, False), (0, 38, True)):
            part = pretty_midi.Instrument(program, is_drum=drum)
            part.notes = [pretty_midi.Note(90, pitch + i % 7, i * 0.25, i * 0.25 + 0.24) for i in range(60)]
            song.instruments.append(part)
        song.write(str(folder / f"{name}.mid"))
    about = {"packages": (package,), "licence": "MIT"}
    split_of = {"validation": ("b",), "test": ("c",)}
    pieces = [Pieces(path="*.mid", kind=kind, **split_of, **about) for kind in ("performance", "band")]
    programs = {"pianos": (0, 1, 3), "left_out": (), "drums": True}
    fonts = [Font(path="font.sf2", name=s, family=s, split=s, **programs, **about) for s in catalogue.SPLITS]
    monkeypatch.setattr(catalogue, "entries", {Font: fonts, Samples: [], Pieces: pieces, Recordings: []}.get)
    monkeypatch.setattr(collection, "fetch_all", lambda *_: {package: folder})
    return folder


def test_the_default_dataset_keeps_its_clips(tmp_path, packaged):
    dataset.build(tmp_path / "out", n_clips=200, jobs=1)
    table = dataset.load(tmp_path / "out")[2]
    assert f"{zlib.crc32(table.to_csv().encode()):08x}" == "85c97d5c"


def test_the_default_recipe_is_older_than_what_was_added():
    new = {"soft", "lines", "student", "loops", "two pianos", "piano with accompaniment"}
    kinds = {recipe: {k for shares in catalogue.shares(recipe).values() for k in shares} for recipe in RECIPES}
    assert kinds["released"] - kinds["default"] == new
    assert catalogue.augmentations("default")["device"] == 0 < catalogue.augmentations("released")["device"]
    for label in ("Piano", "Other"):  # every way to play is in both classes, so that it is no clue
        assert {"soft", "lines", "student", "loops"} <= set(catalogue.shares("released")[label])
    assert list(catalogue.devices()) == list(DEVICES)
    assert {row["label"] for row in catalogue.families().values()} == {"Piano", "Other"}
    assert set(catalogue.makers().values()) == set(catalogue.SPLITS)


def test_the_released_recipe_has_its_kinds_and_ones_own_instruments(tmp_path, packaged):
    folder = sampled(tmp_path / "own", UPRIGHT, CELLO)
    found = collection.recordings(sampled=folder, recipe="released")
    kinds = {(r.label, r.kind) for r in found}
    assert {("Piano", "two pianos"), ("Other", "piano with accompaniment"), ("Other", "loops")} <= kinds
    own = [r for r in found if "maker" in r.group]
    assert {r.split for r in own if r.group == "maker Jane"} == {"test"}
    assert all(r.split in ("test", "validation") for r in own)
    by_label = {r.instrument: r.label for r in own if r.kind in ("single notes", "lines", "performance")}
    assert by_label["Piano (upright)"] == "Piano"
    assert by_label["Strings (cello)"] == "Other"
    dataset.build(tmp_path / "out", n_clips=60, jobs=1, recordings=found, recipe="released")
    with pytest.raises(SourceError, match="another dataset"):
        dataset.build(tmp_path / "out", n_clips=60, jobs=1, recordings=found)
    table = dataset.load(tmp_path / "out")[2]
    assert len(table["kind"].unique()) > 6


# sampled instruments

UPRIGHT = ("upright", "piano", "Jane", "test", {"036_040": 65, "036_110": 65, "048": 131, "C4_v90_rr1": 262})
CELLO = ("cello", "strings", "Joe", "validation", {"C4_090": 262, "C4_090_rr2": 262})


def sampled(folder, *instruments, columns="slug\tfamily\tmaker\tsplit"):
    """A folder of instruments: (slug, family, maker, split, {file name: frequency})."""
    lines = [columns]
    for slug, family, maker, split, notes in instruments:
        (folder / slug).mkdir(parents=True)
        lines.append("\t".join((slug, family, maker, split)))
        for rate, (name, frequency) in zip((16000, 44100, 8000, 22050), notes.items()):
            t = np.arange(2 * rate) / rate
            tone = np.exp(-2 * t) * np.sin(2 * np.pi * frequency * t)
            soundfile.write(folder / slug / f"{name}.wav", np.r_[np.zeros(rate // 5), 0.5 * tone], rate)
    (folder / "README.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_names_say_note_velocity_and_take(tmp_path):
    folder = sampled(tmp_path / "own", UPRIGHT, CELLO)
    (folder / "upright" / "notes.txt").write_text("no sound")
    notes = instrument_notes(folder / "upright")
    assert {pitch: sorted(layers) for pitch, layers in notes.items()} == {36: [40, 110], 48: [90], 60: [90]}
    assert [len(takes) for takes in instrument_notes(folder / "cello")[60].values()] == [2]
    for name, pitch in (("A#3v100_rr2", 58), ("bb2-64", 46), ("21", 21), ("C-1_v9", 0)):
        match = TAKE.fullmatch(name)
        assert match, name
        if pitch > 9:
            assert match["velocity"] in ("100", "64", None)
    for name in ("piano", "C4 90", "C4_", "1234"):
        assert not TAKE.fullmatch(name), name


def test_an_instrument_plays_in_tune_within_its_range_and_out_of_tune_when_asked(tmp_path):
    player = SamplePlayer((str(sampled(tmp_path / "own", UPRIGHT) / "upright"),), is_instrument=True)
    for pitch, frequency in ((60, 262), (57, 220), (84, 262), (24, 65)):  # by octaves into what was recorded
        samples = player.render(score((0.0, 2.0, pitch, 90)), 0, 2)
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 17))
        assert spectrum.argmax() * 16000 / (1 << 17) == pytest.approx(frequency, rel=0.01), pitch
    assert np.abs(samples[: 16000 // 20]).max() > 0.05  # the silence before the attack is gone
    soft, loud = (np.abs(player.render(score((0, 2, 36, v)), 0, 2)).max() for v in (30, 120))
    assert loud / soft == pytest.approx((120 / 110) / (30 / 40), rel=0.05)  # each by its own layer
    one, two = (player.render(score((0, 2, 60, 90)), 0, 2, Touch(mistuning=m)) for m in (0, 20))
    assert np.abs(one - two / 2).max() > 0.01  # two strings that beat
    assert np.isfinite(two).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "paino"}, "Line 2 of .*'paino' is not one of piano, electric-piano"),
        ({"maker": ""}, "Line 2 .*the maker is missing"),
        ({"split": "dev"}, "Line 2 .*the split must be one of train, validation, test"),
        ({"slug": "../x"}, "Line 2 .*must be the name of a sub-folder"),
        ({"notes": {"middle-c": 262}}, r"upright/middle-c\.wav is not named like"),
        ({"notes": {"060_200": 262}}, "upright/060_200.wav says note 60 and velocity 200"),
        ({"notes": {}}, "upright holds no notes"),
    ],
)
def test_a_mistake_in_a_folder_of_instruments_is_one_sentence(tmp_path, change, message):
    fields = dict(zip(("slug", "family", "maker", "split", "notes"), UPRIGHT)) | change
    folder = tmp_path / "own" / "deep"
    folder.mkdir(parents=True)
    with pytest.raises(SourceError, match=message):
        instruments.read(sampled(folder, tuple(fields.values())))


def test_a_table_of_instruments_is_checked_as_a_whole(tmp_path):
    with pytest.raises(SourceError, match=r"needs a file README\.tsv"):
        instruments.read(tmp_path)
    with pytest.raises(SourceError, match="lacks the columns maker"):
        instruments.read(sampled(tmp_path / "a", UPRIGHT, columns="slug\tfamily\twho\tsplit"))
    with pytest.raises(SourceError, match=r"Line 3 .*the maker Jane is already in test"):
        instruments.read(sampled(tmp_path / "b", UPRIGHT, ("other", "harp", "Jane", "train", {"60": 262})))
    folder = sampled(tmp_path / "c", UPRIGHT)
    (folder / "README.tsv").write_text("slug\tfamily\tmaker\nupright\tpiano\tJane\nupright\tpiano\tJane")
    with pytest.raises(SourceError, match="upright stands twice"):
        instruments.read(folder)
    (folder / "README.tsv").write_text("slug\tfamily\tmaker\nlost\tpiano\tJane")
    with pytest.raises(SourceError, match="there is no folder lost"):
        instruments.read(folder)
    (folder / "README.tsv").write_text("slug\tfamily\tmaker\n")
    with pytest.raises(SourceError, match="names no instruments"):
        instruments.read(folder)
    (folder / "README.tsv").write_text("slug\tfamily\tmaker\nupright\tpiano\tKaroryfer x somebody")
    assert [(i.family, i.split) for i in instruments.read(folder)] == [("maker Karoryfer", "validation")]
    assert {catalogue.split_by_hash(f"maker {i}", instruments.PARTS) for i in range(50)} == set(catalogue.SPLITS)


# rooms, devices, mixtures


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_keeps_length_and_loudness_and_follows_its_seed(name):
    t = np.arange(4 * 16000) / 16000
    sound = (0.3 * np.exp(-3 * (t % 0.5)) * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    for seed in range(4):
        (made, noise), (again, _) = (DEVICES[name](sound, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(made, again)
        assert made.shape == sound.shape
        assert made.dtype == np.float32
        assert np.isfinite(made).all()
        assert 0.1 < rms(made) / rms(sound) < 10
        assert noise is None or rms(noise) < 0.3 * rms(sound)


def test_noise_suppression_turns_steady_sound_down_and_gain_evens_out():
    rng, t = np.random.default_rng(0), np.arange(6 * 16000) / 16000
    hiss = 0.02 * rng.standard_normal(len(t))
    assert rms(devices.suppress_noise(hiss, rng)) < 0.6 * rms(hiss)
    swell = np.where(t < 3, 0.3, 0.03) * np.sin(2 * np.pi * 300 * t)
    made = devices.automatic_gain(swell, rng)
    assert rms(made[-16000:]) / rms(made[16000:32000]) > 0.4  # it was a tenth


def test_a_sound_is_heard_down_to_the_masked_threshold():
    t = np.arange(2 * 16000) / 16000
    low, near, far = (np.sin(2 * np.pi * f * t) for f in (440, 460, 3000))
    assert heard(low, 0 * low).all()
    assert not heard(0.1 * near, low).any()  # 20 dB below in the same band
    assert heard(0.1 * far, low).all()  # the same level, three octaves away
    assert not heard(1e-4 * far, low).any()
    assert a_weighting(np.array([1000])) == pytest.approx(0, abs=0.1)
    assert a_weighting(np.array([100])) == pytest.approx(-19.1, abs=0.2)


def test_the_ratio_of_a_mixture_is_a_weighted():
    t = np.arange(2 * 16000) / 16000
    piano, bass = (np.sin(2 * np.pi * f * t).astype(np.float32) for f in (1000, 100))
    mixed = at_ratio(Excerpt(piano, 0.0, ""), bass, 0.0)
    assert 20 * np.log10(rms(mixed.samples - piano) / rms(piano)) == pytest.approx(19.1, abs=1)
    assert mixed.keep.all()
    assert not at_ratio(Excerpt(piano, 0.0, ""), np.zeros_like(bass), 0.0).keep.any()


def test_a_student_plays_one_hand_with_pauses_and_wrong_keys():
    chords = score(*[(i * 0.3, i * 0.3 + 0.3, pitch, 80) for i in range(60) for pitch in (48, 52, 72 + i % 5)])
    notes = as_student(chords, np.random.default_rng(1)).notes
    assert set(notes["pitch"]) >= {72, 73, 74, 75, 76}
    assert notes["pitch"].min() > 60
    assert len(notes) > 60  # wrong keys come on top
    gaps = np.diff(notes["start"])
    assert gaps.min() > 0
    assert gaps.max() > 0.7
    assert len(as_student(score(), np.random.default_rng(0)).notes) == 0


@pytest.mark.parametrize(("part", "low", "high"), [("bass", 28, 39), ("chords", 52, 63), ("melody", 72, 76)])
def test_a_part_of_an_accompaniment(part, low, high):
    chords = score(*[(i * 0.5, i * 0.5 + 0.5, pitch, 80) for i in range(20) for pitch in (48, 52, 72 + i % 5)])
    notes = accompaniment(chords, part).notes
    assert len(notes)
    assert low <= notes["pitch"].min() <= notes["pitch"].max() <= high
    assert not len(accompaniment(score(), part).notes)


def test_a_loop_repeats_and_is_seeded():
    loop = Loop(Solo(FontPlayer(str(FONT), 0), style="chords"))
    first, again = (loop.excerpt(np.random.default_rng(3), 6).samples for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(first) == 6 * 16000
    correlation = np.fft.irfft(np.abs(np.fft.rfft(first, 2 * len(first))) ** 2)[: 5 * 16000]
    assert correlation[2000:].max() > 0.4 * correlation[0]


def score(*notes):
    return Score(np.array([(*n, 0, False) for n in notes], NOTE), np.empty((0, 2)))
