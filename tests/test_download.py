"""Downloads through the real yt-dlp from a YouTube on loopback: what arrives, what fails, and that nothing stays."""

import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import media
import numpy as np
import pytest
from youtube import LoopbackYouTube, Video

from pipeline.errors import AudioError, Cancelled, DownloadError
from pipeline.song import audio, download, ytdlp
from pipeline.song.links import Link, parse

ID = "aaaaaaaaaaa"
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, which every test must leave as it was."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.glob("song-*"))


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """The same 12 seconds in the formats that YouTube serves."""
    folder = tmp_path_factory.mktemp("songs")
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, 12 * 48_000)
    return {suffix: media.write(folder / f"song{suffix}", samples, 48_000) for suffix in (".m4a", ".webm")}


def fetch(video, **options):
    """Download and decode one video; returns the song and its length in seconds."""
    with LoopbackYouTube({ID: video}) as youtube:
        with download.download(Link("video", ID), ydl_factory=youtube.ydl_factory, **options) as song:
            assert list(song.path.parent.iterdir()) == [song.path]
            seconds = sum(map(len, audio.decode(song.path, song.seconds))) / audio.SAMPLE_RATE
        assert not song.path.parent.exists()
    return song, seconds


def failure(video, **options):
    """The kind of the DownloadError; its sentence is checked."""
    with pytest.raises(DownloadError) as caught:
        fetch(video, **options)
    message = str(caught.value)
    assert message.isprintable(), message
    assert message.endswith("."), message
    assert len(message) < 260, message
    assert ID not in message, message
    return caught.value.kind


@pytest.mark.parametrize("suffix", [".m4a", ".webm"])
def test_a_song_arrives_and_is_gone_afterwards(songs, suffix):
    song, seconds = fetch(songs[suffix])
    assert (song.title, song.seconds, song.url) == ("A song", 12, f"https://www.youtube.com/watch?v={ID}")
    assert song.path.suffix == suffix
    assert abs(seconds - 12) < 0.1


def test_the_folder_goes_when_the_caller_fails(songs, temporary):
    def fail():
        with download.download(parse(f"youtu.be/{ID}"), ydl_factory=youtube.ydl_factory):
            assert list(temporary.glob("song-*/*.m4a"))
            raise ZeroDivisionError

    with LoopbackYouTube({ID: songs[".m4a"]}) as youtube, pytest.raises(ZeroDivisionError):
        fail()


def test_a_busy_server_is_asked_again(songs):
    assert fetch(Video(songs[".m4a"], how="busy_once"))[1] > 11.9


@pytest.mark.parametrize(
    "title", ["../../etc/passwd", "--exec=reboot", "<script>alert(1)</script>", "a" * 5000, "%(id)s"]
)
def test_a_title_is_text_and_never_a_path(songs, title):
    song, _ = fetch(Video(songs[".m4a"], title=title))
    assert song.title == title[:300]
    assert song.path.name == f"{ID}.m4a"


def test_a_title_cannot_steer_a_terminal(songs):
    assert fetch(Video(songs[".m4a"], title="\x1b[2Jsonata\n"))[0].title == "?[2Jsonata?"


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("short", "incomplete"),
        ("hang", "timeout"),
        ("stall", "timeout"),
        ("page_hang", "timeout"),
        (400, "outdated"),
        (403, "forbidden"),
        (404, "unavailable"),
        (429, "rate_limited"),
        ("page_429", "rate_limited"),
        (500, "server_error"),
        ("no_network", "no_network"),
    ],
)
def test_a_failing_server(songs, monkeypatch, how, kind):
    monkeypatch.setattr(ytdlp, "SOCKET_TIMEOUT", 0.3)
    monkeypatch.setattr(ytdlp, "RETRIES", 1)
    assert failure(Video(songs[".m4a"], how=how)) == kind


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        ("private", "private"),
        ("deleted", "unavailable"),
        ("never", "unavailable"),
        ("terminated", "unavailable"),
        ("age", "age_restricted"),
        ("members", "members_only"),
        ("geo", "geo_blocked"),
        ("premiere", "upcoming"),
        ("announced", "upcoming"),
        ("bot", "sign_in"),
        ("login", "sign_in"),
        ("session", "rate_limited"),
        ("blocked", "forbidden"),
        ("drm", "protected"),
        ("paid", "paid"),
        ("pictures", "outdated"),
        ("app", "outdated"),
        ("device", "outdated"),
        ("reload", "outdated"),
        ("embedded", "outdated"),
        ("code", "outdated"),
        ("content", "unavailable"),
        ("player", "outdated"),
        ("regex", "outdated"),
        ("bug", "outdated"),
        ("strange", "refused"),
    ],
)
def test_a_refusal_of_youtube(refusal, kind):
    assert failure(refusal) == kind


