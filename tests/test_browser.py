"""The demo in a real browser: JupyterLab and Voila, the released model, the sample songs, the real yt-dlp.

YouTube is a loopback server. A screenshot of each page that fails a test goes to figures/generated.
"""

from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import browser
import pytest
from playwright.sync_api import expect
from youtube import LoopbackYouTube, Video

pytestmark = pytest.mark.xdist_group("browser")  # one set of servers, where the suite runs in several processes

SAMPLES = browser.ROOT / "data" / "samples"
PATIENCE = 90_000  # ms until a state is given up; a machine may be busy
HOSTILE = "<img src=x onerror='window.hacked = 1'>"
# What anywidget says when a script needs more than two seconds to load; the demo must work all the same.
TOO_BUSY = "[anywidget] Failed to initialize model."

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def youtube():
    piano, speech = SAMPLES / "piano-satie-gymnopedie.m4a", SAMPLES / "other-speech.opus"
    videos = {
        "piano000001": Video(piano, title="Satie: Gymnopédie No. 1"),
        "ensemble001": Video(SAMPLES / "other-ensemble-with-piano.mp3", title="An ensemble with a piano in it"),
        "speech00001": Video(speech, title="Somebody speaks"),
        "hostile0001": Video(speech, title=HOSTILE),
        "private0001": "private",
        "stall000001": Video(piano, how="stall"),
    }
    with LoopbackYouTube(videos, {"PLplaylist01": ["hostile0001", "private0001", "piano000001"]}) as server:
        yield server


@pytest.fixture(scope="module")
def servers(youtube, tmp_path_factory):
    """A function from "lab" or "voila" to (address, scratch folder); each is started when first asked for."""
    with ExitStack() as stack:
        started = {}

        def start(kind):
            if kind not in started:
                folder = browser.scratch_copy(tmp_path_factory.mktemp(kind) / "copy")
                started[kind] = stack.enter_context(browser.server(kind, folder, youtube.environment)), folder
            return started[kind]

        yield start


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as chromium:
        yield chromium


