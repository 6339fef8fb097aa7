"""A file of one's own, from the browser to a temporary folder.

It comes in pieces, since Jupyter closes a connection that sends more than 10 MB at once. Each piece is asked for when
the last is written, so that an upload shows its progress and can be stopped.
"""

from pathlib import Path

import anywidget
import traitlets

from pipeline.app.stage import web
from pipeline.errors import SourceError
from pipeline.song.audio import AUDIO_SUFFIXES
from pipeline.song.download import temporary_folder

LARGEST = 400_000_000  # bytes


class Upload(anywidget.AnyWidget):
    """A button that opens a file, and a place to drop one.

    Parameters
    ----------
    listener : object
        `upload_begins()`, `upload_moves(done, total)` in bytes, then `upload_fails(error)` or
        `submit_file(path, name, folder)`: the listener removes the folder, a TemporaryDirectory.
    """

    _esm = web("common.js", "upload.js")
    accept = traitlets.Unicode("audio/*,video/*," + ",".join(sorted(AUDIO_SUFFIXES))).tag(sync=True)

    def __init__(self, listener):
        super().__init__()
        self._listener, self._folder = listener, None
        self.on_msg(self._on_message)

    def cancel(self):
        """Stop, and remove what has come so far."""
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    def _on_message(self, _, content, buffers):
        try:
            if content.get("what") == "begin":
                self._begin(str(content.get("name", ""))[:300], int(content.get("size", 0)), content.get("id"))
            elif self._folder and content.get("id") == self._id:
                if content.get("what") == "piece":
                    with open(self._path, "ab") as file:
                        self._done += file.write(buffers[0])
                    self._ask()
                elif content.get("what") == "lost":
                    self._fail("unreadable", "The browser cannot read this: choose a sound file, and no folder.")
        except OSError as error:
            why = f"The file could not be stored ({error.strerror})"
            self._fail("unwritable", f"{why}; make room in the temporary folder and try again.")

    def _fail(self, kind, sentence):
        self.cancel()
        self._listener.upload_fails(SourceError(kind, sentence))

    def _begin(self, name, size, identity):
        self._listener.upload_begins()
        if size > LARGEST:
            self._fail("too_large", f"This file is larger than {LARGEST // 1_000_000} MB; choose a shorter recording.")
            return
        self._name, self._size, self._id, self._done = name, size, identity, 0
        self._folder = temporary_folder()
        # A stranger's file name makes no path: only a known ending of it is used.
        suffix = Path(name).suffix.lower()
        self._path = Path(self._folder.name) / f"uploaded-file{suffix if suffix in AUDIO_SUFFIXES else ''}"
        self._path.touch()
        self._ask()

    def _ask(self):
        """Ask for the next piece, or hand the file on."""
        if self._done < self._size:
            self._listener.upload_moves(self._done, self._size)
            self.send({"id": self._id, "from": self._done})
        else:
            folder, self._folder = self._folder, None
            self._listener.submit_file(self._path, self._name, folder)
