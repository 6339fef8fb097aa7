"""Scraping: the real yt-dlp, YouTube on a loopback server, a table of links and a folder of songs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import media
import numpy as np
import pandas as pd
import pytest
from youtube import LoopbackYouTube, Video

from pipeline.batch.downloader import DownloadsStopped
from pipeline.corpus import dataset, playlists
from pipeline.errors import SourceError
from pipeline.song.audio import load
from pipeline.song.links import Link

ROOT = Path(__file__).parents[1]
IDS = ["a" * 11, "b" * 11, "c" * 11, "d" * 11]
FAST = 1e6  # downloads an hour


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Four songs of twelve seconds, each louder from second to second."""
    folder, rng = tmp_path_factory.mktemp("songs"), np.random.default_rng(0)
    levels = np.repeat(np.linspace(0.05, 0.6, 12), 48_000)
    return {id: media.write(folder / f"{id}.m4a", levels * rng.uniform(-1, 1, len(levels)), 48_000) for id in IDS}


def table(folder, *lines):
    path = folder / "list.csv"
    path.write_text("label,link,limit,start,end,family\n# a comment\n\n" + "".join(f"{line}\n" for line in lines))
    return path


def line(label, id, rest="1,,,"):
    return f"{label},https://www.youtube.com/watch?v={id},{rest}"


