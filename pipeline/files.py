"""Files that are whole or not there: written under a temporary name beside their place, then moved into it.

All that is kept goes through here, JSON, tables and pages. A process that is killed leaves the older file as it was.
"""

import errno
import io
import json
import os
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from pipeline.errors import SourceError

# What macOS, Windows and network disks put into folders, such as ._song.mp3 beside song.mp3.
SYSTEM_NAMES = (
    *("._*", ".DS_Store", ".AppleDouble", ".Spotlight-V100", ".Trash*", ".fseventsd", "__MACOSX", "@eaDir"),
    *("Thumbs.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information"),
)


def is_system(name):
    """Whether an operating system put a file or folder of this name there, and no person."""
    return any(fnmatch(name, pattern) for pattern in SYSTEM_NAMES)


def as_text(path):
    """A path as text, with slashes; bytes that are none become escapes, so that two names stay two."""
    return Path(path).as_posix().encode("utf-8", "backslashreplace").decode()


@contextmanager
def replacing(path):
    """A context with a temporary path, whose file takes the place of `path` if nothing was raised.

    The folder is made. The temporary name is hidden and ends in .tmp, so that half a song is never taken for one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(folder):
    """A context whose OSErrors become a SourceError: the folder cannot be written, or the disk is full."""
    try:
        yield
    except OSError as error:
        room = "make room on the disk" if error.errno == errno.ENOSPC else "choose another folder"
        raise SourceError("output", f"{folder} cannot be written ({error.strerror or error}); {room}.") from error


def write_text(path, text):
    """Write a text, UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path, value):
    """Write plain values as JSON, a line each."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_table(path, table, **options):
    """Write a DataFrame as CSV without its index; options as in `DataFrame.to_csv`."""
    write_text(path, table.to_csv(index=False, **options))


def write_array(path, array):
    """Write a NumPy array as an npy file."""
    import numpy as np

    content = io.BytesIO()  # np.save to a file itself does not say why it failed, such as a full disk
    np.save(content, array)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def write_flac(path, samples, rate):
    """Write mono samples in -1..1 as a FLAC file of 16 bits."""
    import soundfile

    content = io.BytesIO()
    soundfile.write(content, samples, rate, "PCM_16", format="FLAC")
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def section(path, name):
    """The part of a Markdown file between the lines `<!-- NAME -->` and `<!-- end of NAME -->`."""
    return _divided(path, name)[1].strip()


def write_section(path, name, text):
    """Put `text` in the place of that part."""
    before, _, after = _divided(path, name)
    write_text(path, f"{before}\n{text.strip()}\n\n{after}")


def _divided(path, name):
    text = Path(path).read_text(encoding="utf-8")
    before, start, rest = text.partition(f"<!-- {name} -->\n")
    part, end, after = rest.partition(f"<!-- end of {name} -->")
    if not end:
        raise ValueError(f"{path} has no section {name}")
    return before + start, part, end + after
