"""A long list of songs, read line by line: it never is in memory as a whole, and neither are the files of a folder."""

import hashlib
import os
from pathlib import Path

from pipeline.errors import PipelineError, SourceError, printable
from pipeline.song import links, sources
from pipeline.song.audio import is_audio


def entries(songs):
    """Yield the entries of a list, or the sound files in a folder, one by one. Raises SourceError."""
    if "://" in str(songs):
        raise SourceError(
            "list",
            f"{printable(songs)[:200]} is a link; write it into a text file, or give it to: python -m pipeline label",
        )
    if not Path(songs).is_dir():
        yield from sources.entries(songs)
        return
    found = False
    try:
        for entry in _files(songs):
            yield (found := entry)
    except OSError as error:
        raise SourceError("unreadable", f"{songs} cannot be read: {error.strerror.lower()}.") from None
    if not found:
        raise SourceError(
            "empty_list", f"There is no sound file in the folder {songs}; give one with m4a, mp3 or wav files."
        )


def digest(songs):
    """The SHA-256 of the entries of a list, whatever its line ends, blank lines and comments."""
    found = hashlib.sha256()
    for entry in entries(songs):
        found.update(entry.encode("utf-8", "surrogateescape") + b"\n")
    return found.hexdigest()


def key(entry):
    """The same text for two spellings of one song: the canonical address of a link, the tidied path of a file."""
    if "://" in entry or "youtu" in entry:
        try:
            return links.parse(entry).url
        except PipelineError:
            return entry
    return os.path.normpath(entry)


def targets(entry, folder):
    """What an entry of a list in `folder` stands for: `[(source, target), ...]` as in `pipeline.song.sources.expand`.

    A file that is not found is looked for beside the list. `source` differs from `entry` for the files of a folder.
    """
    if entry.lower().endswith(".txt"):
        return [
            (entry, SourceError("nested_list", f"{printable(entry)[:200]} is a list within a list; give it by itself."))
        ]
    beside = os.path.join(folder, entry)
    if "://" in entry or os.path.exists(entry) or not os.path.exists(beside):
        return list(sources.expand([entry]))
    return [(entry if source == beside else source, target) for source, target in sources.expand([beside])]


def _files(folder):
    """The sound files in a folder and below, in an order that is always the same."""
    with os.scandir(folder) as found:
        for entry in sorted(found, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif is_audio(entry.name) and entry.is_file():
                yield entry.path
