"""The recipes: the default dataset keeps its clips, and the corpus of the released model has what its tables say."""

import zlib
from pathlib import Path

import pretty_midi
import pytest

from pipeline.corpus import catalogue, collection, dataset, sounds
from pipeline.corpus.catalogue import Font, Pieces, Recordings, Samples
from pipeline.corpus.packages import Package

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
