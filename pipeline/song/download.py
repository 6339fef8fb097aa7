"""The link of a video -> its sound in a temporary folder that is gone afterwards, however things end.

Nothing is converted: the sound comes as YouTube keeps it (m4a or webm), and `pipeline.song.audio` reads it.
A playlist is only listed; its songs are downloaded one by one.
"""

import io
import os
import platform
import signal
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DownloadError, printable
from pipeline.song import ytdlp
from pipeline.song.links import VIDEO_ID, Link

FOLDER = "song-of-piano-or-other-"  # how the name of a temporary folder begins; its process and machine follow


@dataclass(frozen=True)
class Song:
    """A downloaded song: `path` of the file, `title`, `seconds` as announced (None if not), canonical `url`."""

    path: Path
    title: str
    seconds: float | None
    url: str


@dataclass(frozen=True)
class Entry:
    """A song in a playlist, not yet downloaded: `id`, `title`, `seconds` (None where unknown)."""

    id: str
    title: str
    seconds: float | None

    @property
    def link(self):
        """The Link to hand to `download`."""
        return Link("video", self.id)

    @property
    def url(self):
        """The canonical address."""
        return self.link.url


@dataclass(frozen=True)
class Playlist:
    """A playlist: its `title` and its `entries`, a list of Entry."""

    title: str
    entries: list


@contextmanager
def download(link, progress=None, cookies=None, cookies_from_browser=None, ydl_factory=None):
    """Download the sound of a video; a context manager, at whose end the file is gone.

    Parameters
    ----------
    link : Link
        Of a video, from `pipeline.song.links.parse`.
    progress : callable, optional
        `progress("checking", 0, None)`, then `progress("downloading", bytes_done, bytes_in_all or None)`, ten times
        a second, from the calling thread. What it raises, such as Cancelled, stops the download.
    cookies : str, Path or text stream, optional
        A cookies.txt as browsers export it. It is read, and neither changed nor kept.
    cookies_from_browser : str, optional
        The name of an installed browser, such as "firefox" or "firefox:profile".
    ydl_factory : callable, optional
        Makes a `yt_dlp.YoutubeDL` of a dict of options; that class by default.

    Yields
    ------
    Song

    Raises
    ------
    DownloadError
        private, unavailable, age_restricted, members_only, geo_blocked, live, upcoming, too_long, too_large,
        protected, paid, sign_in, forbidden, rate_limited, no_network, timeout, incomplete, server_error, disk_full,
        temporary_folder, cookies, refused or outdated.
    """
    with temporary_folder() as folder:
        options = _cookie_options(cookies, cookies_from_browser)
        info = ytdlp.call(link.url, options, folder, progress, ydl_factory)
        files = info.get("requested_downloads") or [{}]
        path = Path(files[0].get("filepath") or folder)
        if not path.is_file():
            raise DownloadError("incomplete", "YouTube sent no sound for this video; try again.")
        yield Song(path, _title(info), info.get("duration"), link.url)


def playlist(link, limit=None, progress=None, cookies=None, cookies_from_browser=None, ydl_factory=None):
    """List the songs of a playlist, without downloading any.

    Parameters
    ----------
    link : Link
        Of a playlist.
    limit : int, optional
        How many songs from its beginning; all by default.
    progress, cookies, cookies_from_browser, ydl_factory
        As in `download`.

    Returns
    -------
    Playlist
        Entries that YouTube does not name are left out; private and deleted ones fail when they are downloaded.

    Raises
    ------
    DownloadError
        As in `download`, and empty_playlist.
    """
    options = _cookie_options(cookies, cookies_from_browser) | {"extract_flat": "in_playlist"}
    if limit is not None:
        options["playlist_items"] = f"1:{limit}"
    info = ytdlp.call(link.url, options, None, progress, ydl_factory)
    found = [entry for entry in info.get("entries") or () if entry and VIDEO_ID.fullmatch(str(entry.get("id")))]
    if not found:
        raise DownloadError("empty_playlist", "This playlist is empty or private; paste the link of another one.")
    return Playlist(_title(info), [Entry(entry["id"], _title(entry), entry.get("duration")) for entry in found])


def temporary_folder():
    """A TemporaryDirectory for one song, by whose name its machine can tell whether its process has ended."""
    prefix = f"{FOLDER}{os.getpid()}-{platform.node()}-"
    try:
        return tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    except OSError:
        message = (
            "There is no temporary folder for a song; set TMPDIR to a folder that has room and that you may write to."
        )
        raise DownloadError("temporary_folder", message) from None


def end_in_order():
    """Let what ends this process from outside end it as `exit()` does, which removes its temporary folders.

    A handler of somebody else stays, and so does a signal that is ignored, as under nohup.
    """
    for number in {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:  # Windows knows no SIGHUP
        if threading.current_thread() is threading.main_thread() and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def _title(info):
    return printable(info.get("title") or info.get("id") or "untitled")[:300]


def _cookie_options(cookies, cookies_from_browser):
    return {"cookiefile": cookie_stream(cookies), "cookiesfrombrowser": _browser(cookies_from_browser)}


def cookie_stream(cookies):
    """The cookies in memory: yt-dlp writes them back at its end, and the user's own file must stay as it is.

    Most streams can be read once; what this returns will do for any number of downloads.
    """
    if not cookies:
        return None
    try:
        read = getattr(cookies, "getvalue", getattr(cookies, "read", None))
        text = read() if read else Path(cookies).read_text(encoding="utf-8")
    except (OSError, ValueError):
        message = f"The cookies file {printable(cookies)} cannot be read; check its path."
        raise DownloadError("cookies", message) from None
    if not any(line.count("\t") == 6 for line in text.splitlines()):
        raise DownloadError("cookies", "This cookies file holds no cookies; export it as a cookies.txt.")
    return io.StringIO(text)


def _browser(name):
    if not name:
        return None
    from yt_dlp.cookies import SUPPORTED_BROWSERS

    browser, _, profile = name.partition(":")
    if browser not in SUPPORTED_BROWSERS:
        known = ", ".join(sorted(SUPPORTED_BROWSERS))
        raise DownloadError("cookies", f"Cookies can be taken from {known}, but not from {printable(browser)}.")
    return browser, profile or None, None, None
