"""Long lists: every song once, in order, whoever listens to it, however often the run is killed."""

import io
import os
import pty
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
import tracemalloc
from collections import Counter
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import soundfile
from media import tone
from youtube import LoopbackYouTube, Video

from nn import BatchNormalization, ClipSequence, Dense, Flatten, MelSpectrogram, Model, Softmax
from pipeline import workers
from pipeline.__main__ import main
from pipeline.batch import labelling, song_list
from pipeline.batch.downloader import PAUSES, Downloader, DownloadsStopped
from pipeline.batch.journal import BatchError, Journal
from pipeline.errors import Cancelled, PipelineError, SourceError
from pipeline.song import recognition
from pipeline.song.links import Link
from pipeline.song.sources import expand
from pipeline.workers import Pool, WorkerDied

N_SONGS = 24
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model that tells tones from noise, and songs that are one, the other, or broken."""
    folder, rng = tmp_path_factory.mktemp("batch"), np.random.default_rng(0)
    clips = np.stack([rng.normal(0, 0.1, 16_000) if i % 2 else tone(1, 16_000, hertz=200 + 20 * i) for i in range(32)])
    model = Model(
        [MelSpectrogram(), BatchNormalization(momentum=0.5), Flatten(), Dense(2), Softmax()],
        (16_000,),
        ("Piano", "Other"),
    )
    model.fit(ClipSequence(clips.astype(np.float32), np.arange(32) % 2, 2, 8), epochs=2, progress=False)
    model.save(folder / "model.npz")
    songs = folder / "Café songs"
    songs.mkdir()
    for i in range(N_SONGS):
        sound = tone(1 + i % 3 / 2, 16_000, hertz=180 + 30 * i) * (i % 5) / 5 + rng.normal(
            0, 0.02, 16_000 + i % 3 * 8_000
        )
        soundfile.write(songs / f"{i:02}.wav", sound, 16_000)
    (songs / "05.wav").write_bytes(b"this is no sound")
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """The rows of the songs, from a run without any interruption."""
    out = folder / "expected.parquet"
    summary = labelling.run(folder / "Café songs", out, folder / "model.npz", workers=1)
    assert (summary.labelled, summary.failed, summary.reasons) == (N_SONGS - 1, 1, {"not_audio": 1})
    return pd.read_parquet(out)


def after(n_songs, act):
    """A progress callback that calls `act()` once, when `n_songs` songs are done."""
    acted = []

    def progress(step, done, total):
        if done >= n_songs and not acted:
            acted.append(act())

    return progress


def kill_a_child(name):
    children = [
        child for child in psutil.Process().children(recursive=True) if any(name in part for part in child.cmdline())
    ]
    children[0].kill()


def test_the_rows_are_what_the_recognizer_says_of_each_song(folder, expected):
    recognizer = recognition.Recognizer(folder / "model.npz")
    assert list(expected["source"]) == [str(folder / "Café songs" / f"{i:02}.wav") for i in range(N_SONGS)]
    assert expected.loc[5, "error"] == "not_audio"
    assert "05.wav" in expected.loc[5, "message"]
    assert set(expected["label"].dropna()) == {"Piano", "Other"}
    for _, row in expected.drop(5).iloc[::6].iterrows():
        answer = recognizer.recognize(row["source"]).to_dict()
        assert row["label"] == answer["label"]
        assert row["title"] == Path(row["source"]).name
        assert row["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-4)
        assert row["votes"] == answer["votes"]
        assert list(row["timeline"]) == pytest.approx(answer["timeline"], abs=1e-4)


@pytest.mark.parametrize("kill", [False, True])
def test_more_workers_make_the_same_rows_also_when_one_is_killed(folder, expected, tmp_path, kill):
    progress = after(3, lambda: kill and kill_a_child("LokyProcess"))
    labelling.run(folder / "Café songs", tmp_path / "out.parquet", folder / "model.npz", workers=2, progress=progress)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), expected)


def test_a_dask_cluster_makes_the_same_rows_also_when_a_worker_is_killed(folder, expected, tmp_path, cluster):
    pids = [worker.pid for worker in cluster.workers.values()]
    progress = after(3, lambda: os.kill(pids[0], signal.SIGKILL))
    labelling.run(
        folder / "Café songs",
        tmp_path / "out.parquet",
        folder / "model.npz",
        dask=cluster.scheduler_address,
        progress=progress,
    )
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), expected)


def test_a_task_that_kills_its_process_fails_alone(cluster, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    for pool in (Pool(2), Pool(dask=cluster.scheduler_address)):
        with pool:
            tasks = [pool.submit(abs, -i) for i in range(9)]
            assert [task.result(60) for task in tasks] == list(range(9))
            assert isinstance(pool.submit(os._exit, 1).exception(60), WorkerDied)
            assert isinstance(pool.submit(int, "no number").exception(60), ValueError)


def test_without_other_processes_this_one_makes_the_same_rows(folder, expected, tmp_path, monkeypatch, capsys):
    def refuse(n):
        raise OSError(30, "Read-only file system")  # as where there is no /dev/shm

    monkeypatch.setattr(workers, "_processes", refuse)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "x")
    labelling.run(folder / "Café songs", tmp_path / "out.parquet", folder / "model.npz")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), expected)
    assert "Other processes cannot be started (Read-only file system)" in capsys.readouterr().err


KEPT = []


def grown(megabytes):
    """Memory that stays with the process, as a cache does; in which process this is."""
    KEPT.append(b"x" * (megabytes * 2**20))
    return os.getpid()


def test_a_process_may_keep_what_it_has_read():
    with Pool(1) as pool:
        first = pool.submit(grown, 0).result(60)
        time.sleep(1.1)  # loky looks at the memory once a second, after a task
        pool.submit(grown, 500).result(60)
        time.sleep(1.1)
        pool.submit(grown, 0).result(60)
        assert pool.submit(grown, 0).result(60) == first


SCRIPT = """
import os, signal, sys
from pipeline.batch import labelling

