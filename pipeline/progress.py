"""What is going on, for a person at a terminal: one bar, with the step in words."""

import sys

from tqdm import tqdm

_UNITS = {"downloading": ("B", True), "listening": ("s", False)}


def note(text):
    """Write a line on standard error, above the bars that stand there."""
    tqdm.write(text, file=sys.stderr)


class ProgressBar:
    """A progress callback that draws a bar on standard error, and nothing where that is not a terminal."""

    def __init__(self):
        self._bar, self._step = None, None

    def __call__(self, step, done, total):
        """`step` in words, `done` of `total` in bytes for a download, else in seconds of sound."""
        if not sys.stderr.isatty():
            return
        if step != self._step:
            self.clear()
            unit, in_thousands = _UNITS.get(step, ("", False))
            self._bar = tqdm(desc=step, unit=unit, unit_scale=in_thousands, leave=False, bar_format=_format(total))
            self._step = step
        self._bar.total = total and round(total)
        self._bar.n = round(done)
        self._bar.update(0)

    def clear(self):
        """Take the bar off the screen, to write a line."""
        if self._bar is not None:
            self._bar.close()
        self._bar = self._step = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clear()


def _format(total):
    return "{desc} {percentage:3.0f} % |{bar:30}| {n_fmt} of {total_fmt} {unit}" if total else "{desc} {n_fmt} {unit}"