@pytest.mark.parametrize("refusal", ["bug", "app", "never", "content"])
def test_what_a_newer_yt_dlp_may_cure_says_how_to_get_it(refusal):
    with pytest.raises(DownloadError, match=r'pip install -U --pre "yt-dlp\[default,deno\]"'):
        fetch(refusal)


def test_the_words_in_an_id_mean_nothing():
    with LoopbackYouTube({"aaa-drm-ssl": "deleted"}) as youtube:
        song = download.download(Link("video", "aaa-drm-ssl"), ydl_factory=youtube.ydl_factory)
        with pytest.raises(DownloadError) as caught:
            song.__enter__()
    assert caught.value.kind == "unavailable"


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        ({"live_status": "is_live", "is_live": True}, "live"),
        ({"live_status": "post_live"}, "live"),
        ({"live_status": "is_upcoming"}, "upcoming"),
        ({"duration": 4 * 3600 + 1}, "too_long"),
        ({"formats": []}, "outdated"),
    ],
)
def test_a_video_that_is_no_song(songs, info, kind):
    assert failure(Video(songs[".m4a"], info=info)) == kind


def test_a_file_that_is_too_large(songs, monkeypatch):
    monkeypatch.setattr(ytdlp, "MAX_BYTES", 50_000)
    assert failure(songs[".m4a"]) == "too_large"


@pytest.mark.parametrize("limit", ["PATIENCE", "LONGEST"])
def test_patience_ends(songs, monkeypatch, limit):
    monkeypatch.setattr(ytdlp, "SOCKET_TIMEOUT", 60)
    monkeypatch.setattr(ytdlp, limit, 0.5)
    assert failure(Video(songs[".m4a"], how="stall")) == "timeout"


def test_a_long_list_is_waited_for_while_its_pages_come():
    job = ytdlp._Job("", {}, None, None)
    job.last_sign -= ytdlp.PATIENCE + 1
    assert job.is_late()
    job.debug("[youtube:tab] PLlist page 40: Downloading API JSON")
    assert not job.is_late()


def test_media_that_ends_early_or_is_something_else(songs, tmp_path):
    with pytest.raises(AudioError) as caught:
        fetch(media.cut(songs[".webm"], 0.5))
    assert caught.value.kind == "truncated"
    page = tmp_path / "page.m4a"
    page.write_text("<!doctype html><title>Sorry</title>")
    with pytest.raises(AudioError) as caught:
        fetch(Video(page, info={"duration": 12}))
    assert caught.value.kind == "not_audio"


def test_progress_is_told_from_the_callers_thread(songs):
    steps = []

    def progress(step, done, total):
        assert threading.current_thread() is threading.main_thread()
        steps.append((step, done, total))

    fetch(Video(songs[".m4a"], how="slow"), progress=progress)
    size = songs[".m4a"].stat().st_size
    assert steps[0] == ("checking", 0, None)
    assert steps[-1] == ("downloading", size, size)
    assert len(steps) > 5
    assert steps == sorted(steps, key=lambda step: step[1])


@pytest.mark.parametrize("how", ["slow", "hang", "stall", "page_hang"])
def test_cancelling_does_not_wait_for_the_server(songs, temporary, monkeypatch, how):
    monkeypatch.setattr(ytdlp, "SOCKET_TIMEOUT", 60)
    calls = []

    def progress(*step):
        calls.append(step)
        if len(calls) == 5:
            raise Cancelled

    with LoopbackYouTube({ID: Video(songs[".m4a"], how=how)}) as youtube:
        song = download.download(Link("video", ID), progress, ydl_factory=youtube.ydl_factory)
        with pytest.raises(Cancelled):
            song.__enter__()
        assert not list(temporary.glob("song-*"))
        (worker,) = [thread for thread in threading.enumerate() if thread.name == "yt-dlp"]  # yt-dlp is still waiting
    worker.join(30)  # the server has gone, so it ends; the fixture sees that it left nothing
    assert not worker.is_alive()


