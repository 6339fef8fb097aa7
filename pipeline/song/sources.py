"""What a person gave on the command line -> the links and files to judge, one by one, in order.

A folder stands for every sound file in it, a .txt file for a source on each line. What cannot be read becomes the
error that says why, in its place, so that the others go on.
"""

from pathlib import Path

from pipeline.errors import LinkError, PipelineError, SourceError, printable
from pipeline.song import links
from pipeline.song.audio import is_audio


def expand(sources):
    """Yield `(source, target)` for each text in `sources`: target is a Link, the Path of a file, or a PipelineError.

    `source` is the text as given; for a file found in a folder, its path.
    """
    for source in sources:
        try:
            yield from _expand_one(source)
        except PipelineError as error:
            yield source, error


def _expand_one(source):
    path = Path(source)
    if not source.strip() or not _exists(path):  # Path("") is the current folder
        yield source, _link(source)
    elif path.is_dir():
        found = sorted(file for file in path.rglob("*") if is_audio(file) and file.is_file())
        if not found:
            raise SourceError(
                "no_audio", f"There is no sound file in the folder {source}; give one with m4a, mp3 or wav files."
            )
        for file in found:
            yield str(file), file
    elif path.suffix.lower() == ".txt":
        yield from _read_list(path)
    else:
        yield source, path


def entries(path):
    """Yield the entries of a text file, one by one; empty lines and those that begin with # do not count. Raises SourceError."""
    found = False
    try:
        with open(path, encoding="utf-8-sig") as lines:
            for line in map(str.strip, lines):
                if line and not line.startswith("#"):
                    yield (found := line)
    except FileNotFoundError:
        raise SourceError("missing", f"There is no list {path}; check the spelling.") from None
    except UnicodeDecodeError:
        raise SourceError(
            "bad_list", f"{path} is not a text in UTF-8; save it as one, with a link or a file on each line."
        ) from None
    except OSError as error:
        raise SourceError("unreadable", f"{path} cannot be read: {error.strerror.lower()}.") from None
    if not found:
        raise SourceError("empty_list", f"The list {path} is empty; write a link or a file on each line.")


def _read_list(path):
    """The sources in a text file, all of which is read first."""
    for entry in list(entries(path)):
        if entry.lower().endswith(".txt"):
            yield entry, SourceError("nested_list", f"{_shortened(entry)} is a list within a list; give it by itself.")
        else:
            beside_the_list = path.parent / entry
            yield from expand(
                [str(beside_the_list) if not _exists(Path(entry)) and _exists(beside_the_list) else entry]
            )


def _exists(path):
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or with a NUL in it
        return False


def _link(source):
    """The Link that a text is; without `://`, a text that is none is taken for a path that somebody mistyped."""
    try:
        return links.parse(source)
    except LinkError as error:
        if "://" in source or error.kind not in ("not_a_link", "other_site", "too_long"):
            raise
        message = f"{_shortened(source)} is neither a file or folder here nor a link of YouTube; check the spelling."
        raise SourceError("missing", message) from None


def _shortened(text):
    text = printable(text)
    return text if len(text) <= 200 else f"{text[:200]}..."
