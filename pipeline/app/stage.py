"""The stage of the demo: where the invitation, the progress, the answer with its animation, or an error stands.
It is one anywidget, so that a browser keeps one place of one size for all of them and tells a screen reader in words.
"""

from pathlib import Path

import anywidget
import traitlets

from pipeline.errors import printable
from pipeline.text import clock, percent

FIGURES = Path(__file__).parents[2] / "figures"
ANIMATIONS = ("Piano", "Other")

STEPS = {
    "uploading": "Reading the file",
    "checking": "Checking the link",
    "downloading": "Downloading",
    "decoding": "Decoding",
    "listening": "Listening",
    "waking": "Waking the network",
    "drawing": "Drawing the song",
}


def web(*names):
    """The text of scripts or styles in pipeline/app/web. As text, since anywidget watches a file for its widget's whole life and beyond."""
    return "\n".join((Path(__file__).parent / "web" / name).read_text(encoding="utf-8") for name in names)


class Stage(anywidget.AnyWidget):
    """Shows one view at a time; `view` is a dict of plain values, among them `phase`: idle, working, answer or error.

    `on_submit(text)` is called when a browser submits the text in the link box.
    """

    _esm = web("common.js", "stage.js")
    _css = web("app.css")
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, on_submit=None, folder=FIGURES):
        super().__init__()
        self._on_submit, self._folder = on_submit, Path(folder)
        self.on_msg(self._on_message)
        self.idle()

    def idle(self, live=""):
        """Invite."""
        self.view = {
            "phase": "idle",
            "live": live,
            "headline": "Is it a piano?",
            "detail": "Paste a link, choose a recording, or try one of the songs. Every second of it is listened to, and the majority decides.",
        }

    def working(self, step, done=0.0, total=None, detail="", beside_answer=False):
        """Say what is going on: `step` of `STEPS`, `done` of `total` in bytes or seconds; beside the last answer, if asked to."""
        words = STEPS.get(step, step)
        fraction = min(done / total, 1.0) if total else None
        if step == "listening" and total:
            shown = f"{words}: {done:.0f} of {total:.0f} s"
        elif step == "listening" and done:
            shown = f"{words}: {done:.0f} s"
        else:
            shown = f"{words} {fraction:.0%}".replace("%", " %") if fraction is not None else words
        moving = {"step": shown, "fraction": fraction, "detail": printable(detail)}
        if beside_answer and self.view["phase"] == "answer":
            self.view = self.view | {"more": moving}
        else:
            self.view = {"phase": "working", "live": words, **moving}

    def rest(self, live=""):
        """End what was going on: the last answer stays, else invite again."""
        if self.view["phase"] == "answer":
            self.view = self.view | {"more": None, "live": live}
        else:
            self.idle(live)

    def summary(self, labels):
        """End a list: a label for each song, None where there is no answer."""
        counts = [f"{labels.count(name)} {name}" for name in sorted({name for name in labels if name}, reverse=True)]
        counts += [f"{labels.count(None)} without an answer"] * (None in labels)
        words = f"{len(labels)} songs: {', '.join(counts)}"
        if self.view["phase"] == "answer":
            self.view = self.view | {
                "more": {"step": words, "detail": "", "fraction": None, "ended": True},
                "live": words,
            }
        else:
            self.failure("None of these songs could be judged; the table below says why.")

    def answer(self, recognition, url=None):
        """Show the label, and start its animation; `url` is the song's canonical address, or None."""
        votes, n_clips = recognition.votes[recognition.label], sum(recognition.votes.values())
        self.view = {
            "phase": "answer",
            "label": recognition.label,
            "animation": recognition.label if recognition.label in ANIMATIONS else "Other",
            "confidence": percent(recognition.confidence),
            "votes": f"{votes:,} of {n_clips:,} seconds voted {recognition.label}",
            "title": printable(recognition.title) or "untitled",
            "length": clock(recognition.seconds),
            "url": url,
            "live": f"{recognition.label}, with a confidence of {percent(recognition.confidence)}: {printable(recognition.title)}",
        }

    def failure(self, sentence, title=""):
        """Say what was wrong, where the answer would be."""
        self.view = {
            "phase": "error",
            "headline": "No answer this time",
            "sentence": sentence,
            "title": printable(title),
            "live": sentence,
        }

    def _on_message(self, _, content, __):
        """A browser submits, asks for the animations in the format that it plays, or only whether somebody is here."""
        self.send({})
        if self._on_submit and isinstance(content.get("submit"), str):
            self._on_submit(content["submit"])
        wanted = content.get("want")
        if wanted in ("webm", "mp4"):
            found = {name: self._folder / f"{name.lower()}.{wanted}" for name in ANIMATIONS}
            clips = {name: path.read_bytes() for name, path in found.items() if path.is_file()}
            self.send({"animations": list(clips), "format": wanted}, buffers=list(clips.values()))
            self.send_state("view")  # which may have changed before this browser could hear
