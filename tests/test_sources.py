"""What a person may give as sources: lists of every kind, and what must not be opened."""

import os
from pathlib import Path

import media
import pytest

from pipeline.errors import SourceError
from pipeline.song.links import Link
from pipeline.song.sources import expand

ID = "dQw4w9WgXcQ"


@pytest.fixture
def songs(tmp_path):
    """Two files beside the lists."""
    return [media.write(tmp_path / name, media.tone(1)) for name in ("one.wav", "two, too.wav")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "# comment\none.wav\n\ntwo, too.wav\nhttps://youtu.be/{ID}\n"),
        ("list.TXT", "\ufeffone.wav\r\ntwo, too.wav\r\nhttps://youtu.be/{ID}"),
        ("list.m3u", "#EXTM3U\n#EXTINF:1,A song\none.wav\ntwo, too.wav\nhttps://youtu.be/{ID}\n"),
        ("list.m3u8", "#EXTM3U\none.wav\nfile://{folder}/two,%20too.wav\nhttps://youtu.be/{ID}\n"),
        ("list.csv", 'title,File\nA,one.wav\nB,"two, too.wav"\nC,https://youtu.be/{ID}\n'),
        ("list.csv", "one.wav;A\ntwo, too.wav;B\n\nhttps://youtu.be/{ID};C\n"),
        ("list.csv", "label\turl\nPiano\tone.wav\nPiano\ttwo, too.wav\nOther\thttps://youtu.be/{ID}\n"),
    ],
)
def test_lists(tmp_path, songs, name, text):
    path = tmp_path / name
    path.write_text(text.replace("{ID}", ID).replace("{folder}", str(tmp_path)), encoding="utf-8")
    targets = [target for _, target in expand([str(path)])]
    assert targets == [*songs, Link("video", ID)]


def test_a_playlist_names_files_in_any_encoding(tmp_path):
    song = os.fsdecode(b"h\xf6re.wav")
    media.write(tmp_path / "song.wav", media.tone(1)).rename(tmp_path / song)
    (tmp_path / "list.m3u").write_bytes(b"h\xf6re.wav\n")
    assert [target for _, target in expand([str(tmp_path / "list.m3u")])] == [tmp_path / song]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("list.txt", b"", "empty_list"),
        ("list.csv", b"source,label\n", "empty_list"),
        ("list.m3u8", b"#EXTM3U\n", "empty_list"),
        ("list.txt", b"h\xf6re.wav\n", "bad_list"),
        ("list.csv", b"h\xf6re.wav\n", "bad_list"),
        ("list.txt", b"other.m3u\n", "nested_list"),
        ("list.m3u", b"other.csv\n", "nested_list"),
    ],
)
def test_a_list_that_is_none(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    ((_, error),) = expand([str(tmp_path / name)])
    assert isinstance(error, SourceError)
    assert error.kind == kind


def test_a_path_that_may_not_be_looked_at_is_not_called_missing(tmp_path, monkeypatch):
    locked, look = tmp_path / "locked", Path.stat

    def stat(path, **options):
        if locked in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    ((source, target),) = expand([str(locked / "song.wav")])
    assert (source, target) == (str(locked / "song.wav"), locked / "song.wav")  # whoever opens it says why not
