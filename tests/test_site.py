"""The web page, built, served from a sub-path and used in Chromium: it answers as Python does."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import browser
import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from pipeline.app import recording
from pipeline.app.stage import Stage
from pipeline.errors import AudioError
from pipeline.song.audio import load
from pipeline.song.cleaning import cut
from pipeline.song.recognition import Recognition, Recognizer, levels, pooled

pytestmark = pytest.mark.xdist_group("site")

SAMPLES = browser.ROOT / "data" / "samples"
PATIENCE = 60_000  # ms until a state is given up; a machine may be busy

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser whose microphone hears seven seconds of piano, then seven of applause, and again."""
    path = tmp_path_factory.mktemp("heard") / "heard.wav"
    songs = [load(SAMPLES / name)[:112_000] for name in ("piano-satie-gymnopedie.m4a", "other-applause.wav")]
    soundfile.write(path, np.concatenate(songs), 16_000)
    arguments = "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={path}"
    with browser.chromium(*arguments) as chromium:
        yield chromium


@contextmanager
def opened(chromium, site, name="demo.html", permissions=(), **options):
    """A page of the site; at the end, nothing went wrong in it, and no request left the server."""
    context = chromium.new_context(**{"viewport": {"width": 1100, "height": 900}} | options)
    context.set_default_timeout(PATIENCE)
    context.grant_permissions(permissions)  # no other is given
    page, wrong, asked = context.new_page(), [], []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    context.on("request", lambda request: asked.append(request.url))
    page.goto(site + name)
    yield page
    assert wrong == []
    origin = site.removesuffix("sub/path/")
    assert [url for url in asked if not url.startswith((site, "data:", f"blob:{origin}"))] == []
    context.close()


@pytest.fixture(scope="module")
def page(chromium, site):
    """One demo page for many tests, in which nothing moves."""
    with opened(chromium, site, reduced_motion="reduce") as page:
        yield page


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer()


@pytest.fixture(scope="module")
def module(chromium, site):
    """A function that evaluates an expression with the functions of one of the site's modules, `m`, in the browser."""
    with opened(chromium, site, "index.html") as page:

        def call(name, expression, **values):
            return page.evaluate(
                f"async (values) => {{ const m = await import('{site}{name}'); return {expression}; }}", values
            )

        yield call


def choose(page, path):
    page.locator(".po-file input").set_input_files(path)


def answer(page, title):
    """What the page answers for a song: (label, confidence in per cent, votes)."""
    page.locator(f'.po-stage[data-phase="answer"]:has(.po-title:has-text("{title}"))').wait_for()
    label, facts = page.locator(".po-label").inner_text(), page.locator(".po-facts").inner_text()
    return label, float(facts.split("%")[0].strip("<> ")), facts.splitlines()[1]


def made_file(folder, kind, seconds, rate, n_channels, gain):
    """A wav file cut from a sample song, at another rate and level."""
    import librosa

    song = (
        SAMPLES
        / {"piano": "piano-improvised.flac", "speech": "other-speech.opus", "applause": "other-applause.wav"}[kind]
    )
    samples = load(song)[: round(seconds * 16_000)] * gain
    samples = librosa.resample(samples, orig_sr=16_000, target_sr=rate)
    path = folder / f"{kind}-{seconds}-{rate}-{n_channels}-{gain}.wav"
    soundfile.write(path, np.stack([samples] * n_channels, axis=1), rate, subtype="FLOAT")
    return path


def test_every_sample_song_gets_the_label_that_python_gives(page, recognizer):
    for recognition in recognizer.recognize_each([str(SAMPLES)]):
        choose(page, recognition.source)
        label, confidence, _ = answer(page, recognition.title)
        assert label == recognition.label, recognition.title
        assert abs(confidence / 100 - recognition.confidence) < 0.01, recognition.title


@pytest.mark.parametrize(
    ("kind", "seconds", "rate", "n_channels", "gain"),
    [
        ("piano", 6, 44_100, 2, 1),
        ("piano", 3.6, 48_000, 1, 0.01),
        ("piano", 0.7, 16_000, 1, 1),
        ("speech", 5.5, 22_050, 1, 1),
        ("speech", 4, 96_000, 2, 0.05),
        ("applause", 2.4, 32_000, 1, 0.5),
    ],
)
def test_made_files(page, recognizer, tmp_path, kind, seconds, rate, n_channels, gain):
    path = made_file(tmp_path, kind, seconds, rate, n_channels, gain)
    expected = recognizer.recognize(str(path))
    choose(page, path)
    label, confidence, votes = answer(page, path.name)
    assert label == expected.label
    assert abs(confidence / 100 - expected.confidence) < 0.01
    assert votes.startswith(f"{expected.votes[label]} of {sum(expected.votes.values())} second")


