"""The pictures of the demo, figures 3.13 to 3.15, 4.1 to 4.3 and demo.webp: `.venv/bin/python tests/screenshots.py`.

They show the real app, in Voila and Chromium; the tests' own YouTube serves the links. For the moving picture, the page
stands still and is moved on from frame to frame, so that a slow machine films as smoothly as a fast one.
"""

import argparse
import io
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import browser
from PIL import Image
from youtube import LoopbackYouTube, Video

SAMPLES = browser.ROOT / "data" / "samples"
VIDEOS = {
    "piano000001": Video(SAMPLES / "piano-satie-gymnopedie.m4a", title="Satie: Gymnopédie No. 1"),
    "ensemble001": Video(SAMPLES / "other-ensemble-with-piano.mp3", title="An ensemble with a piano in it"),
    "speech00001": Video(SAMPLES / "other-speech.opus", title="Somebody speaks"),
    "Gymnopedie1": Video(SAMPLES / "piano-satie-gymnopedie.m4a", how="slow", title="Satie: Gymnopédie No. 1"),
    "OnTheGuitar": Video(SAMPLES / "other-guitar-gymnopedie.m4a", how="slow", title="Gymnopédie No. 1, guitar"),
}
LARGEST = 600_000  # bytes of a screenshot, where possible
WIDTH = 800  # pixels of the moving picture
FRAME = 0.08  # seconds
QUALITY = 84  # of 100, where the frames are photographs

# Nothing on the page moves by itself; `tick` sets animations, videos and the song on by some milliseconds.
CLOCK = """
const times = new Map();
function hold() {
  for (const each of document.getAnimations()) {
    if (times.has(each)) continue;
    each.pause();
    times.set(each, 0);
    each.currentTime = 0;
  }
  for (const each of document.querySelectorAll("video, audio")) each.playbackRate = 0;
  requestAnimationFrame(hold);
}
hold();
window.tick = (ms) => {
  for (const [each, time] of times) {
    const isOver = time + ms >= each.effect.getComputedTiming().endTime;
    if (isOver && each.playState !== "idle") each.finish();
    if (isOver || each.playState === "idle") times.delete(each);
    else times.set(each, (each.currentTime = time + ms));
  }
  const playing = [...document.querySelectorAll("video, audio")].filter((each) => !each.paused && each.duration);
  return Promise.all(playing.map((each) => new Promise((resolve) => {
    each.addEventListener("seeked", () => requestAnimationFrame(resolve), { once: true });
    each.currentTime = (each.currentTime + ms / 1000) % each.duration;
  })));
};
window.point = (x, y) => {
  let arrow = document.querySelector("#pointer");
  if (!arrow) {
    arrow = document.createElement("div");
    arrow.id = "pointer";
    arrow.style = "position: fixed; z-index: 99999; pointer-events: none; left: 0; top: 0";
    arrow.innerHTML = `<svg width="26" height="26" viewBox="0 0 26 26">
      <path d="M2 1v19l5-4.5 3.4 7.6 3.6-1.6-3.4-7.4H17z" fill="#111" stroke="#fff" stroke-width="1.6"/></svg>`;
    document.body.append(arrow);
  }
  arrow.style.transform = `translate(${x - 2}px, ${y - 1}px)`;
};
"""