@pytest.fixture
def visit(servers, chromium, request):
    """A function that opens the demo in "lab" or "voila" as another person would: `with visit("voila") as page`."""

    @contextmanager
    def visit(kind, width=1000, height=1250, script="", **options):
        address, folder = servers(kind)
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(script)
        page, errors, outside = context.new_page(), [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("requestfailed", lambda request: _is_outside(request.url) and outside.append(request.failure))
        page.on("response", lambda response: _is_outside(response.url) and outside.append(response.url))
        try:
            page.goto(address)
            page.locator(browser.READY[kind]).wait_for()
            yield page
            assert page.evaluate("window.hacked") is None
            assert set(errors) <= {TOO_BUSY}
            assert set(outside) <= {"csp"}, "the page waits for nobody on the web"
        except Exception as error:
            picture = (
                browser.ROOT / "figures" / "generated" / f"failed-{request.node.name}-{len(chromium.contexts)}.png"
            )
            error.add_note(browser.evidence(page, picture, folder / f"home-{kind}" / "log.txt"))
            raise
        finally:
            context.close()

    return visit


def _is_outside(address):
    return urlsplit(address).scheme in ("http", "https") and urlsplit(address).hostname not in (
        "127.0.0.1",
        "localhost",
    )


def comes_into_sight(page, selector):
    """Wait until an element is within the window, without scrolling."""
    expect(page.locator(selector)).to_be_in_viewport(ratio=0.99)


def test_use_case_1_a_valid_link_of_a_piano_song(visit):
    with visit("voila") as page:
        browser.submit(page, "youtu.be/piano000001")
        browser.answer(page, "Piano", "Satie")
        browser.is_playing(page, "Piano")
        page.get_by_role("button", name="Play the song").click()
        page.wait_for_function("document.querySelector('.po-player audio').currentTime > 0.5")
        page.wait_for_function("parseFloat(document.querySelector('.po-head').style.left) > 1")


def test_use_case_2_an_invalid_link(visit):
    with visit("voila") as page:
        browser.submit(page, "https://vimeo.com/123")
        page.get_by_text("only links of YouTube work").first.wait_for()
        assert page.locator(".po-player, .po-session table").count() == 0
        browser.submit(page, "youtu.be/speech00001")
        browser.answer(page, "Other", "Somebody speaks")
        browser.is_playing(page, "Other")


def test_use_case_3_a_confusing_song(visit):
    with visit("voila") as page:
        browser.submit(page, "https://www.youtube.com/watch?v=ensemble001")
        browser.answer(page, "Other", "An ensemble with a piano in it")
        browser.is_playing(page, "Other")


def test_cancel_in_the_middle_then_two_songs_in_a_row(visit, servers):
    with visit("voila") as page:
        browser.submit(page, "youtu.be/stall000001")
        page.get_by_text("Downloading").first.wait_for()
        page.get_by_role("button", name="Cancel").click()
        page.locator('.po-stage[data-phase="idle"]').wait_for()
        assert page.evaluate("document.activeElement.tagName") == "INPUT", (
            "the keyboard is back where the next link goes"
        )
        browser.submit(page, "youtu.be/hostile0001")
        browser.answer(page, "Other", "window.hacked")
        browser.submit(page, "youtu.be/piano000001")
        browser.answer(page, "Piano", "Satie")
        browser.is_playing(page, "Piano")
        assert page.locator(".po-session tbody tr").count() == 2
        assert page.evaluate("document.querySelector('.po-half[data-name=\"Other\"] video').paused")
        assert browser.temporary_songs(servers("voila")[1]) == []


def test_a_file_of_ones_own_and_a_playlist_with_a_failing_entry(visit, servers, tmp_path):
    with visit("voila") as page:
        own = tmp_path / f"{HOSTILE.replace('/', '')}.opus"
        own.write_bytes((SAMPLES / "other-speech.opus").read_bytes())
        page.locator(".po-file input").set_input_files(own)
        browser.answer(page, "Other", "window.hacked")
        browser.submit(page, "https://www.youtube.com/playlist?list=PLplaylist01")
        page.get_by_text("3 songs: 1 Piano, 1 Other, 1 without an answer").first.wait_for()
        rows = page.locator(".po-session tbody tr")
        assert rows.count() == 4
        assert "private" in rows.nth(2).inner_text()
        with page.expect_download() as download:
            page.get_by_text("Save as CSV").click()
        assert download.value.suggested_filename == "piano-or-other.csv"
        lines = Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()
        assert len(lines) == 5
        assert ",Piano," in lines[4]
        assert ",private," in lines[3]
        page.evaluate(
            "() => { Blob.prototype.arrayBuffer = () => Promise.reject(); }"
        )  # as of a folder, or of a file that has gone
        page.locator(".po-file input").set_input_files(own)
        page.get_by_text("The browser cannot read this").first.wait_for()
        assert browser.temporary_songs(servers("voila")[1]) == []


def test_keyboard_only_in_a_narrow_window_without_motion(visit):
    with visit("voila", width=360, height=560, reduced_motion="reduce", color_scheme="dark") as page:
        assert page.evaluate(
            "document.querySelector('.po-app').scrollWidth <= document.querySelector('.po-app').clientWidth"
        )
        browser.tab_to(page, ".po-link input")
        page.keyboard.type("youtu.be/piano000001")
        page.keyboard.press("Enter")
        browser.answer(page, "Piano", "Satie")
        comes_into_sight(page, ".po-label")
        assert page.evaluate(
            "document.querySelector('.po-app').scrollWidth <= document.querySelector('.po-app').clientWidth"
        )
        assert page.get_by_role("status").inner_text().startswith("Piano, with a confidence of")
        assert page.evaluate("[...document.querySelectorAll('.po-half video')].every((video) => video.paused)")
        browser.tab_to(page, "[aria-label='Play animation']")
        page.keyboard.press("Enter")
        browser.is_playing(page, "Piano")
        browser.tab_to(page, "[aria-label='Position in the song']")
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        slider = page.get_by_label("Position in the song")
        assert slider.get_attribute("aria-valuetext").startswith("0:03 of 0:30, ")
        page.keyboard.press("Space")
        page.wait_for_function("document.querySelector('.po-player audio').currentTime > 3.2")


def test_every_text_can_be_read_in_light_and_in_the_dark(visit):
    def unreadable():
        found = []
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            browser.comes_to_rest(page)
            found += browser.unreadable(page)
        return found

    with visit("voila") as page:
        page.get_by_role("button", name="Sign-in and options").click()
        for link, words in [
            ("hello", "This is not a link"),
            ("https://www.youtube.com/playlist?list=PLplaylist01", "3 songs: "),
        ]:
            browser.submit(page, link)
            page.get_by_text(words).first.wait_for()
            assert unreadable() == []
        browser.submit(page, "youtu.be/speech00001")
        browser.answer(page, "Other", "Somebody speaks")
        assert unreadable() == []
        page.evaluate("document.querySelector('.po-app').style.setProperty('--po-soft', '#888')")
        assert unreadable() != [], "what is too faint is found"


def test_two_people_at_once(visit):
    with visit("voila") as one, visit("voila") as other:
        browser.submit(one, "youtu.be/piano000001")
        browser.submit(other, "youtu.be/speech00001")
        browser.answer(one, "Piano", "Satie")
        browser.answer(other, "Other", "Somebody speaks")
        assert one.locator(".po-session tbody tr").count() == other.locator(".po-session tbody tr").count() == 1


def test_a_browser_too_busy_for_anywidget(visit):
    at_once = """
      const timeout = AbortSignal.timeout;
      AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms === 2000 ? 0 : ms);
    """
    with visit("voila", script=at_once) as page:
        with page.expect_event("pageerror", lambda error: str(error) == TOO_BUSY):
            page.locator(".po-file input").set_input_files(SAMPLES / "other-speech.opus")
        browser.answer(page, "Other", "other-speech.opus")
        browser.is_playing(page, "Other")


def test_in_jupyterlab(visit, servers):
    with visit("lab", width=1280, height=800) as page:
        for _ in range(2):  # running everything again must be harmless
            _run_all(page)
        expect(page.locator(".po-app")).to_have_count(1)
        comes_into_sight(page, ".po-link input")  # Run All leads to the app
        comes_into_sight(page, ".po-submit")
        browser.submit(page, "youtu.be/piano000001")
        browser.answer(page, "Piano", "Satie")
        comes_into_sight(page, ".po-label")
        browser.is_playing(page, "Piano")
        browser.submit(page, "hello")
        page.get_by_text("This is not a link").first.wait_for()
        page.get_by_role("button", name="♪ Speech").click()
        browser.answer(page, "Other", "Speech")
        browser.is_playing(page, "Other")
        page.locator(".po-app").scroll_into_view_if_needed()
        _restart_kernel(page)
        browser.submit(page, "youtu.be/piano000001")
        expect(page.locator(".po-sentence")).to_contain_text("has ended; run the cell again")
        expect(page.locator(".po-live")).to_contain_text("has ended; run the cell again")
        page.locator(browser.READY["lab"]).wait_for()
        _run_all(page)
        browser.submit(page, "youtu.be/piano000001")
        browser.answer(page, "Piano", "Satie")
    assert browser.temporary_songs(servers("lab")[1]) == []


def test_a_kernel_that_does_not_answer(visit):
    with visit("voila") as page:
        page.evaluate("WebSocket.prototype.send = () => {}")
        browser.submit(page, "youtu.be/piano000001")
        expect(page.locator(".po-sentence")).to_contain_text("does not answer")


def _run_all(page):
    before = page.locator(".po-stage").element_handles()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu").get_by_text("Run All Cells", exact=True).click()
    for stage in before:
        page.wait_for_function("(stage) => !stage.isConnected", arg=stage)
    page.locator(".po-stage").wait_for()


def _restart_kernel(page):
    """Through the menu, until the page has lost its kernel."""
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_text("Restart Kernel…", exact=True).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.locator(".po-link.jupyter-widgets-disconnected").wait_for()
