"""JupyterLab and Voila as a person meets them: real servers on a scratch copy, and Chromium through Playwright.

The user's own Jupyter is neither read nor written.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]
TOKEN = "a-token-of-the-tests"
# Present on a page that can be used. JupyterLab shows a notebook before its kernel: Run All would run nothing yet.
READY = {"voila": ".po-stage", "lab": '.jp-StatusBar-Item:has-text("| Idle")'}

# A canvas turns any notation of a colour into numbers, and lays translucent colours on those behind them.
CONTRAST = """(part) => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const paint = (...colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const [colour, opacity] of colours) {
      Object.assign(canvas, {fillStyle: colour, globalAlpha: opacity});
      canvas.fillRect(0, 0, 1, 1);
    }
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const linear = (value) => (value <= 10 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const low = [], texts = document.createTreeWalker(document.querySelector(part), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), node = texts.currentNode.parentElement;
    if (!text || !node.checkVisibility() || node.closest(":disabled, option, style, .po-live")) continue;
    const behind = [];
    let opacity = 1;
    for (let each = node; each; each = each.parentElement) {
      behind.unshift([getComputedStyle(each).backgroundColor, 1]);
      opacity *= getComputedStyle(each).opacity;
    }
    const style = getComputedStyle(node), size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const colours = [paint(...behind), paint(...behind, [style.color, opacity])];
    const [dark, light] = colours.map(luminance).sort((a, b) => a - b);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < (isLarge ? 3 : 4.5)) low.push([text, contrast]);
  }
  return low;
}"""


def find_browser():
    """The path of an installed Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium(*arguments):
    """A headless browser, started with further arguments, as Playwright's Browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=[*ARGUMENTS, *arguments])
        yield browser
        browser.close()


def scratch_copy(folder):
    """The notebook in a folder of its own, beside links to everything that it uses; JupyterLab saves what it opens."""
    (folder / "notebooks").mkdir(parents=True)
    shutil.copy(ROOT / "notebooks" / "08_demo.ipynb", folder / "notebooks")
    for name in ("nn", "pipeline", "data", "figures"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@contextmanager
def server(kind, folder, environment):
    """A running "lab" or "voila" on the scratch copy in `folder`; yields the address of the demo."""
    port, home = _free_port(), folder / f"home-{kind}"
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    environment = environment | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "TMPDIR": str(home),
        "OMP_NUM_THREADS": "1",
        "SERVER_SOFTWARE": "",
    }
    if kind == "lab":
        command = [
            "-m",
            "jupyter",
            "lab",
            "--no-browser",
            "--allow-root",
            f"--ServerApp.port={port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={folder}",
            f"--IdentityProvider.token={TOKEN}",
        ]
        address = f"http://127.0.0.1:{port}/lab/tree/notebooks/08_demo.ipynb?token={TOKEN}"
    else:
        command = [*voila_command()[1:], f"--port={port}", "--no-browser"]
        address = f"http://127.0.0.1:{port}/"
    with open(home / "log.txt", "w") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _await(process, port, home / "log.txt")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def evidence(page, picture, log):
    """What a failed test reports of its page: a screenshot in a file, the end of its text and of its server's log."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=picture)
    text = page.locator("body").inner_text()
    return f"The page: {picture}\nIts text ends: {text[-800:]}\nThe log of its server ends: {log.read_text()[-3000:]}"


def submit(page, link):
    """Fill in a link and click on Submit."""
    page.get_by_label("Link of a song").fill(link)
    page.get_by_role("button", name="Submit").click()


def answer(page, label, title):
    """Wait for the answer to the song with this title, and for its player."""
    page.locator(
        f'.po-stage[data-phase="answer"]:has(.po-label:text-is("{label}")):has(.po-title:has-text("{title}"))'
    ).wait_for()
    page.locator(".po-player").wait_for()


def is_playing(page, label):
    """Wait until the animation of a label moves."""
    video = f'document.querySelector(`.po-half[data-name="{label}"] video`)'
    page.wait_for_function(f"{video}.currentTime > 0 && !{video}.paused")
    before = page.evaluate(f"{video}.currentTime")
    page.wait_for_function(f"{video}.currentTime != {before}")


def comes_to_rest(page):
    """Wait until nothing fades or moves any more, the videos aside."""
    animations = "document.querySelector('.po-app').getAnimations({subtree: true})"
    page.wait_for_function(f"!{animations}.some((each) => each.playState === 'running')")


def unreadable(page, part=".po-app"):
    """The texts in a part of the page with a contrast below WCAG's 4.5, or 3 if large: a list of (text, contrast)."""
    return page.evaluate(CONTRAST, part)


def tab_to(page, selector):
    """Press Tab until this control has the focus."""
    for _ in range(60):
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"The keyboard does not reach {selector}")


def voila_command():
    """What `make app` runs, read from the Makefile, so that the tests meet what a person meets."""
    line = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "-m voila" in line)
    return shlex.split(line.replace("$(RUN)", "python").replace("$(ARGS)", ""))


def temporary_songs(folder):
    """The songs that the kernels of the servers in `folder` have left in their temporary folders."""
    return [path for home in folder.glob("home-*") for path in home.glob("song-*")]


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _await(process, port, log):
    """Wait until the server answers."""
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/static/favicon.ico", timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"The server did not start:\n{log.read_text()[-3000:]}")
