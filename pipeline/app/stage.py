"""The stage of the demo: the invitation, the progress, the answer with its animation, or an error.

It is one anywidget: all four share one place of one size on the page, and a screen reader hears each change.
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
    "loading": "Loading the network",
    "drawing": "Drawing the song",
}


def web(*names):
    """The text of scripts or styles in pipeline/app/web; of a path, anywidget would watch the file for ever."""
    return "\n".join((Path(__file__).parent / "web" / name).read_text(encoding="utf-8") for name in names)


def animation_of(label):
    """The animation for a label, and with it the colour: a model may have other classes than Piano and Other."""
    return label if label in ANIMATIONS else "Other"


class Stage(anywidget.AnyWidget):
    """Shows one view at a time; `view` is a dict of plain values, among them `phase`: idle, working, answer or error.

    `on_submit(text)` is called when a browser submits the text in the link box.
    """

    _esm = web("common.js", "stage.js")
    _css = web("app.css")
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, on_submit):
        super().__init__()
        self._on_submit = on_submit
        self.on_msg(self._on_message)
        self.idle()

    def idle(self, live=""):
        """Invite a person to give a song."""
        self.view = {
            "phase": "idle",
            "live": live,
            "headline": "Is it a piano?",
            "detail": "Paste a link, choose a file, or try one of the songs above. "
            "The network judges every second, and the majority decides.",
        }

    def working(self, step, done=0.0, total=None, detail="", beside_answer=False):
        """Show a step of `STEPS`, `done` of `total` in bytes or seconds; beside the last answer, if asked to."""
        words = STEPS.get(step, step)
        fraction = min(done / total, 1.0) if total else None
        shown = words
        if step == "listening" and done:
            shown = f"{words}: {done:.0f} of {total:.0f} s" if total else f"{words}: {done:.0f} s"
        elif fraction is not None:
            shown = f"{words} {100 * fraction:.0f} %"
        progress = {"step": shown, "fraction": fraction, "detail": printable(detail)}
        if beside_answer and self.view["phase"] == "answer":
            self.view = self.view | {"more": progress}
        else:
            self.view = {"phase": "working", "live": words, **progress}

    def rest(self, live=""):
        """End what was going on: the last answer stays; without one, invite again."""
        if self.view["phase"] == "answer":
            self.view = self.view | {"more": None, "live": live}
        else:
            self.idle(live)

    def summary(self, labels):
        """End a list: a label for each song, None where there is no answer."""
        if self.view["phase"] != "answer":
            self.failure("None of these songs could be judged; the table below says why.")
            return
        counts = [f"{labels.count(name)} {name}" for name in sorted(set(labels) - {None}, reverse=True)]
        counts += [f"{labels.count(None)} without an answer"] * (None in labels)
        words = f"{len(labels)} songs: {', '.join(counts)}"
        ended = {"step": words, "detail": "", "fraction": None, "ended": True}
        self.view = self.view | {"more": ended, "live": words}

    def answer(self, recognition, url=None):
        """Show the label and its animation; `url` is the song's canonical address, or None."""
        label, confidence, title = recognition.label, percent(recognition.confidence), printable(recognition.title)
        n_clips = sum(recognition.votes.values())
        self.view = {
            "phase": "answer",
            "label": label,
            "animation": animation_of(label),
            "confidence": confidence,
            "votes": f"{recognition.votes[label]:,} of {n_clips:,} second{'s' * (n_clips != 1)} voted {label}",
            "remarks": recognition.remarks,
            "title": title or "untitled",
            "length": clock(recognition.seconds),
            "url": url,
            "live": " ".join([f"{label}, with a confidence of {confidence}: {title}", *recognition.remarks]),
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
        """A browser submits a link, asks for the animations in a format, or only whether the kernel is there."""
        self.send({})
        if isinstance(content.get("submit"), str):
            self._on_submit(content["submit"])
        wanted = content.get("want")
        if wanted in ("webm", "mp4"):
            paths = {name: FIGURES / f"{name.lower()}.{wanted}" for name in ANIMATIONS}
            clips = {name: path.read_bytes() for name, path in paths.items() if path.is_file()}
            self.send({"animations": list(clips), "format": wanted}, buffers=list(clips.values()))
            self.send_state("view")  # which may have changed before this browser could hear
