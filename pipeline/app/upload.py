"""A recording of one's own, from the browser to a file in a temporary folder, in pieces.
Pieces, because Jupyter closes the connection of whoever sends more than 10 MB at once; the next one is asked for when
the last has been written, so it can be stopped at any time and shows how far it is.
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
        Told what happens: `upload_begins()`, `upload_moves(done, total)` in bytes, `upload_ends(folder, path, name)` with a
        TemporaryDirectory that is then the listener's to clean up, or `upload_fails(error)`.
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
                    self._write(bytes(buffers[0]))
                elif content.get("what") == "lost":
                    self._fail(
                        "unreadable",
                        "The browser cannot read this: it is a folder, or has changed; choose a sound file.",
                    )
        except OSError as error:
            sentence = f"The file could not be kept for the moment ({error.strerror}); make room in the temporary folder and try again."
            self._fail("unwritable", sentence)

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
        # The file is called after no one, and as no sentence does: of the name only a known ending is taken.
        suffix = Path(name).suffix.lower()
        self._path = Path(self._folder.name) / f"uploaded-file{suffix if suffix in AUDIO_SUFFIXES else ''}"
        self._path.touch()
        self._next()

    def _write(self, piece):
        with open(self._path, "ab") as file:
            file.write(piece)
        self._done += len(piece)
        self._next()

    def _next(self):
        if self._done < self._size:
            self._listener.upload_moves(self._done, self._size)
            self.send({"id": self._id, "from": self._done})
        else:
            folder, self._folder = self._folder, None
            self._listener.upload_ends(folder, self._path, self._name)
