"""The controls of the demo: link box, Submit, Cancel, a file of one's own, the sample songs, and the options."""

import os
from functools import partial
from pathlib import Path

import ipywidgets as widgets

from pipeline.app.upload import Upload
from pipeline.song import refusals
from pipeline.song.audio import is_audio

OPTIONS = "Sign-in and options"
TITLES = {  # where the name of a sample's file does not do
    "other-ensemble-with-piano": "Bethena, ensemble",
    "other-guitar-gymnopedie": "Gymnopédie, guitar",
    "other-harpsichord-fuer-elise": "Für Elise, harpsichord",
    "piano-beethoven-fuer-elise": "Für Elise",
    "piano-improvised": "Single notes",
    "piano-joplin-bethena": "Bethena",
    "piano-satie-gymnopedie": "Gymnopédie",
}
BROWSERS = ("brave", "chrome", "chromium", "edge", "firefox", "opera", "safari", "vivaldi", "whale")


class Form(widgets.VBox):
    """All controls, from top to bottom.

    Parameters
    ----------
    app : object
        With `submit()`, `submit_playlist()`, `submit_file(path, title)`, `cancel()`, and what `Upload` calls.
    samples : str or Path
        A folder whose songs get a button each.
    """

    def __init__(self, app, samples):
        self.link = widgets.Text(
            description="Link of a song or playlist on YouTube",
            placeholder="https://www.youtube.com/watch?v=...",
            style={"description_width": "initial"},
        ).add_class("po-link")
        self.submit = _button("Submit", app.submit).add_class("po-submit")
        self.cancel = _button("Cancel", app.cancel, disabled=True).add_class("po-cancel")
        self.playlist = _button("Listen to the whole playlist", app.submit_playlist)
        self.upload = Upload(app)
        files = sorted(filter(is_audio, Path(samples).glob("*")), key=title_of)
        self.samples = [
            _button(f"♪ {title_of(file)}", partial(app.submit_file, file, title_of(file))) for file in files
        ]
        self._make_options()
        self.more = _button(f"{OPTIONS} ▸", self._toggle_options).add_class("po-more-options")
        first = widgets.Box([self.link, self.submit, self.cancel, self.more]).add_class("po-form")
        second = widgets.Box([self.playlist, self.upload, *self.samples]).add_class("po-tries")
        super().__init__([first, second, self.options])
        self.offer_playlist(False)

    def offer_playlist(self, offered):
        """Show or hide the button for the playlist that contains the last video."""
        self.playlist.layout.display = None if offered else "none"

    def choices(self):
        """The options, as attributes of a `Request`."""
        browser = None if self._on_voila else self.browser.value or None  # a visitor can set even a hidden widget
        return {"n_clips": self.n_clips.value or None, "browser": browser, "cookies": self._cookies}

    def _make_options(self):
        explanation = "Some videos ask for a sign-in. Give the cookies of a browser in which you are signed in."
        explanation = widgets.HTML(f"{explanation} They are sent to YouTube only and never stored.")
        self.cookies = widgets.FileUpload(accept=".txt", description="Choose cookies.txt")
        self.cookies.observe(self._take_cookies, "value")
        self.forget = _button("✓ Cookies in use: forget them", self._forget_cookies)
        self._forget_cookies()
        browsers = [("none", ""), *zip(BROWSERS, BROWSERS)]  # a Dropdown shows nothing for the value None
        self.browser = widgets.Dropdown(options=browsers, description="Cookies of the browser")
        amounts = [("all", 0), *((f"{n}, drawn at random", n) for n in (100, 30, 10))]
        self.n_clips = widgets.Dropdown(options=amounts, description="Seconds that vote")
        choices = [explanation, self.cookies, self.forget, self.browser, self.n_clips]
        self._on_voila = os.environ.get("SERVER_SOFTWARE", "").startswith("voila")
        if self._on_voila:
            choices.remove(self.browser)  # it would be a browser of the server, not of the visitor
        self.options = widgets.VBox(choices).add_class("po-options")
        self.options.layout.display = "none"

    def _take_cookies(self, change):
        """Keep the text in this object only: the value of a widget can end up in a saved notebook."""
        if change["new"]:
            self._cookies = bytes(change["new"][0]["content"]).decode("utf-8", "replace")
            self.cookies.value = ()
            if self._cookies:
                self.cookies.layout.display, self.forget.layout.display = "none", None

    def _forget_cookies(self):
        self._cookies = ""
        self.cookies.layout.display, self.forget.layout.display = None, "none"

    def _toggle_options(self):
        opened = self.options.layout.display == "none"
        self.options.layout.display = None if opened else "none"
        self.more.description = f"{OPTIONS} {'▾' if opened else '▸'}"


def _button(text, action, **traits):
    button = widgets.Button(description=text, **traits)
    button.on_click(lambda _: action())
    return button


def title_of(path):
    """The title of a sample song; the class at the start of a name such as piano-my-song.mp3 is left out."""
    words = path.stem.split("-")
    return TITLES.get(path.stem) or " ".join(words[1:] if words[0] in ("piano", "other") else words).capitalize()


def in_app_words(error):
    """The sentence of an error, with the options of the app in place of those of the command line."""
    hint = f"open “{OPTIONS}” above and give the cookies of a browser in which you are signed in"
    return str(error).replace(refusals.SIGN_IN, hint)