class Film:
    """Frames of the app on a page, and a pointer that shows where the mouse is."""

    def __init__(self, page, height):
        self.page, self.frames = page, []
        self.clip = page.locator(".po-app").bounding_box() | {"height": height}
        self.pointer = (self.clip["x"] + 620, self.clip["y"] + 560)
        self._place(self.pointer)

    def shoot(self):
        """Take one frame."""
        self.page.evaluate("(ms) => tick(ms)", 1000 * FRAME)
        picture = Image.open(io.BytesIO(self.page.screenshot(clip=self.clip))).convert("RGB")
        self.frames.append(picture.crop((0, 0, WIDTH, int(self.clip["height"] * WIDTH / self.clip["width"]))))

    def run(self, seconds):
        """Film for so long."""
        for _ in range(round(seconds / FRAME)):
            self.shoot()

    def run_until(self, selector, seconds):
        """Film until an element is there, and keep as many of the frames as fill the seconds."""
        taken, self.frames = self.frames, []
        while not self.page.locator(selector).count():
            self.shoot()
        n_frames = min(len(self.frames), round(seconds / FRAME))
        self.frames = taken + [self.frames[i * len(self.frames) // n_frames] for i in range(n_frames)]

    def move(self, locator, seconds, across=0.5):
        """Move the pointer to an element, slower at both ends."""
        box = locator.bounding_box()
        (x, y), end = self.pointer, (box["x"] + across * box["width"], box["y"] + box["height"] / 2)
        n_frames = round(seconds / FRAME)
        for i in range(1, n_frames + 1):
            share = (i / n_frames) ** 2 * (3 - 2 * i / n_frames)
            self._place((x + share * (end[0] - x), y + share * (end[1] - y)))
            self.shoot()

    def _place(self, point):
        self.pointer = point
        self.page.mouse.move(*point)
        self.page.evaluate("([x, y]) => point(x, y)", list(point))

    def save(self, path):
        """Write an animated WebP that begins anew at its end."""
        first, *others = self.frames
        options = {"quality": QUALITY, "method": 4, "allow_mixed": True, "kmin": 9, "kmax": 25}
        first.save(path, save_all=True, append_images=others, duration=round(1000 * FRAME), loop=0, **options)
        print(f"{path}: {len(self.frames) * FRAME:.1f} s, {path.stat().st_size:,} bytes")


@contextmanager
def demo_page(chromium, address, width=1000, height=1600, scale=2, script=""):
    """The demo in a new window, ready to be used."""
    with chromium.new_context(viewport={"width": width, "height": height}, device_scale_factor=scale) as context:
        context.add_init_script(script)
        page = context.new_page()
        page.goto(address)
        page.locator(browser.READY["voila"]).wait_for()
        yield page


def screenshots(chromium, address, folder):
    """Figures 3.13 to 3.15 and 4.1 to 4.3: the start, the three use cases of the thesis, and what follows on them."""

    def save(page, name, last):
        """The app down to the element `last`. A file becomes half as large without the lowest two or three bits."""
        browser.comes_to_rest(page)
        box, end = (page.locator(selector).bounding_box() for selector in (".po-app", last))
        clip = box | {"height": min(end["y"] + end["height"] + 8 - box["y"], box["height"])}
        picture = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
        path = folder / f"{name}.png"
        for lowest in (0b11, 0b111):
            picture.point([value | lowest for value in range(256)] * 3).save(path, optimize=True)
            if path.stat().st_size < LARGEST:
                break
        print(f"{path}: {path.stat().st_size:,} bytes")

    with demo_page(chromium, address) as page:
        save(page, "figure-3.13-app-start", ".po-stage")
        browser.submit(page, "https://vimeo.com/123")
        page.get_by_text("only links of YouTube work").first.wait_for()
        save(page, "figure-4.2-invalid-link", ".po-stage")
        browser.submit(page, "https://www.youtube.com/watch?v=piano000001")
        browser.answer(page, "Piano", "Satie")
        browser.is_playing(page, "Piano")
        save(page, "figure-4.1-valid-link", ".po-stage")
        page.get_by_role("button", name="Play the song").click()
        page.wait_for_function("document.querySelector('.po-player audio').currentTime > 7")
        save(page, "figure-3.14-app-piano", ".po-session")
    for name, video_id, title, last in [
        ("figure-3.15-app-other", "speech00001", "Somebody speaks", ".po-stage"),
        ("figure-4.3-confusing-song", "ensemble001", "An ensemble", ".po-axis"),
    ]:
        with demo_page(chromium, address) as page:
            browser.submit(page, f"https://www.youtube.com/watch?v={video_id}")
            browser.answer(page, "Other", title)
            browser.is_playing(page, "Other")
            save(page, name, last)


def film(chromium, address, folder):
    """A link is pasted, the piano plays, its timeline is touched; then the same piece on a guitar."""
    with demo_page(chromium, address, scale=WIDTH / 900, script=CLOCK) as page:
        page.wait_for_function("[...document.querySelectorAll('.po-half video')].every((each) => each.readyState > 2)")
        link, submit = page.get_by_label("Link of a song"), page.get_by_role("button", name="Submit")
        reel = Film(page, height=872)

        def ask(video_id, label, seconds):
            reel.move(link, 0.4, across=0.4)
            link.click()
            link.select_text()
            reel.shoot()
            link.fill(f"https://www.youtube.com/watch?v={video_id}")
            reel.run(0.2)
            reel.move(submit, 0.3)
            page.mouse.down()
            reel.shoot()
            page.mouse.up()
            reel.run_until(f'.po-label:text-is("{label}")', seconds)

        reel.run(0.4)
        ask("Gymnopedie1", "Piano", seconds=1.2)
        page.locator(".po-player").wait_for()
        reel.run(1.2)
        reel.move(page.get_by_role("button", name="Play the song"), 0.4)
        page.get_by_role("button", name="Play the song").click()
        reel.run(0.2)
        reel.move(page.locator(".po-slider"), 0.7, across=0.55)
        page.mouse.down()
        page.mouse.up()
        reel.run(1.0)
        ask("OnTheGuitar", "Other", seconds=0.8)
        page.locator(".po-player").wait_for()
        reel.run(1.2)
        reel.move(page.locator(".po-slider"), 0.6, across=0.2)
        reel.run(1.6)
        reel.save(folder / "demo.webp")


def main():
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("demo", "screenshots"))
    parser.add_argument(
        "--folder", type=Path, default=browser.ROOT / "figures", help="where they go (default: figures)"
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch, LoopbackYouTube(VIDEOS) as youtube, browser.chromium() as chromium:
        copy = browser.scratch_copy(Path(scratch) / "copy")
        with browser.server("voila", copy, youtube.environment) as address:
            if options.only != "demo":
                screenshots(chromium, address, options.folder)
            if options.only != "screenshots":
                film(chromium, address, options.folder)


if __name__ == "__main__":
    main()
