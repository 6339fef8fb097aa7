"""What a person gave on the command line -> the links and files to judge, one by one, in order.

A folder stands for every sound file in it, a list (.txt, .m3u, .m3u8, .csv) for a source on each line. What cannot be
read becomes the error that says why, in its place, so that the others go on.
"""

import csv
import os
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

from pipeline import files
from pipeline.errors import LinkError, PipelineError, SourceError, printable
from pipeline.song import links
from pipeline.song.audio import is_audio

_LISTS = (".txt", ".m3u", ".m3u8", ".csv")
_COLUMNS = ("source", "link", "url", "file", "path")  # of a table, the first of these; without any, its first column


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
    elif os.path.isdir(path):  # False, and no error, where it cannot be known
        yield from in_folder(path)
    elif is_list(source):
        for entry in list(entries(path)):  # a list that is damaged further down is refused as a whole
            yield from listed(entry, path.parent)
    else:
        yield source, path


def in_folder(folder):
    """Yield `(source, target)` as `expand` does, for each sound file in a folder and below, ordered by path.

    A sub-folder that cannot be read is one of them, with its SourceError. Raises SourceError if the folder itself
    cannot be read, or holds no sound.
    """
    ahead, is_empty = [(os.fspath(folder), True)], True
    while ahead:
        path, is_folder = ahead.pop()
        target = Path(path)
        if is_folder:
            try:
                ahead += _inside(path)
                continue
            except OSError as error:
                target = SourceError("unreadable", f"{printable(path)} cannot be read: {error.strerror.lower()}.")
                if path == os.fspath(folder):
                    raise target from None
        is_empty = False
        yield path, target
    if is_empty:
        raise SourceError(
            "no_audio",
            f"There is no sound file in the folder {printable(folder)}; give one with m4a, mp3 or wav files.",
        )


def _inside(folder):
    """The sub-folders and sound files of a folder, `[(path, is_folder), ...]`, the last one first. Raises OSError."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            # A link may lead nowhere, which its song's error says; a pipe or device is no song, whatever its name.
            is_song = is_audio(entry.name) and (entry.is_symlink() or entry.is_file(follow_symlinks=False))
            if (is_folder or is_song) and not files.is_system(entry.name):
                found.append((entry.path, is_folder))
    return sorted(found, reverse=True)


def is_list(source):
    """Whether a text is the name of a list of sources."""
    return source.lower().endswith(_LISTS)


def entries(path):
    """Yield the entries of a list, one by one. Raises SourceError.

    Empty lines, those that begin with #, and files that only an operating system needs are passed over. A playlist
    keeps the names of its files in any encoding; a table has one entry a row.
    """
    found, suffix = False, Path(path).suffix.lower()
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape" if suffix == ".m3u" else "strict") as lines:
            for line in map(str.strip, _column(lines) if suffix == ".csv" else lines):
                if line and not line.startswith("#") and not files.is_system(os.path.basename(line)):
                    found = True
                    yield unquote(line.removeprefix("file://")) if line.startswith("file:///") else line
    except FileNotFoundError:
        raise SourceError("missing", f"There is no list {path}; check the spelling.") from None
    except (UnicodeDecodeError, csv.Error):
        message = f"{path} is not a text in UTF-8; save it as one, with a link or a file on each line."
        raise SourceError("bad_list", message) from None
    except OSError as error:
        raise SourceError("unreadable", f"{path} cannot be read: {error.strerror.lower()}.") from None
    if not found:
        raise SourceError("empty_list", f"The list {path} is empty; write a link or a file on each line.")


def _column(lines):
    """The cells of a table that hold its sources."""
    head = next(lines, "")
    rows = csv.reader(chain([head], lines), delimiter=max(",;\t", key=head.count))
    first = next(rows, [])
    names = [name.strip().lower() for name in first]
    column = next((names.index(name) for name in _COLUMNS if name in names), None)
    if column is None:
        rows, column = chain([first], rows), 0
    yield from (row[column] for row in rows if len(row) > column)


def listed(entry, folder):
    """As `expand`, for an entry of a list in `folder`: a file that is not found is looked for beside the list."""
    beside = os.path.join(folder, entry)
    if is_list(entry):
        yield entry, SourceError("nested_list", f"{_shortened(entry)} is a list within a list; give it by itself.")
    elif not _exists(Path(entry)) and _exists(Path(beside)):
        yield from expand([beside])
    else:
        yield from expand([entry])


def _exists(path):
    try:
        return path.exists()
    except PermissionError:  # whoever opens it says so
        return True
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