def progress(step, done, total):
    if done >= int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

labelling.run(*sys.argv[1:4], workers=1, progress=progress)
"""


def test_a_run_that_is_killed_again_and_again_loses_and_doubles_nothing(folder, expected, tmp_path):
    out = tmp_path / "out.parquet"
    for n_songs in (4, 11):
        arguments = [folder / "Café songs", out, folder / "model.npz", n_songs]
        killed = subprocess.run([sys.executable, "-c", SCRIPT, *map(str, arguments)], cwd=ROOT)
        assert killed.returncode == -signal.SIGKILL
        assert not out.exists()
    begun = []
    labelling.run(
        folder / "Café songs",
        out,
        folder / "model.npz",
        workers=2,
        progress=lambda step, done, total: begun.append(done),
    )
    assert begun == list(range(11, N_SONGS + 1))  # what was known is not done again
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected)


def test_a_full_disk_stops_the_run_with_a_sentence_and_the_run_goes_on_afterwards(folder, expected, tmp_path, cluster):
    out = tmp_path / "out.parquet"
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "batch",
        folder / "Café songs",
        "--out",
        out,
        "--model",
        folder / "model.npz",
    ]
    tight = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    stopped = subprocess.run(command, cwd=ROOT, preexec_fn=tight, capture_output=True, text=True)
    assert stopped.returncode == 2
    assert "make room" in stopped.stderr
    assert not out.exists()
    summary = labelling.run(folder / "Café songs", out, folder / "model.npz", dask=cluster.scheduler_address)
    assert (summary.labelled, summary.failed) == (N_SONGS - 1, 1)
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected)


def test_a_run_that_is_stopped_goes_on_and_a_finished_one_has_nothing_to_do(folder, expected, tmp_path, cluster):
    out = tmp_path / "out.parquet"

    def cancel(step, done, total):
        if done == 6:
            raise Cancelled

    with pytest.raises(Cancelled):
        labelling.run(folder / "Café songs", out, folder / "model.npz", dask=cluster.scheduler_address, progress=cancel)
    labelling.run(folder / "Café songs", out, folder / "model.npz", dask=cluster.scheduler_address)
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected)
    written = out.stat().st_mtime_ns
    labelling.run(
        folder / "Café songs", out, folder / "model.npz", progress=lambda *_: pytest.fail("nothing is left to do")
    )
    assert out.stat().st_mtime_ns == written


def test_what_failed_is_tried_again_alone(folder, tmp_path, cluster):
    song, out = tmp_path / "later.wav", tmp_path / "out.parquet"
    (tmp_path / "list.txt").write_text(f"{folder / 'Café songs' / '00.wav'}\nlater.wav\n")
    assert labelling.run(tmp_path / "list.txt", out, folder / "model.npz", dask=cluster.scheduler_address).reasons == {
        "missing": 1
    }
    soundfile.write(song, tone(1, 16_000), 16_000)
    assert labelling.run(tmp_path / "list.txt", out, folder / "model.npz", dask=cluster.scheduler_address).failed == 1
    seen = []
    progress = lambda step, done, total: seen.append((done, total))  # noqa: E731
    assert (
        labelling.run(
            tmp_path / "list.txt",
            out,
            folder / "model.npz",
            dask=cluster.scheduler_address,
            retry_failed=True,
            progress=progress,
        ).failed
        == 0
    )
    assert seen == [(1, 2), (2, 2)]
    assert list(pd.read_parquet(out)["error"].isna()) == [True, True]


def test_a_list_as_people_write_it(folder, tmp_path, cluster):
    songs = tmp_path / "songs"
    songs.mkdir()
    for name in ("b.wav", "a.wav"):
        soundfile.write(songs / name, tone(1, 16_000), 16_000)
    lines = [
        "# mine",
        "",
        "songs/b.wav  ",
        "nothing.wav",
        "./songs/b.wav",
        str(songs),
        "other.txt",
        "https://example.com/song",
    ]
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    labelling.run(tmp_path / "list.txt", tmp_path / "out.parquet", folder / "model.npz", dask=cluster.scheduler_address)
    rows = pd.read_parquet(tmp_path / "out.parquet")
    assert [(Path(source).name, error) for source, error in zip(rows["source"], rows["error"].fillna(""))] == [
        ("b.wav", ""),
        ("nothing.wav", "missing"),
        ("a.wav", ""),
        ("b.wav", ""),
        ("other.txt", "nested_list"),
        ("song", "other_site"),
    ]


def test_names_that_are_no_text_are_written_all_the_same(tmp_path):
    names = [os.fsdecode(b"l\xe8.wav"), os.fsdecode(b"l\xe9.wav")]
    with Journal(tmp_path / "out.parquet", {}) as journal:
        journal.fill((name, name) for name in names)
        for song in journal.pending(2):
            journal.record(song, {"title": song.source, "error": "no_audio", "message": song.source})
        journal.write_parquet(["Piano", "Other"])
    rows = pd.read_parquet(tmp_path / "out.parquet")[["source", "title", "message"]]
    assert rows.values.tolist() == [["l\\udce8.wav"] * 3, ["l\\udce9.wav"] * 3]
    assert str(next(expand(names[:1]))[1]).startswith("l?.wav is neither")


def test_what_cannot_be_read_in_a_folder_is_named_and_the_rest_is_labelled(folder, tmp_path, monkeypatch, capsys):
    for name in ("disk/lost+found", "disk/music"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(folder / "Café songs" / "01.wav", tmp_path / "disk" / "music")
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'disk'}\n")
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read every folder
    for songs in (tmp_path / "disk", tmp_path / "list.txt"):
        out = tmp_path / f"{songs.stem}.parquet"
        summary = labelling.run(songs, out, folder / "model.npz", workers=1)
        assert (summary.labelled, summary.reasons) == (1, {"unreadable": 1})
        assert f"{tmp_path}/disk/lost+found cannot be read: permission denied." in capsys.readouterr().err
        assert [Path(source).name for source in pd.read_parquet(out)["source"]] == ["lost+found", "01.wav"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty_list"),
        (b"# only\n\n", "empty_list"),
        (b"\xff\xfe\x00a", "bad_list"),
        ("a".encode("utf-16"), "bad_list"),
        (None, "missing"),
    ],
)
def test_a_list_that_cannot_be_used(folder, tmp_path, content, kind):
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(SourceError) as error:
        labelling.run(tmp_path / "list.txt", tmp_path / "out.parquet", folder / "model.npz")
    assert error.value.kind == kind
    assert not (tmp_path / "out.parquet.journal").exists()


def test_a_list_of_a_million_lines_is_not_held_in_memory(tmp_path):
    with open(tmp_path / "list.txt", "w") as file:
        file.writelines(f"/music/{i % 40_000:06}.mp3\n" for i in range(60_000))
    tracemalloc.start()
    with Journal(tmp_path / "out.parquet", {"list": song_list.digest(tmp_path / "list.txt")}) as journal:
        journal.fill((entry, song_list.key(entry)) for entry in song_list.entries(tmp_path / "list.txt"))
        assert journal.count() == (40_000, 0, 0)
        assert [song.source for song in journal.pending(2)] == ["/music/000000.mp3", "/music/000001.mp3"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000


def test_the_reading_of_a_long_list_is_told_and_may_be_stopped(folder, tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"{i}.wav\n" for i in range(2500)))
    told = []

    def progress(*step):
        told.append(step)
        if len(told) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        labelling.run(tmp_path / "list.txt", tmp_path / "out.parquet", folder / "model.npz", progress=progress)
    assert told == [("reading", 1000, None), ("reading", 2000, None)]
    with Journal(tmp_path / "out.parquet", {}) as journal:
        assert journal.is_new


def test_an_output_of_something_else_is_refused_and_left_alone(folder, tmp_path, capsys, cluster):
    out, songs, model = tmp_path / "out.parquet", folder / "Café songs", folder / "model.npz"
    labelling.run(songs, out, model, dask=cluster.scheduler_address)
    before = out.read_bytes()
    (tmp_path / "list.txt").write_text(f"{songs / '00.wav'}\n")
    with pytest.raises(BatchError, match="with another list"):
        labelling.run(tmp_path / "list.txt", out, model)
    with pytest.raises(BatchError, match="with another number of clips"):
        labelling.run(songs, out, model, n_clips=3)
    other = Model.load(model)
    other.layers[-2].params["bias"] += 1
    other.save(tmp_path / "other.npz")
    with pytest.raises(BatchError, match="with another model"):
        labelling.run(songs, out, tmp_path / "other.npz")
    with Journal(out, {}), pytest.raises(BatchError, match="another run"):
        labelling.run(songs, out, model)
    os.unlink(tmp_path / "out.parquet.journal")
    with pytest.raises(BatchError, match="there already"):
        labelling.run(songs, out, model)
    assert out.read_bytes() == before
    (tmp_path / "text.parquet.journal").write_text("a diary\n" * 100)
    with pytest.raises(BatchError, match="something else"):
        labelling.run(songs, tmp_path / "text.parquet", model)
    (tmp_path / "folder.parquet.journal").mkdir()
    with pytest.raises(BatchError, match="cannot be opened; check whether you may write there"):
        labelling.run(songs, tmp_path / "folder.parquet", model)
    assert main(["batch", str(songs), "--out", str(tmp_path / "no" / "out.parquet"), "--model", str(model)]) == 2
    assert "There is no folder" in capsys.readouterr().err
    for nothing in ("", "."):
        with pytest.raises(BatchError, match="is a folder"):
            labelling.run(songs, nothing, model)


def test_a_journal_that_is_damaged_inside_ends_in_a_sentence(folder, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    with Journal(
        out,
        {
            "list": song_list.digest(folder / "Café songs"),
            "model": labelling.fingerprint(folder / "model.npz"),
            "number of clips": "all",
            "seed": "0",
        },
    ) as journal:
        journal.fill((f"{i:099}.wav", f"{i:099}.wav") for i in range(2000))
    journal, size = tmp_path / "out.parquet.journal", (tmp_path / "out.parquet.journal").stat().st_size
    with open(journal, "r+b") as file:  # all but the first pages
        file.seek(6 * 4096)
        file.write(b"\xff" * (size - 6 * 4096))
    assert main(["batch", str(folder / "Café songs"), "--out", str(out), "--model", str(folder / "model.npz")]) == 2
    assert "or damaged" in capsys.readouterr().err


def test_workers_with_another_version_of_the_model_are_refused(folder, tmp_path, monkeypatch, cluster):
    monkeypatch.setattr(recognition, "MODEL_PATH", folder / "model.npz")  # here, not in the workers
    for engine in ({"workers": 1}, {"dask": cluster.scheduler_address}):
        with pytest.raises(BatchError) as error:
            labelling.run(folder / "Café songs", tmp_path / "out.parquet", **engine)
        assert error.value.kind == "model"
    with Journal(tmp_path / "out.parquet", {}) as journal:
        assert journal.count() == (N_SONGS, 0, 0)


def test_a_dask_address_where_nobody_answers(folder, tmp_path, monkeypatch, cluster):
    assert workers.TIMEOUT <= 10
    monkeypatch.setattr(workers, "TIMEOUT", 1)
    with pytest.raises(PipelineError, match=r"No Dask scheduler answered at tcp://127.0.0.1:9 within 1 s"):
        labelling.run(folder / "Café songs", tmp_path / "out.parquet", folder / "model.npz", dask="tcp://127.0.0.1:9")
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as web,
    ):
        threading.Thread(target=web.serve_forever, daemon=True).start()
        for port in (silent.getsockname()[1], web.server_port):
            with pytest.raises(PipelineError, match=f"No Dask scheduler answered at tcp://127.0.0.1:{port}"):
                Pool(dask=f"tcp://127.0.0.1:{port}")
        web.shutdown()
    for address in ("nonsense", "http://127.0.0.1:9"):
        with pytest.raises(PipelineError, match=f"answered at {address}"):
            Pool(dask=address)
    with pytest.raises(PipelineError, match="give the address of the scheduler"):
        Pool(dask=next(iter(cluster.workers.values())).address)


FAST = 1e9  # downloads an hour


def test_links_and_playlists_are_downloaded_once_and_become_rows_in_their_order(folder, tmp_path, cluster):
    sounds = [folder / "Café songs" / f"{i:02}.wav" for i in range(3)]
    ids = [letter * 11 for letter in "abcd"]
    videos = {ids[0]: sounds[0], ids[1]: sounds[1], ids[2]: "private", ids[3]: sounds[2]}
    lines = [
        f"https://youtu.be/{ids[0]}",
        "https://www.youtube.com/playlist?list=PLsongs",
        str(sounds[2]),
        f"https://www.youtube.com/watch?v={ids[3]}",
        f"https://www.youtube.com/watch?v={ids[0]}&t=3",
    ]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    cookies = io.TextIOWrapper(
        io.BytesIO(b"# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t4102444800\tSID\tsecret\n")
    )
    with LoopbackYouTube(videos, {"PLsongs": [ids[1], ids[2], ids[3]]}) as youtube:
        options = {
            "model": folder / "model.npz",
            "dask": cluster.scheduler_address,
            "per_hour": FAST,
            "ydl_factory": youtube.ydl_factory,
            "cookies": cookies,
        }
        summary = labelling.run(tmp_path / "list.txt", tmp_path / "out.parquet", **options)
        assert (summary.labelled, summary.reasons) == (4, {"private": 1})
        asked = Counter(youtube.requests)
        assert all(asked[f"/video/{id}"] == 1 for id in ids)
        labelling.run(tmp_path / "list.txt", tmp_path / "out.parquet", **options)
        assert Counter(youtube.requests) == asked
    rows = pd.read_parquet(tmp_path / "out.parquet")
    watch = "https://www.youtube.com/watch?v="
    assert list(rows["source"]) == [lines[0], watch + ids[1], watch + ids[2], lines[2], watch + ids[3]]
    assert rows["label"].notna().tolist() == [True, True, False, True, True]
    assert rows.loc[4, "timeline"] == pytest.approx(rows.loc[3, "timeline"])


def test_without_a_network_files_go_on_and_what_it_waits_for_is_said(folder, tmp_path):
    lines = [f"https://youtu.be/{letter * 11}" for letter in "abcdefghijklmnop"] + [
        str(folder / "Café songs" / "00.wav")
    ]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    out, model = str(tmp_path / "out.parquet"), str(folder / "model.npz")
    command = [sys.executable, "-m", "pipeline", "batch", str(tmp_path / "list.txt"), "--out", out, "--model", model]
    options = {"cwd": ROOT, "env": os.environ | {"https_proxy": "http://127.0.0.1:9"}, "text": True}
    with subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.PIPE, **options) as waiting:
        said = next(filter(str.strip, waiting.stderr))
        while journal_count(out) != (16, 1, 0):
            time.sleep(0.1)
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(30) == 130
    assert re.match(
        r"YouTube cannot be reached.* next attempt is at \d\d:\d\d:\d\d, the last one at \d\d:\d\d:\d\d;", said
    )
    given_up = subprocess.run([*command, "--fail-fast"], capture_output=True, **options)
    assert given_up.returncode == 2
    assert re.match("pipeline: YouTube cannot be reached.* So far: 1 labelled, 0 failed, 16 left", given_up.stderr)
    assert list(pd.read_parquet(out)["source"]) == lines[-1:]
    videos = {letter * 11: folder / "Café songs" / "01.wav" for letter in "abcdefghijklmnop"}
    with LoopbackYouTube(videos) as youtube:
        access = {"per_hour": FAST, "ydl_factory": youtube.ydl_factory}
        assert labelling.run(tmp_path / "list.txt", out, model, workers=1, **access).labelled == 17
    assert list(pd.read_parquet(out)["source"]) == lines


def journal_count(out):
    """How many songs are pending, done and failed, while another process holds the journal."""
    for name in ("", "-wal"):
        shutil.copy(f"{out}.journal{name}", f"{out}.copy.parquet.journal{name}")
    with Journal(f"{out}.copy.parquet", {}) as journal:
        return journal.count()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_batch_that_is_ended_from_outside_leaves_nothing_and_goes_on_with_a_bar(folder, tmp_path, number):
    (tmp_path / "list.txt").write_text(f"{folder / 'Café songs' / '00.wav'}\nhttps://youtu.be/{'a' * 11}\n")
    (tmp_path / "temporary").mkdir()
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "batch",
        "list.txt",
        "--out",
        "out.parquet",
        "--model",
        folder / "model.npz",
        "--workers",
        "1",
    ]
    video = Video(folder / "Café songs" / "01.wav", how="stall")
    with LoopbackYouTube({"a" * 11: video}) as youtube:
        paths = {
            "TMPDIR": str(tmp_path / "temporary"),
            "PYTHONPATH": os.pathsep.join([youtube.environment["PYTHONPATH"], str(ROOT)]),
        }
        start = partial(
            subprocess.Popen,
            command,
            cwd=tmp_path,
            env=youtube.environment | paths,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
        )  # under nohup it would be ignored
        process = start(stderr=subprocess.PIPE)
        while not list(tmp_path.glob("temporary/song-*/*")):  # until the half that comes is on disk
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 128 + number
        assert "Traceback" not in errors
        assert not output
        assert not psutil.wait_procs(children, timeout=30)[1]
        assert not list(tmp_path.glob("temporary/song-*"))
        assert not (tmp_path / "out.parquet").exists()
        video.how = "fine"
        terminal, other_end = pty.openpty()
        termios.tcsetwinsize(other_end, (24, 100))
        output, _ = start(stderr=other_end).communicate(timeout=120)
    assert output == "2 labelled, 0 failed: out.parquet\n"
    shown = os.read(terminal, 2**16).decode()
    assert "listening:  50%" in shown
    assert "listening: 100%" in shown
    assert "2/2" in shown
    os.close(terminal), os.close(other_end)


def test_after_too_many_requests_downloads_wait_and_then_go_on(folder):
    video, ids = Video(folder / "Café songs" / "00.wav", how="page_429"), "a" * 11
    with LoopbackYouTube({ids: video}) as youtube:
        attempts = []

        def factory(options):
            attempts.append(options)
            if len(attempts) == 3:
                video.how = "fine"
            return youtube.ydl_factory(options)

        with Downloader(FAST, first_pause=0.01, ydl_factory=factory) as downloader:
            song, stack = downloader.download(Link("video", ids)).result(60)
            assert len(attempts) == 3
            assert song.path.exists()
            stack.close()
            assert not song.path.exists()
            video.how = "page_429"
            with pytest.raises(DownloadsStopped, match="too many requests"):
                downloader.download(Link("video", ids)).result(60)
            assert len(attempts) == 4 + PAUSES


def test_downloads_keep_their_distance_and_stop_when_the_batch_does(folder):
    with LoopbackYouTube({"a" * 11: folder / "Café songs" / "00.wav"}) as youtube:
        with Downloader(per_hour=1, ydl_factory=youtube.ydl_factory) as downloader:
            _song, stack = downloader.download(Link("video", "a" * 11)).result(60)
            waiting = downloader.download(Link("video", "a" * 11))
        assert waiting.cancelled() or isinstance(waiting.exception(60), Cancelled)
        stack.close()
