"""The tests on hand-labelled tracks and on real recordings: from a list to figures, YouTube on a loopback server."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from youtube import LoopbackYouTube, Video

from pipeline.corpus import recordings
from pipeline.errors import SourceError
from pipeline.learning.evaluation import exact_interval
from pipeline.studies import real_recordings, youtube_test

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data/samples"
SONGS = {
    "a" * 11: ("Piano", "piano-satie-gymnopedie.m4a", 0.9),
    "b" * 11: ("Other", "other-guitar-gymnopedie.m4a", 0.6),
    "c" * 11: ("Other", "piano-beethoven-fuer-elise.ogg", 0.2),  # people disagree with everybody
    "d" * 11: ("Piano", "", 0.8),
}


@pytest.fixture
def tracks(tmp_path):
    path = tmp_path / "tracks.csv"
    rows = [f"{label},https://www.youtube.com/watch?v={id},1,,,classical,{p}" for id, (label, _, p) in SONGS.items()]
    path.write_text("label,link,limit,start,end,family,detector\n" + "\n".join(rows) + "\n")
    return path


def test_the_command_is_killed_goes_on_and_compares(tracks, tmp_path):
    videos = {id: Video(SAMPLES / file) if file else "deleted" for id, (_, file, _) in SONGS.items()}
    command = [
        sys.executable,
        "-m",
        "pipeline.studies.youtube_test",
        "--tracks",
        tracks,
        "--folder",
        tmp_path / "songs",
    ]
    command += ["--results", tmp_path / "results", "--per-hour", "999999"]
    with LoopbackYouTube(videos | {"b" * 11: Video(SAMPLES / SONGS["b" * 11][1], "slow")}) as youtube:
        first = subprocess.Popen(command, cwd=ROOT, env=youtube.environment, stderr=subprocess.DEVNULL)
        while not list((tmp_path / "songs").rglob("aaaaaaaaaaa.*")):
            time.sleep(0.05)
        first.kill()
        first.wait()
        youtube.videos.update(videos)
        youtube.requests.clear()
        done = subprocess.run(command, cwd=ROOT, env=youtube.environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert not [request for request in youtube.requests if "aaaaaaaaaaa" in request]
    summary = json.loads((tmp_path / "results/youtube_test.json").read_text())
    assert (summary["tracks"], summary["judged"]) == (4, 3)
    ours, theirs = summary["figures"]["ours, majority vote"], summary["figures"]["published detector"]
    assert (ours["precision"], ours["recall"], ours["accuracy"]) == (0.5, 1.0, 2 / 3)
    assert (theirs["precision"], theirs["recall"]) == (0.5, 1.0)
    assert ours["intervals"]["accuracy"] == pytest.approx(exact_interval(2, 3))
    assert "c" * 11 in done.stdout
    assert (tmp_path / "songs/figure-youtube-test.png").stat().st_size > 4_000
    assert pd.read_csv(tmp_path / "results/youtube_test.csv")["detector"].tolist() == [0.9, 0.6, 0.2]


def test_a_song_that_trains_cannot_test(tracks, tmp_path):
    youtube_test.refuse_overlap(tracks, ROOT / "data/playlists.csv")
    youtube_test.refuse_overlap(ROOT / "data/youtube_test.csv")
    (tmp_path / "others.csv").write_text(f"label,link,limit\nPiano,youtu.be/{'b' * 11},1\n")
    with pytest.raises(SourceError, match="cannot test"):
        youtube_test.refuse_overlap(tracks, tmp_path / "others.csv")


def test_exact_intervals():
    assert exact_interval(26, 26) == pytest.approx((0.025 ** (1 / 26), 1))
    assert exact_interval(0, 10) == pytest.approx((0, 1 - 0.025**0.1))
    assert exact_interval(0, 0) == (0, 1)


def test_real_recordings_are_judged_by_use(tmp_path, monkeypatch, capsys):
    host, rows = "example.org", [",".join(recordings.COLUMNS)]
    for number, (label, use, file) in enumerate(
        [
            ("Piano", "dev", "piano-improvised.flac"),
            ("Other", "dev", "other-applause.wav"),
            ("Piano", "test", "piano-beethoven-fuer-elise.ogg"),
            ("Other", "test", "other-speech.opus"),
        ]
    ):
        rows.append(f"song-{number},{label},{use},0,4,CC0 1.0,us,https://{host}/{number},{number:064x},10")
        target = tmp_path / "folder" / use / label / f"song-{number}.flac"
        target.parent.mkdir(parents=True)
        soundfile.write(target, real_recordings_audio(SAMPLES / file), 16_000)
    (tmp_path / "table.csv").write_text(f"# hosts: {host}\n" + "\n".join(rows) + "\n")
    command = ["--table", str(tmp_path / "table.csv"), "--results", str(tmp_path / "results")]
    with pytest.raises(SystemExit):
        real_recordings.main([*command, "--folder", str(tmp_path / "nothing")])
    assert "make recordings" in capsys.readouterr().err
    assert real_recordings.main([*command, "--folder", str(tmp_path / "folder")]) == 0
    found = json.loads((tmp_path / "results/real_recordings.json").read_text())
    assert found["figures"]["test"]["accuracy"] == found["figures"]["dev"]["accuracy"] == 1
    assert found["figures"]["test"]["intervals"]["recall"] == pytest.approx((0.025, 1))


def real_recordings_audio(path):
    """The first six seconds of a sample song."""
    from pipeline.song.audio import load

    return np.clip(load(path)[: 6 * 16_000], -1, 1)
