"""A long list of songs, read line by line: it never is in memory as a whole, and neither are the files of a folder."""

import hashlib
import os

from pipeline.errors import PipelineError, SourceError, printable
from pipeline.song import links, sources
from pipeline.song.audio import is_audio


def entries(songs):
    """Yield the entries of a list, or the sound files and unreadable sub-folders of a folder. Raises SourceError."""
    if os.path.isdir(songs):
        yield from (source for source, _ in sources.in_folder(songs))
    elif "://" in str(songs) or is_audio(songs):
        message = f"{printable(songs)[:200]} is no list; write it into one, or give it to: python -m pipeline label"
        raise SourceError("list", message)
    else:
        yield from sources.entries(songs)


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
    """What an entry of a list in `folder` stands for: `[(source, target), ...]` as in `pipeline.song.sources.listed`.

    `source` differs from `entry` for the files of a folder alone.
    """
    beside = os.path.join(folder, entry)
    return [(entry if source == beside else source, target) for source, target in sources.listed(entry, folder)]