def test_cleaning_is_that_of_python(module):
    rng = np.random.default_rng(0)
    songs = [np.zeros(4000), np.zeros(20_000), rng.normal(0, 0.1, 5000), rng.normal(0, 0.1, 40_000)]
    songs += [rng.normal(0, 0.001, 30_000), np.where(np.arange(16_000) == 9000, 0.1, 0)]
    gaps = rng.normal(0, 0.1, 72_000)
    gaps[20_000:47_000] = 0
    gaps[60_000:60_900] = 0
    songs.append(gaps)
    for song in songs:
        song = song.astype(np.float32)
        try:
            clips = cut([song])
            expected = [clip.samples for clip in clips], clips.timeline().tolist()
        except AudioError as error:
            expected = str(error)
        found = module(
            "cleaning.js",
            "(() => { try { const c = m.cut(Float32Array.from(values.song)); "
            "return [[...c.clips], c.timeline]; } catch (error) { return error.message; } })()",
            song=song.tolist(),
        )
        if isinstance(expected, str):
            assert found == expected
        else:
            np.testing.assert_array_equal(np.float32(found[0]), np.concatenate(expected[0]))
            assert found[1] == expected[1]


def test_pooling_is_that_of_python(module):
    rng = np.random.default_rng(1)
    rows = rng.dirichlet([0.3, 0.3, 0.3], 20)
    rows[0] = [1, 0, 0]
    clips = rng.normal(0, 0.1, (20, 16)).astype(np.float32)
    found = module(
        "recognition.js",
        "m.pooled(values.rows, values.clips.map((clip) => m.level(clip)))",
        rows=rows.tolist(),
        clips=clips.tolist(),
    )
    np.testing.assert_allclose(found, pooled(rows, levels(clips)), rtol=1e-6)


def test_the_words_are_those_of_the_app(module):
    for votes, mean, seconds in [((1, 0), (0.9995, 0.0005), 1), ((1200, 900), (0.4, 0.6), 3700)]:
        recognition = Recognition(
            "s",
            "A song",
            "Piano",
            mean[0],
            dict(zip(("Piano", "Other"), mean)),
            dict(zip(("Piano", "Other"), votes)),
            seconds,
            [],
        )
        stage = Stage(None)
        stage.answer(recognition)
        found = module(
            "views.js", "m.answered(values.answer, values.title)", answer=recognition.to_dict(), title="A song"
        )
        assert found == stage.view
        stage.working("listening", 12, 40, "A song")
        assert module("views.js", "m.working('Listening', 12, 40, 'A song')") == stage.view
        stage.failure("It is broken.", "A song")
        assert module("views.js", "m.failure('It is broken.', 'A song')") == stage.view


def test_the_pictures_are_those_of_the_app(module, site):
    samples = np.round(load(SAMPLES / "piano-improvised.flac")[:48_000] * 32767).astype(np.int16)
    found = module("spectrogram.js", "[...m.peaks(Float32Array.from(values.samples))]", samples=samples.tolist())
    assert np.abs(np.int16(found) - recording.peaks(samples)).max() <= 1
    png = module(
        "spectrogram.js",
        f"""await (async () => {{
          const model = await (await fetch('{site}model.json')).json();
          const filters = new Float32Array(await (await fetch('{site}mel.bin')).arrayBuffer());
          const columns = m.spectrogram(Float32Array.from(values.samples), model.features, filters);
          return [...new Uint8Array(await (await m.draw(columns, model.colours)).arrayBuffer())];
        }})()""",
        samples=(samples / 32768).tolist(),
    )
    ours, theirs = pixels(bytes(png)), pixels(recording.spectrogram(samples, lambda *_: None))
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).mean() < 1


def pixels(png):
    """The colours of a PNG: int (height, width, 3)."""
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_a_sample_plays_its_animation_and_its_sound(chromium, site):
    with opened(chromium, site, bypass_csp=True) as page:  # Playwright waits for functions with eval
        page.get_by_role("button", name="♪ Gymnopédie", exact=True).click()
        browser.answer(page, "Piano", "Gymnopédie")
        browser.is_playing(page, "Piano")
        page.get_by_role("button", name="Play the song").click()
        page.wait_for_function("document.querySelector('.po-player audio').currentTime > 0.5")
        page.get_by_role("button", name="♪ Applause").click()
        browser.answer(page, "Other", "Applause")
        browser.is_playing(page, "Other")
        assert page.locator(".po-player").count() == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "This is an empty file; fetch or copy it again."),
        (b"no sound at all " * 100, "This browser finds no sound in this file"),
        ("silent", "There is only silence; choose a recording"),
        ("short", "There are only 0.20 s of sound"),
    ],
)
def test_what_cannot_be_judged_gets_one_sentence(page, tmp_path, content, sentence):
    path = tmp_path / "song.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        soundfile.write(path, np.full(3200, 0.5) if content == "short" else np.zeros(32_000), 16_000)
    choose(page, path)
    expect(page.locator(".po-sentence")).to_contain_text(sentence)
    page.get_by_role("button", name="♪ Applause").click()
    browser.answer(page, "Other", "Applause")