def test_the_list_of_the_project_holds_songs_of_both_classes_and_none_of_the_test():
    rows = playlists.read(ROOT / "data/playlists.csv")
    counts = pd.Series([row.label for row in rows]).value_counts()
    assert counts.to_dict() == {"Other": 174, "Piano": 143}
    assert len({row.family for row in rows}) == 45
    assert all((row.end is None) == (row.label == "Piano") for row in rows)
    test = pd.read_csv(ROOT / "data/youtube_test.csv", comment="#")
    assert len(test) == 199
    assert not {row.link.url for row in rows} & set(test["link"])


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("Piano,https://example.org/list,5", "YouTube"),
        ("../x,https://youtu.be/dQw4w9WgXcQ,5", "label"),
        ("Piano,https://youtu.be/dQw4w9WgXcQ,many", "limit"),
        ("Piano,https://youtu.be/dQw4w9WgXcQ,0", "limit"),
        ("Piano,https://youtu.be/dQw4w9WgXcQ,1,10", "start and end"),
        ("Piano,https://youtu.be/dQw4w9WgXcQ,1,20,10", "start and end"),
        ("Piano,https://youtu.be/dQw4w9WgXcQ,1,nan,10", "start and end"),
        ("Piano,https://youtu.be/dQw4w9WgXc,1", "not"),
        (f"Other,https://youtu.be/{IDS[0]}", "line 4 already"),
        ("piano,https://youtu.be/dQw4w9WgXcQ", "spelt Piano before"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(bad, words, tmp_path):
    with pytest.raises(SourceError, match=r"Line 5 of list\.csv") as caught:
        playlists.read(table(tmp_path, line("Piano", IDS[0]), bad))
    assert words in str(caught.value)


def test_lists_that_are_none(tmp_path):
    with pytest.raises(SourceError, match="names no song"):
        playlists.read(table(tmp_path))
    (tmp_path / "list.csv").write_text(line("Piano", IDS[0]), encoding="utf-16")
    with pytest.raises(SourceError, match="UTF-8"):
        playlists.read(tmp_path / "list.csv")
    with pytest.raises(SourceError, match="There is no list"):
        playlists.read(tmp_path / "missing.csv")


def test_a_row_is_read_whole(tmp_path):
    rows = playlists.read(table(tmp_path, line("Other", IDS[0], "1,30,40,violin"), line("Piano", IDS[1], "")))
    other = playlists.Row("Other", Link("video", IDS[0]), 1, 30.0, 40.0, "violin")
    assert rows == [other, playlists.Row("Piano", Link("video", IDS[1]))]


def test_songs_playlists_and_failures(songs, tmp_path):
    path = table(
        tmp_path,
        "Piano,https://www.youtube.com/playlist?list=PLsongs,3,,,solo",
        line("Other", IDS[3], "1,4,7,violin"),
        "Other,https://www.youtube.com/playlist?list=PLgone",
    )
    videos, asked = dict(songs) | {IDS[1]: "private"}, []
    with LoopbackYouTube(videos, {"PLsongs": [IDS[0], IDS[1], IDS[2], IDS[3]]}) as youtube:
        options = {"per_hour": FAST, "ydl_factory": youtube.ydl_factory}
        found = playlists.scrape(path, tmp_path / "out", progress=lambda *step: asked.append(step), **options)
        assert found["error"].dropna().tolist() == ["unavailable", "private"]
        assert found["file"].dropna().tolist() == [f"Piano/{IDS[0]}.m4a", f"Piano/{IDS[2]}.m4a", f"Other/{IDS[3]}.m4a"]
        assert (asked[0][:2], asked[-1][:2]) == ((0, 4), (4, 4))
        written = pd.read_csv(tmp_path / "out/songs.csv")
        assert written["seconds"].sum() == 36
        assert written["family"].fillna("").tolist() == ["", "solo", "solo", "solo", "violin"]
        youtube.videos[IDS[1]] = Video(songs[IDS[1]])
        youtube.requests.clear()
        again = playlists.scrape(path, tmp_path / "out", **options)
        assert not [request for request in youtube.requests if IDS[0] in request]
        assert again["seconds"].sum() == 48
    counts = playlists.summary(again)
    assert counts.loc["Piano", ["songs", "hours"]].tolist() == [3, 0.01]
    assert counts.loc["Other", "unavailable"] == 1


def test_segments(songs, tmp_path):
    path = table(
        tmp_path, line("Other", IDS[0], "1,4,7,violin"), line("Other", IDS[1], "1,60,70,harp"), line("Piano", IDS[2])
    )
    with LoopbackYouTube(songs) as youtube:
        found = playlists.scrape(path, tmp_path / "out", True, per_hour=FAST, ydl_factory=youtube.ydl_factory)
    assert found["error"].tolist()[1] == "too_short"
    part, whole = load(tmp_path / "out" / f"Other/{IDS[0]}-4-7.flac"), load(songs[IDS[0]])
    assert len(part) == 3 * 16_000
    assert np.corrcoef(part, whole[4 * 16_000 : 7 * 16_000])[0, 1] > 0.99
    assert found["seconds"].tolist()[::2] == [3, 12]


def test_a_run_that_is_refused_again_and_again_stops_and_keeps_what_it_has(songs, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.batch.downloader.REFUSALS_IN_A_ROW", 2)
    path = table(tmp_path, *(line("Piano", id) for id in IDS))
    videos = {IDS[0]: songs[IDS[0]]} | dict.fromkeys(IDS[1:], "bot")
    with LoopbackYouTube(videos) as youtube, pytest.raises(DownloadsStopped, match="in a row"):
        playlists.scrape(path, tmp_path / "out", per_hour=FAST, ydl_factory=youtube.ydl_factory)
    assert pd.read_csv(tmp_path / "out/songs.csv")["error"].fillna("").tolist() == ["", "sign_in"]
    assert (tmp_path / "out/Piano" / f"{IDS[0]}.m4a").exists()


def test_the_command_is_stopped_and_goes_on(songs, tmp_path):
    path = table(tmp_path, *(line("Piano" if id < "c" else "Other", id) for id in IDS))
    command = [
        sys.executable,
        "-m",
        "pipeline.corpus.playlists",
        path,
        "--out",
        tmp_path / "out",
        "--per-hour",
        "1000000",
    ]
    with LoopbackYouTube(dict(songs) | {IDS[1]: Video(songs[IDS[1]], "slow")}) as youtube:
        first = subprocess.Popen(command, cwd=ROOT, env=youtube.environment, stderr=subprocess.PIPE, text=True)
        while not (tmp_path / f"out/Piano/{IDS[0]}.m4a").exists():
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGINT)
        assert "the same command goes on" in first.communicate(timeout=60)[1]
        assert first.returncode == 130
        youtube.videos[IDS[1]] = Video(songs[IDS[1]])
        second = subprocess.run(command, cwd=ROOT, env=youtube.environment, capture_output=True, text=True, timeout=120)
    assert second.returncode == 0, second.stderr
    assert len(list((tmp_path / "out").rglob("*.m4a"))) == 4
    report = dataset.build(tmp_path / "clips", (), 40, [tmp_path / "out"], "train", jobs=1)
    assert {name: part["clips"] for name, part in report.items()} == {"train Other": 20, "train Piano": 20}
