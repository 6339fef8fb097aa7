"""What can go wrong between a link and a label, said in one sentence to the person who asked.
Every error carries a `kind`, a short word that a program can compare; `str(error)` is the sentence.
`Cancelled` is no error: a progress callback raises it, and the step that was running stops.
"""


class PipelineError(Exception):
    """A mistake or misfortune that a person can do something about.

    Parameters
    ----------
    kind : str
        A short snake_case word such as "private" or "too_short", stable across versions.
    message : str
        One sentence: what was wrong and what to do.
    """

    def __init__(self, kind, message):
        super().__init__(kind, message)  # both are kept in `args`, so that the error survives a trip between processes
        self.kind = kind

    def __str__(self):
        return self.args[1]


class LinkError(PipelineError):
    """The text is not a link of a video or a playlist on YouTube."""


class DownloadError(PipelineError):
    """The link is good, but its sound could not be fetched."""


class AudioError(PipelineError):
    """The file holds no sound that can be judged."""


class SourceError(PipelineError):
    """A file, folder, list or corpus is missing or empty."""


class Cancelled(Exception):
    """Raised by a progress callback, `progress(step, done, total)`, to stop the step that called it."""


def printable(text):
    """A text of strangers without what could steer a terminal; the joiners of Persian and emoji stay."""
    return "".join(c if c.isprintable() or c in "\u200c\u200d" else "?" for c in str(text))
