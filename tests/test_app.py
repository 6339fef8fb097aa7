"""The demo without a browser: its widgets in this process, the real yt-dlp, real files, a small network."""

import csv
import gc
import io
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import media
import numpy as np
import pytest
import yt_dlp
from ipywidgets.widgets import widget as ipywidgets_widget
from PIL import Image
from youtube import LoopbackYouTube, Video, extractors

from pipeline.app import recording
from pipeline.app.app import App
from pipeline.app.form import OPTIONS, in_app_words
from pipeline.app.player import Player
from pipeline.app.session import Session
from pipeline.errors import PipelineError
from pipeline.learning.networks import dense_network
from pipeline.song import audio, download
from pipeline.song.recognition import Recognition
from pipeline.text import clock, percent

ROOT = Path(__file__).parents[1]
PATIENCE = 60  # seconds; a machine may be busy


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.npz"
    dense_network(units=(4,)).save(path)
    return path


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """A folder with two songs of three and two seconds."""
    folder = tmp_path_factory.mktemp("songs")
    media.write(folder / "piano-a-tone.m4a", media.tone(3, hertz=440))
    media.write(folder / "other-a-deep-tone.mp3", media.tone(2, hertz=110))
    return folder


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """The temporary folder of this process, to see what is left in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def app(model, songs, scratch):
    app = App(model, songs)
    yield app
    app.close_all()


@pytest.fixture
def youtube(songs, monkeypatch):
    """YouTube on a loopback server behind the real yt-dlp."""
    song = songs / "piano-a-tone.m4a"
    videos = {
        "aaaaaaaaaaa": Video(song, title="<img src=x onerror=alert(1)> A tone"),
        "bbbbbbbbbbb": "private",
        "ccccccccccc": "bot",
        "ddddddddddd": Video(song, title="=HYPERLINK(1)"),
        "hhhhhhhhhhh": Video(song, how="hang"),
        "iiiiiiiiiii": Video(song, how="page_hang"),
        "ttttttttttt": Video(song, info={"duration": 60}),
    }
    playlists = {
        "PL0123456789": ["ddddddddddd", "bbbbbbbbbbb", "aaaaaaaaaaa"],
        "PL_all_bad_01": ["bbbbbbbbbbb", "ccccccccccc"],
    }
    original, seen = yt_dlp.YoutubeDL, []

    def factory(options):
        seen.append(options | {"cookies": options["cookiefile"] and options["cookiefile"].getvalue()})
        ydl = original(options)
        for extractor in extractors(server.address):
            ydl.add_info_extractor(extractor(ydl))
        return ydl

    with LoopbackYouTube(videos, playlists) as server:
        monkeypatch.setattr(yt_dlp, "YoutubeDL", factory)
        server.seen = seen
        yield server


def ask(app, link):
    """Submit a link and wait for what comes of it."""
    app.link.value = link
    app.button.click()
    assert app.done.wait(PATIENCE)
    return app.stage.view


def test_a_sample_song_is_answered_and_drawn(app, scratch):
    sample = next(button for button in app.form.samples if "A tone" in button.description)
    sample.click()
    assert app.done.wait(PATIENCE)
    assert app.stage.view["phase"] == "answer"
    assert app.stage.view["label"] in ("Piano", "Other")
    assert app.stage.view["title"] == "A tone"
    assert app.stage.view["length"] == "0:03"
    (player,) = app.player_box.children
    assert player.seconds == pytest.approx(3, abs=0.2)
    assert len(player.timeline) in (3, 4)
    assert [moment["class_name"] for moment in player.moments] == ["Piano", "Other"]
    assert "A tone" in app.table.value
    assert list(scratch.glob("song-*")) == []


def test_a_song_that_is_long_to_draw_says_so_beside_its_answer(app, monkeypatch):
    monkeypatch.setattr("pipeline.app.app.CALM", -1)
    seen = []
    app.stage.observe(lambda change: seen.append(change["new"]), "view")
    app.form.samples[0].click()
    assert app.done.wait(PATIENCE)
    *_, answer, drawing, drawn = seen
    assert drawing == answer | {"more": drawing["more"]}
    assert drawing["more"]["step"].startswith("Drawing the song")
    assert drawing["more"]["detail"] == "", "its title stands above"
    assert drawn == answer | {"more": None}


def test_an_answer_stands_even_if_the_song_cannot_be_drawn(app, monkeypatch):
    monkeypatch.setattr("pipeline.app.job.player_of", lambda *_: (_ for _ in ()).throw(MemoryError()))
    app.form.samples[0].click()
    assert app.done.wait(PATIENCE)
    assert app.stage.view["phase"] == "answer"
    assert app.player_box.children == ()
    assert "failed" not in app.table.value


@pytest.mark.parametrize("link", ["", "hello", "https://vimeo.com/1", "<script>alert(1)</script>"])
def test_what_is_no_link_ends_in_a_sentence_and_nothing_else(app, youtube, link):
    view = ask(app, link)
    assert view["phase"] == "error"
    assert view["sentence"].endswith(("...", "."))
    assert app.session.rows == []
    assert app.table.value == ""
    assert youtube.requests == []
    assert app.cancel_button.disabled
    assert not app.button.disabled


def test_a_link_without_https_is_downloaded_and_nothing_stays(app, youtube, scratch):
    view = ask(app, " youtu.be/aaaaaaaaaaa ")
    assert view["phase"] == "answer"
    assert view["url"] == "https://www.youtube.com/watch?v=aaaaaaaaaaa"
    assert list(scratch.glob("song-*")) == []


def test_titles_are_never_markup_nor_formulas(app, youtube):
    ask(app, "youtu.be/aaaaaaaaaaa")
    ask(app, "youtu.be/ddddddddddd")
    assert "<img" not in app.table.value
    assert "&lt;img src=x" in app.table.value
    rows = list(csv.DictReader(io.StringIO(app.session.to_csv())))
    assert [row["title"] for row in rows] == ["<img src=x onerror=alert(1)> A tone", "'=HYPERLINK(1)"]
    assert rows[0]["label"] in ("Piano", "Other")
    assert rows[0]["clips"] == "3"
    assert rows[0]["error"] == ""


def test_a_refusal_points_to_the_options_of_the_app(app, youtube):
    view = ask(app, "youtu.be/ccccccccccc")
    assert "not a bot" in view["sentence"]
    assert OPTIONS in view["sentence"]
    assert "--cookies" not in view["sentence"]
    assert app.session.rows[0].error.kind == "sign_in"
    assert in_app_words(PipelineError("x", "Try again.")) == "Try again."


def test_cookies_are_handed_on_in_memory_only(app, youtube, scratch):
    text = "# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t2000000000\tSID\tsecret\n"
    file = {"name": "c.txt", "type": "", "size": 1, "content": text.encode(), "last_modified": datetime.now()}
    app.form.cookies.value = [file]
    assert app.form.cookies.value == (), "what a widget holds can be saved in a notebook"
    ask(app, "https://www.youtube.com/playlist?list=PL0123456789")
    app.form.forget.click()
    ask(app, "youtu.be/aaaaaaaaaaa")
    assert [options["cookies"] for options in youtube.seen] == [text] * 4 + [None]
    assert list(scratch.glob("song-*")) == []


def test_an_answer_about_a_part_of_a_file_says_so(app, scratch):
    data = media.write(scratch / "song.wav", media.tone(6), 44_100).read_bytes()
    upload(app, data[: len(data) // 2], "song.wav")
    assert app.done.wait(PATIENCE)
    assert app.stage.view["remarks"] == ["The file is cut short: only its beginning was judged."]


def test_a_truncated_song_is_an_error(app, youtube):
    view = ask(app, "youtu.be/ttttttttttt")
    assert view["phase"] == "error"
    assert view["sentence"].startswith("This file ends after")
    assert view["title"] == app.session.rows[0].title == "A song", "what it is called is known by then"


def test_even_a_mistake_of_ours_ends_in_a_sentence(app, youtube, monkeypatch):
    monkeypatch.setattr("pipeline.song.links.parse", lambda text: {}[text])
    view = ask(app, "youtu.be/aaaaaaaaaaa")
    assert view["phase"] == "error"
    assert "KeyError" in view["sentence"]
    assert app.cancel_button.disabled
    monkeypatch.undo()
    app.form.samples[0].click()
    assert app.done.wait(PATIENCE)
    assert app.stage.view["phase"] == "answer"


def test_a_playlist_gives_a_row_a_song(app, youtube):
    seen = []
    app.table.observe(lambda change: seen.append(change["new"].count(">waiting<")), "value")
    view = ask(app, "https://www.youtube.com/playlist?list=PL0123456789")
    assert [bool(row.recognition) for row in app.session.rows] == [True, False, True]
    assert view["phase"] == "answer"
    assert view["more"]["step"].startswith("3 songs: ")
    assert "1 without" in view["more"]["step"]
    assert list(dict.fromkeys(seen)) == [3, 2, 1, 0], "the rows fill while the list goes on"


def test_the_place_of_the_player_goes_before_a_playlist_is_read(app, youtube, monkeypatch):
    ask(app, "youtu.be/aaaaaaaaaaa")
    kept, read = ["po-kept" in app.player_box._dom_classes], download.playlist
    monkeypatch.setattr(
        download,
        "playlist",
        lambda *given, **named: kept.append("po-kept" in app.player_box._dom_classes) or read(*given, **named),
    )
    ask(app, "https://www.youtube.com/playlist?list=PL0123456789")
    assert kept == [True, False], "while it is read, seconds after the click, nothing jumps"


def test_a_playlist_without_any_answer_says_so(app, youtube):
    view = ask(app, "https://www.youtube.com/playlist?list=PL_all_bad_01")
    assert view["phase"] == "error"
    assert len(app.session.rows) == 2


def test_a_video_in_a_playlist_is_taken_and_the_list_offered(app, youtube):
    ask(app, "https://www.youtube.com/watch?v=aaaaaaaaaaa&list=PL0123456789")
    assert len(app.session.rows) == 1
    assert app.form.playlist.layout.display is None
    app.link.value = "what comes next"
    app.form.playlist.click()
    assert app.done.wait(PATIENCE)
    assert len(app.session.rows) == 4
    assert app.form.playlist.layout.display == "none"


@pytest.mark.parametrize("request_that_hangs", ["/video/iiiiiiiiiii", "/media/hhhhhhhhhhh.m4a"])
def test_cancel_while_a_server_hangs(app, youtube, scratch, request_that_hangs):
    app.link.value = f"youtu.be/{request_that_hangs[7:18]}"
    app.button.click()
    while request_that_hangs not in youtube.requests:
        assert not app.done.wait(0.01)
    app.cancel_button.click()  # the loopback server hangs for a minute: only a real cancel gets past here
    assert app.done.is_set()
    assert app.stage.view["phase"] == "idle"
    assert app.session.rows == []
    assert ask(app, "youtu.be/aaaaaaaaaaa")["phase"] == "answer", "ready for the next link"
    assert list(scratch.glob("song-*")) == []


def in_a_process_of_its_own(youtube, model, songs, scratch, what):
    """Start a Python that makes the App twice, as a notebook does whose cell runs twice, and then does `what`."""
    start = f"from pipeline.app.app import App\nfor _ in range(2):\n    app = App({str(model)!r}, {str(songs)!r})\n"
    environment = youtube.environment | {"TMPDIR": str(scratch)}
    return subprocess.Popen(
        [sys.executable, "-c", start + what], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_a_link_may_come_before_everything_is_loaded(youtube, model, songs, scratch):
    ask_at_once = "app.link.value = 'youtu.be/aaaaaaaaaaa'\napp.button.click()\n"
    ask_at_once += f"print(app.done.wait({PATIENCE}), app.stage.view['phase'])"
    with in_a_process_of_its_own(youtube, model, songs, scratch, ask_at_once) as process:
        assert process.stdout.read().split() == ["True", "answer"]


def test_the_page_appears_before_anything_slow_is_imported():
    code = "import sys, pipeline.app.app; print(*{name.partition('.')[0] for name in sys.modules})"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    slow = {"nn", "scipy", "pandas", "matplotlib", "PIL", "av", "yt_dlp", "dask", "optuna", "pyarrow", "sklearn"}
    assert slow & set(process.stdout.split()) == set()


def test_a_kernel_that_is_told_to_end_leaves_nothing(youtube, model, songs, scratch):
    hang = "app.link.value = 'youtu.be/hhhhhhhhhhh'\napp.button.click()\napp.done.wait()"
    with in_a_process_of_its_own(youtube, model, songs, scratch, hang) as process:
        while "/media/hhhhhhhhhhh.m4a" not in youtube.requests:
            assert process.poll() is None
            time.sleep(0.02)
        assert list(scratch.glob("song-*")) != []
        process.terminate()
    assert list(scratch.glob("song-*")) == []


def test_what_a_killed_kernel_leaves_is_removed_at_the_next_start(youtube, model, songs, scratch):
    others = [
        "song-of-mine",
        f"{download.FOLDER}4194305-elsewhere-x",
        *(f"{download.FOLDER}{n}-{platform.node()}-x" for n in ("²", "9" * 30)),
    ]
    for name in others:
        (scratch / name).mkdir()
    hang = "app.link.value = 'youtu.be/hhhhhhhhhhh'\napp.button.click()\napp.done.wait()"
    with in_a_process_of_its_own(youtube, model, songs, scratch, hang) as process:
        while "/media/hhhhhhhhhhh.m4a" not in youtube.requests:
            assert process.poll() is None
            time.sleep(0.02)
        App(model, songs).close_all()
        assert len(list(scratch.glob("song-*"))) == 5, "a song that is being worked on stays"
        process.kill()
    assert len(list(scratch.glob("song-*"))) == 5
    App(model, songs).close_all()
    assert sorted(folder.name for folder in scratch.glob("song-*")) == sorted(others), (
        "nor does this machine know those of another"
    )


def test_a_new_link_takes_the_place_of_the_one_that_runs(app, youtube):
    app.link.value = "youtu.be/hhhhhhhhhhh"
    app.button.click()
    view = ask(app, "youtu.be/aaaaaaaaaaa")
    assert view["phase"] == "answer"
    assert len(app.session.rows) == 1


def upload(app, data, name, piece=1 << 20, stop_after=None):
    """Send a file as a browser does, piece by piece as it is asked for."""
    asked = []
    app.form.upload.send = lambda content, buffers=None: asked.append(content["from"])
    say = app.form.upload._handle_custom_msg
    say({"what": "begin", "name": name, "size": len(data), "id": "1"}, [])
    while asked:
        begin = asked.pop()
        if stop_after is not None and begin >= stop_after:
            return
        say({"what": "piece", "id": "1"}, [memoryview(data[begin : begin + piece])])


def test_a_file_comes_in_pieces_and_goes_after_its_answer(app, songs, scratch):
    upload(app, (songs / "other-a-deep-tone.mp3").read_bytes(), "../../etc/My <b>song</b>.mp3", piece=1000)
    assert app.done.wait(PATIENCE)
    assert app.stage.view["phase"] == "answer"
    assert app.session.rows[0].title == "../../etc/My <b>song</b>.mp3"
    assert "<b>song" not in app.table.value
    assert list(scratch.glob("song-*")) == []


@pytest.mark.parametrize("data", [b"", b"not a song at all" * 100])
def test_a_file_that_is_no_song(app, scratch, data):
    upload(app, data, "x.mp3")
    assert app.done.wait(PATIENCE)
    assert app.stage.view["sentence"].startswith(("This file is an empty file", "This file cannot be read"))
    assert list(scratch.glob("song-*")) == []


def test_a_silent_file_without_an_ending(app, scratch):
    upload(app, media.write(scratch / "silence.wav", np.zeros(32_000), 16_000).read_bytes(), "silence")
    assert app.done.wait(PATIENCE)
    assert app.stage.view["sentence"].endswith("choose a recording in which something can be heard.")


def test_an_upload_can_be_cancelled(app, songs, scratch):
    upload(app, (songs / "other-a-deep-tone.mp3").read_bytes(), "song.mp3", piece=1000, stop_after=3000)
    assert app.stage.view["step"].startswith("Reading the file")
    assert not app.done.is_set()
    assert "po-kept" in app.player_box._dom_classes, "the player has its place, so that what is below does not jump"
    app.cancel_button.click()
    assert "po-kept" not in app.player_box._dom_classes
    assert app.done.is_set()
    assert app.stage.view["phase"] == "idle"
    assert list(scratch.glob("song-*")) == []


def test_an_upload_for_which_there_is_no_room(app, songs, scratch):
    data = (songs / "other-a-deep-tone.mp3").read_bytes()
    upload(app, data, "song.mp3", piece=1000, stop_after=2000)
    (folder,) = scratch.glob("song-*")
    shutil.rmtree(folder)
    app.form.upload._handle_custom_msg({"what": "piece", "id": "1"}, [memoryview(data[2000:3000])])
    assert app.stage.view["phase"] == "error"
    assert "could not be stored" in app.stage.view["sentence"]
    assert app.done.is_set()


def test_a_file_that_the_browser_cannot_read(app, songs, scratch):
    upload(app, (songs / "other-a-deep-tone.mp3").read_bytes(), "song.mp3", piece=1000, stop_after=2000)
    app.form.upload._handle_custom_msg({"what": "lost", "id": "of another file"}, [])
    assert not app.done.is_set()
    app.form.upload._handle_custom_msg({"what": "lost", "id": "1"}, [])
    assert "cannot read this" in app.stage.view["sentence"]
    assert app.done.is_set()
    assert list(scratch.glob("song-*")) == []


def test_a_file_that_is_too_large_is_refused_before_it_comes(app, scratch):
    app.form.upload._handle_custom_msg({"what": "begin", "name": "a.wav", "size": 10**10, "id": "1"}, [])
    assert "larger than" in app.stage.view["sentence"]
    assert app.done.is_set()
    assert list(scratch.glob("song-*")) == []


def test_random_clips_vote_if_asked_to(app):
    assert (app.form.browser.label, app.form.n_clips.label) == ("none", "all"), "what is chosen can be read"
    assert app.form.choices() == {"n_clips": None, "browser": None, "cookies": ""}
    app.form.n_clips.value = 10
    app.form.samples[0].click()
    assert app.done.wait(PATIENCE)
    assert app.stage.view["phase"] == "answer"


def test_a_visitor_of_a_web_page_cannot_have_the_cookies_of_the_server(model, songs, scratch, monkeypatch):
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5")
    app = App(model, songs)
    app.form.browser.set_state({"index": 1})  # as a message to a widget that is not shown
    assert app.form.browser.value == "brave"
    assert app.form.choices()["browser"] is None
    app.close_all()


def test_without_a_model_the_app_says_so(tmp_path, songs):
    app = App(tmp_path / "none.npz", songs)
    app.form.samples[0].click()
    assert app.done.wait(PATIENCE)
    assert "network cannot be loaded" in app.stage.view["sentence"]
    app.close_all()


def test_an_app_made_again_replaces_the_first(app, model, songs):
    second = App(model, songs)
    assert app.comm is None
    assert second.comm is not None
    second.close_all()


def test_widgets_do_not_pile_up_from_song_to_song(app):
    counts = []
    for _ in range(4):
        app.form.samples[0].click()
        assert app.done.wait(PATIENCE)
        counts.append(len(ipywidgets_widget._instances))
    assert counts[1:] == counts[:1] * 3
    gc.collect()
    assert sum(isinstance(each, Player) for each in gc.get_objects()) == 1


def silent(step, done, total):
    """A progress callback that shows nothing."""


def test_the_copy_to_play_sounds_like_the_song(tmp_path):
    samples = np.round(20_000 * media.tone(2.5, rate=16_000, hertz=1000, level=1)).astype(np.int16)
    path = tmp_path / "copy.mp3"
    path.write_bytes(recording.encode(samples, silent))
    played = audio.load(path)
    assert len(played) == pytest.approx(len(samples), abs=3000)
    assert path.stat().st_size < len(samples) / 2
    assert np.argmax(np.abs(np.fft.rfft(played[8000:24000]))) == 1000, "the loudest frequency, in Hz"


def test_the_pictures_show_what_is_there():
    samples = np.concatenate([np.zeros(16_000), 0.5 * media.tone(1, rate=16_000, hertz=440, level=1)])
    samples = np.round(samples * 32767).astype(np.int16)
    heights = recording.peaks(samples)
    left, right = np.split(heights, 2)
    assert left.max() == 0
    assert right.min() > 200
    picture = np.asarray(Image.open(io.BytesIO(recording.spectrogram(samples, silent))), float).sum(axis=2)
    left, right = picture[:, : picture.shape[1] // 2 - 2], picture[:, picture.shape[1] // 2 + 2 :]
    assert picture.shape[0] == 128
    assert right.mean() > left.mean()
    assert 128 - right.mean(axis=1).argmax() == pytest.approx(128 * 6.6 / 45.2, abs=3), (
        "440 Hz on the mel scale, from below"
    )


def test_the_spectrogram_of_a_long_song_keeps_time_and_level():
    song = np.zeros(150 * 16_000, np.float32)
    for second, level in [(10, 0.5), (70, 0.5), (140, 0.005)]:
        song[second * 16_000 : (second + 1) * 16_000] = media.tone(1, rate=16_000, hertz=440, level=level)
    png = recording.spectrogram(np.round(32767 * song).astype(np.int16), silent)
    brightness = np.asarray(Image.open(io.BytesIO(png)), float).sum(axis=2).max(axis=0)
    first, second, soft = (brightness[round(at / 150 * len(brightness))] for at in (10.5, 70.5, 140.5))
    assert first == second == brightness.max()
    assert 0.3 * first < soft < 0.8 * first, "40 of 80 dB below"
    assert brightness[round(30 / 150 * len(brightness))] == brightness.min()


def test_a_recording_keeps_what_streams_by():
    heard, blocks = recording.Recording(), [np.full(16_000, 0.5, np.float32)] * 3
    assert len(list(heard.tap(iter(blocks)))) == len(list(heard.tap(iter(blocks)))) == 3
    assert heard.samples.shape == (48_000,)
    assert heard.samples[0] == 16384


def test_an_answer_says_so_where_vote_and_mean_probability_disagree(app):
    answers = {}
    for piano in (0.7, 0.3):
        mean, votes = {"Piano": piano, "Other": 1 - piano}, {"Piano": 3, "Other": 1}
        app.stage.answer(Recognition("a song", "A song", "Piano", piano, mean, votes, 4.0, None))
        answers[piano] = app.stage.view
    assert answers[0.7]["remarks"] == []
    (remark,) = answers[0.3]["remarks"]
    assert remark == "Borderline: the majority vote says Piano, the mean probability says Other."
    assert answers[0.3]["live"].endswith(remark)


def test_the_moving_picture_of_the_readme_is_small_enough_for_it():
    path = ROOT / "figures" / "demo.webp"
    assert path.stat().st_size < 3_000_000
    with Image.open(path) as picture:
        assert picture.width == 800
        assert picture.n_frames > 100


def test_no_probability_is_written_as_certain():
    written = {1: "> 99.9 %", 0.9996: "> 99.9 %", 0.999: "99.9 %", 0.973: "97.3 %", 0.001: "0.1 %", 0: "< 0.1 %"}
    assert {probability: percent(probability) for probability in written} == written


def test_lengths_are_written_as_on_a_clock():
    assert clock(7) == "0:07"
    assert clock(3723.9) == "1:02:03"


def test_a_session_without_songs_has_no_table():
    assert Session().to_html() == ""