def test_a_worker_left_behind_removes_what_it_still_writes(temporary):
    """yt-dlp makes its folder anew where it is missing; this one waits until the caller has given up."""
    given_up = threading.Event()

    class LateYoutubeDL:
        cookiejar = None

        def __init__(self, options):
            self.path = Path(options["paths"]["home"], "late.m4a")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def extract_info(self, url, download):
            given_up.wait(30)
            self.path.parent.mkdir(exist_ok=True)
            self.path.write_bytes(b"late")

    def progress(*_):
        raise Cancelled

    with pytest.raises(Cancelled), download.download(Link("video", ID), progress, ydl_factory=LateYoutubeDL):
        pass
    (worker,) = [thread for thread in threading.enumerate() if thread.name == "yt-dlp"]
    given_up.set()
    worker.join(30)
    assert not worker.is_alive()
    assert not list(temporary.glob("song-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_is_stopped_leaves_nothing(songs, temporary, number):
    command = [sys.executable, "-m", "pipeline", "label", "--json", f"youtu.be/{ID}"]
    with LoopbackYouTube({ID: Video(songs[".m4a"], how="stall")}) as youtube:
        environment = youtube.environment | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
        )  # under nohup it would be ignored
        while not list(temporary.glob("song-*/*")):  # until the half that comes is on disk
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert not output
    assert not list(temporary.glob("song-*"))


def test_cookies_are_read_and_the_file_is_left_alone(songs, tmp_path):
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t4102444800\tSID\tsecret\n")
    before = cookies.read_bytes(), cookies.stat().st_mtime_ns
    seen = []

    with LoopbackYouTube({ID: songs[".m4a"]}) as youtube:

        def ydl_factory(options):
            ydl = youtube.ydl_factory(options)
            seen.extend(cookie.value for cookie in ydl.cookiejar)
            return ydl

        for given in (cookies, str(cookies), io.StringIO(cookies.read_text())):
            with download.download(Link("video", ID), cookies=given, ydl_factory=ydl_factory) as song:
                assert [path.name for path in song.path.parent.iterdir()] == [f"{ID}.m4a"]
    assert seen == ["secret"] * 3
    assert (cookies.read_bytes(), cookies.stat().st_mtime_ns) == before


def test_bad_cookies(songs, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<!doctype html>")
    for cookies in (tmp_path / "none.txt", tmp_path, page):
        assert failure(songs[".m4a"], cookies=cookies) == "cookies"
    assert failure(songs[".m4a"], cookies_from_browser="netscape") == "cookies"
    assert failure(songs[".m4a"], cookies_from_browser=f"firefox:{tmp_path}") == "cookies"


def test_a_playlist_is_listed_without_what_cannot_be_read():
    live = Video(Path("live.m4a"), info={"live_status": "is_live"})
    ids = [ID, None, "bbbbbbbbbbb", "not an id"]
    with LoopbackYouTube({ID: live}, {"PLlist": ids, "PLprivate": "private_list", "PLempty": []}) as youtube:
        found = download.playlist(Link("playlist", "PLlist"), ydl_factory=youtube.ydl_factory)
        assert found.title == "A playlist"
        assert [(entry.id, entry.title, entry.seconds) for entry in found.entries] == [
            (ID, f"Song {ID}", None),
            ("bbbbbbbbbbb", "Song bbbbbbbbbbb", None),
        ]
        assert parse(found.entries[0].url) == found.entries[0].link == Link("video", ID)
        assert not any(path.startswith(("/video", "/media")) for path in youtube.requests)
        assert len(download.playlist(Link("playlist", "PLlist"), limit=1, ydl_factory=youtube.ydl_factory).entries) == 1
        for id, kind in {"PLprivate": "private", "PLempty": "empty_playlist", "PLnone": "unavailable"}.items():
            with pytest.raises(DownloadError) as caught:
                download.playlist(Link("playlist", id), ydl_factory=youtube.ydl_factory)
            assert caught.value.kind == kind


def test_cancelling_the_listing_of_a_playlist():
    def progress(*_):
        raise Cancelled

    with LoopbackYouTube({}, {"PLlist": [ID]}) as youtube, pytest.raises(Cancelled):
        download.playlist(Link("playlist", "PLlist"), progress=progress, ydl_factory=youtube.ydl_factory)


def test_another_process_meets_the_same_youtube(songs, temporary):
    """What the browser tests and those of the command line rely on."""
    script = f"""
from pipeline.song.download import download
from pipeline.song.links import parse
with download(parse("https://www.youtube.com/watch?v={ID}")) as song:
    print(song.title, song.path.stat().st_size)
"""
    with LoopbackYouTube({ID: songs[".webm"]}) as youtube:
        environment = youtube.environment | {"TMPDIR": str(temporary)}
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == f"A song {os.path.getsize(songs['.webm'])}\n"
    assert not done.stderr
