"""Progress in a notebook that leaves one line behind: what is written is shown in place of what was there before."""

import io
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from IPython.display import display

EVERY = 0.2  # seconds between two updates of the page


class Line(io.TextIOBase):
    """A text stream that shows its last line in the notebook, in place: where progress bars write to, for instance."""

    def __init__(self):
        self.prefix, self._shown_at = "", 0.0
        self._handle = display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text):
        """Show the last line of `text`, unless another was shown a moment ago."""
        lines = text.replace("\r", "\n").strip().splitlines()
        if lines and time.monotonic() - self._shown_at > EVERY:
            self.show(self.prefix + lines[-1])
        return len(text)

    def show(self, text):
        """Show `text` now."""
        if self._handle is not None:  # outside of a notebook nothing is shown
            self._handle.update({"text/plain": text}, raw=True)
        self._shown_at = time.monotonic()


@contextmanager
def line():
    """Everything printed inside becomes one line that changes. Yields the Line, whose `show` has the last word."""
    stream = Line()
    with redirect_stdout(stream), redirect_stderr(stream):
        yield stream