def test_the_live_label_does_not_flicker(module):
    rows = [[0.9, 0.1], None, [0.9, 0.1], *[[0.4, 0.6], [0.6, 0.4]] * 5, *[[0.1, 0.9]] * 4, *[None] * 5]
    found = module(
        "smoothing.js",
        "(() => { const s = new m.Smoother(); "
        "return values.rows.map((row) => s.add(row && { row, weight: 1 }).best); })()",
        rows=rows,
    )
    changes = [(i, now) for i, (before, now) in enumerate(zip([-1, *found], found)) if before != now]
    assert [now for _, now in changes] == [0, 1, -1], "piano, other, silence"
    assert changes[0][0] == 2, "two seconds of sound decide"
    assert changes[1][0] in (13, 14)


def test_the_microphone(chromium, site):
    with opened(chromium, site, permissions=["microphone"], reduced_motion="reduce") as page:
        page.get_by_role("button", name="Listen live").click()
        live = '.po-stage[data-phase="live"] .po-label'
        page.locator(f'{live}:text-is("Piano")').wait_for()
        seconds = page.locator(".po-detail").first.inner_text()
        assert seconds.startswith(("0:02", "0:03")), "it is heard within three seconds"
        assert page.locator('.po-screen[data-show="Piano"]').count() == 1
        page.locator(f'{live}:text-is("Other")').wait_for()
        assert page.locator(".po-rows path[data-name='Piano']").get_attribute("d").count("M") >= 3
        page.get_by_role("button", name="Stop").click()
        label, _, votes = answer(page, "From the microphone")
        page.locator(".po-player .po-play").wait_for()
        assert label in votes
        expect(page.get_by_role("button", name="Listen live")).to_be_visible()


def test_a_microphone_that_is_refused(page):
    page.get_by_role("button", name="Listen live").click()
    expect(page.locator(".po-sentence")).to_contain_text("microphone")
    page.get_by_role("button", name="♪ Applause").click()
    browser.answer(page, "Other", "Applause")


def test_keyboard_only_in_a_narrow_window_without_motion(chromium, site):
    options = {"viewport": {"width": 360, "height": 640}, "reduced_motion": "reduce", "color_scheme": "dark"}
    with opened(chromium, site, **options) as page:
        first = "[data-place='samples'] button:first-child"
        page.locator(first).wait_for()
        for control in (".po-file input", ".po-microphone", first):
            browser.tab_to(page, control)
        page.keyboard.press("Enter")
        browser.answer(page, "Other", "Applause")
        assert page.get_by_role("status").inner_text().startswith("Other, with a confidence of")
        assert page.evaluate("[...document.querySelectorAll('.po-half video')].every((video) => video.paused)")
        browser.tab_to(page, "[aria-label='Position in the song']")
        page.keyboard.press("ArrowRight")
        assert page.get_by_label("Position in the song").get_attribute("aria-valuetext").startswith("0:01 of 0:10, ")
        for name in ("demo.html", "index.html"):
            page.goto(site + name)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 360, f"{name} is {width} pixels wide"


def test_every_text_can_be_read_in_light_and_in_the_dark(page, tmp_path):
    empty = tmp_path / "empty.wav"
    empty.touch()
    for path in (SAMPLES / "other-applause.wav", empty):
        choose(page, path)
        page.locator('.po-stage:is([data-phase="answer"], [data-phase="error"])').wait_for()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert browser.unreadable(page) == []
            assert browser.unreadable(page, "body") == []


def test_a_link_gets_the_command_that_can_fetch_it(page):
    page.evaluate(
        """() => {
          const clipboardData = new DataTransfer();
          clipboardData.setData("text", "https://youtu.be/abcdefghijk");
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
        }"""
    )
    expect(page.locator(".po-sentence")).to_contain_text('python -m pipeline label "https://youtu.be/abcdefghijk"')


def test_a_dropped_file_and_one_chosen_at_once_afterwards(page):
    page.evaluate(
        """async () => {
          const dataTransfer = new DataTransfer();
          const response = await fetch("samples/other-speech.opus");
          dataTransfer.items.add(new File([await response.blob()], "dropped.opus"));
          const target = document.querySelector(".po-stage");
          target.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }"""
    )
    assert answer(page, "dropped.opus")[0] == "Other"
    page.get_by_role("button", name="♪ Bethena, ensemble").click()
    page.get_by_role("button", name="♪ Applause").click()
    assert answer(page, "Applause")[2] == "10 of 10 seconds voted Other"


def test_a_model_of_ones_own_with_many_classes(site, tmp_path):
    from nn import Dense, Flatten, MelSpectrogram, Model, Softmax

    names = ["Piano", "Guitar", "Drums"]
    Model([MelSpectrogram(n_mels=8), Flatten(), Dense(3), Softmax()], (16_000,), names).save(tmp_path / "own.npz")
    command = [sys.executable, "site/build.py", "--folder", tmp_path / "own", "--model", tmp_path / "own.npz"]
    subprocess.run(command, cwd=browser.ROOT, env=os.environ | {"PYTHONPATH": "."}, check=True)
    assert json.loads((tmp_path / "own" / "app.json").read_text())["names"] == names
