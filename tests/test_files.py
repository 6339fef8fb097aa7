"""Files and folders: what is kept is whole, and what is in a folder is found, whatever else lies there."""

import json
import os
import socket
from pathlib import Path

import pandas as pd
import pytest

from pipeline import files
from pipeline.batch import song_list
from pipeline.corpus import collection
from pipeline.errors import SourceError
from pipeline.song import sources


def test_a_file_takes_its_place_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "Résultats.txt"
    with files.replacing(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()

    def fail():
        with files.replacing(path) as temporary:
            temporary.write_text("sec")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_json_and_tables_come_back(tmp_path):
    files.write_json(tmp_path / "a.json", {"é": [1, None]})
    files.write_table(
        tmp_path / "a.csv", pd.DataFrame({"class": ["Violín, solo"], "share": [0.123456]}), float_format="%.3g"
    )
    assert json.loads((tmp_path / "a.json").read_text()) == {"é": [1, None]}
    assert (tmp_path / "a.csv").read_bytes() == 'class,share\n"Violín, solo",0.123\n'.encode()


def test_a_section_is_replaced_and_the_rest_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n")
    files.write_section(page, "figures", "| new |")
    files.write_section(page, "figures", "| newer |")
    assert page.read_text() == "before\n<!-- figures -->\n\n| newer |\n\n<!-- end of figures -->\nafter\n"
    assert files.section(page, "figures") == "| newer |"
    with pytest.raises(ValueError, match="no section results"):
        files.section(page, "results")


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A disk with two songs, all that is no song, and a folder that may not be read."""
    names = [
        "b/2.flac",
        "a.WAV",
        "b/._2.flac",
        "._a.WAV",
        ".DS_Store",
        "b/Thumbs.db",
        "__MACOSX/a.wav",
        ".Trash-1000/x.mp3",
    ]
    for name in [*names, "notes.pdf", "b/lost+found/4.flac"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "nowhere.wav").symlink_to(tmp_path / "nothing.wav")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket.wav"))
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read every folder
    return tmp_path


def test_the_songs_of_a_folder_are_found_among_all_else_and_what_cannot_be_read_is_named(disk):
    found = list(sources.expand([str(disk)]))
    expected = [str(disk / name) for name in ("a.WAV", "b/2.flac", "b/lost+found", "nowhere.wav")]
    assert [source for source, _ in found] == list(song_list.entries(disk)) == expected
    assert [target for _, target in found if isinstance(target, Path)] == [Path(expected[i]) for i in (0, 1, 3)]
    assert found[2][1].kind == "unreadable"
    assert str(found[2][1]) == f"{disk}/b/lost+found cannot be read: permission denied."
    with pytest.raises(SourceError, match=r"lost\+found cannot be read"):
        collection.class_files(disk)
    closed = song_list.entries(disk / "b" / "lost+found")
    with pytest.raises(SourceError, match="permission denied"):
        list(closed)


def test_a_list_that_was_made_of_such_a_folder(disk):
    (disk / "list.txt").write_text("a.WAV\n._a.WAV\n.DS_Store\nb/Thumbs.db\nb/._2.flac\nb/2.flac\n")
    assert list(song_list.entries(disk / "list.txt")) == ["a.WAV", "b/2.flac"]
    assert [Path(source).name for source, _ in sources.expand([str(disk / "list.txt")])] == ["a.WAV", "2.flac"]
