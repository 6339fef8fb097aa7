"""The link of a video -> its sound in a temporary folder that is gone afterwards, however things end.
yt-dlp does the work in a thread of its own, so that whoever waits can stop at once, even while a server hangs.
Nothing is converted: the sound comes as YouTube keeps it (m4a or webm), and `pipeline.audio` reads it.
"""
import io
import shutil
import tempfile
import threading
import time
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DownloadError, printable
from pipeline.links import VIDEO_ID, Link
from pipeline.refusals import explain

MAX_SECONDS = 4 * 3600  # of a song
MAX_BYTES = 400_000_000  # of a file; four hours at 220 kbit/s, more than YouTube's sound has
SOCKET_TIMEOUT = 15  # seconds without a byte until yt-dlp tries again
RETRIES = 3
PATIENCE = 90  # seconds without a new byte until the download is given up
LONGEST = 1800  # seconds that a download may take in all
POLL = 0.1  # seconds between two calls of `progress`


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
        Of a video, from `pipeline.links.parse`.
    progress : callable, optional
        `progress("checking", 0, None)`, then `progress("downloading", bytes_done, bytes_in_all or None)`, ten times a
        second, from the calling thread. What it raises, such as Cancelled, stops the download.
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
        private, unavailable, age_restricted, members_only, geo_blocked, live, upcoming, too_long, too_large, protected,
        paid, sign_in, forbidden, rate_limited, no_network, timeout, incomplete, server_error, disk_full, cookies,
        refused or outdated.
    """
    with tempfile.TemporaryDirectory(prefix="song-", ignore_cleanup_errors=True) as folder:
        options = _options(cookies, cookies_from_browser) | {
            "paths": {"home": folder, "temp": folder},
            "outtmpl": {"default": "%(id)s.%(ext)s"},
            "format": "bestaudio[ext=m4a]/bestaudio/best",
            "max_filesize": MAX_BYTES,
        }
        info = _in_background(_Job(link.url, options, ydl_factory, folder), progress)
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
    options = _options(cookies, cookies_from_browser) | {"extract_flat": "in_playlist"}
    if limit is not None:
        options["playlist_items"] = f"1:{limit}"
    info = _in_background(_Job(link.url, options, ydl_factory), progress)
    found = [entry for entry in info.get("entries") or () if entry and VIDEO_ID.fullmatch(str(entry.get("id")))]
    if not found:
        raise DownloadError("empty_playlist", "This playlist is empty or private; paste the link of another one.")
    return Playlist(_title(info), [Entry(entry["id"], _title(entry), entry.get("duration")) for entry in found])


def _title(info):
    return printable(info.get("title") or info.get("id") or "untitled")[:300]


def _options(cookies, cookies_from_browser):
    """What yt-dlp is told in any case: quiet, nothing from elsewhere, nothing kept."""
    return {
        "allowed_extractors": [r"youtube.*"], "noplaylist": True, "restrictfilenames": True, "cachedir": False,
        "fixup": "never", "external_downloader": {"default": "native"}, "quiet": True, "no_warnings": True, "noprogress": True,
        "retries": RETRIES, "socket_timeout": SOCKET_TIMEOUT,
        "cookiefile": _cookie_stream(cookies), "cookiesfrombrowser": _browser(cookies_from_browser),
    }


def _cookie_stream(cookies):
    """The cookies in memory: yt-dlp writes them back at its end, and the user's own file must stay as it is."""
    if not cookies:
        return None
    try:
        text = cookies.read() if hasattr(cookies, "read") else Path(cookies).read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise DownloadError("cookies", f"The cookies file {printable(cookies)} cannot be read; check its path.") from None
    if not any(line.count("\t") == 6 for line in text.splitlines()):
        raise DownloadError("cookies", "There are no cookies in the cookies file; export it in the format of Netscape (cookies.txt).")
    return io.StringIO(text)


def _browser(name):
    if not name:
        return None
    from yt_dlp.cookies import SUPPORTED_BROWSERS

    browser, _, profile = name.partition(":")
    if browser not in SUPPORTED_BROWSERS:
        raise DownloadError("cookies", f"{printable(browser)} is not one of the browsers {', '.join(sorted(SUPPORTED_BROWSERS))}.")
    return browser, profile or None, None, None


class _Job:
    """One call of yt-dlp, watched: its options, how far it is, and why it should end early.

    It is yt-dlp's logger too: what yt-dlp says goes nowhere, except where a file was too large, which raises nothing.
    """

    def __init__(self, url, options, ydl_factory, folder=None):
        self.url, self.ydl_factory, self.folder = url, ydl_factory, folder
        self.options = options | {"logger": self, "progress_hooks": [self._note]}
        if folder:
            self.options["match_filter"] = self._judge
        self.step = ("checking", 0, None)
        self.refusal = None
        self.abandoned = threading.Event()
        self.began = self.last_byte = time.monotonic()

    def run(self):
        """Do it, in the worker's thread; returns yt-dlp's info dict."""
        from yt_dlp import YoutubeDL
        from yt_dlp.utils import DownloadCancelled

        try:
            with (self.ydl_factory or YoutubeDL)(self.options) as ydl:
                _ = ydl.cookiejar  # cookies of a browser are read here, where a failure still has its name
                info = ydl.extract_info(self.url, download=self.folder is not None)
                if self.folder is None and info.get("entries"):
                    info["entries"] = list(info["entries"])  # pages are fetched here, where their failures are explained
        except DownloadCancelled:
            info = None
        except DownloadError:
            raise
        except Exception as error:
            raise explain(error) from error
        if self.refusal:
            raise self.refusal
        return info or {}

    def is_late(self):
        """Whether the server has been silent, or slow, for too long."""
        now = time.monotonic()
        return now - self.last_byte > PATIENCE or now - self.began > LONGEST

    def _judge(self, info, incomplete=False):
        """yt-dlp's match_filter: a reason not to download, or None."""
        status, seconds = info.get("live_status"), info.get("duration")
        if status == "is_upcoming":
            self.refusal = DownloadError("upcoming", "This video has not begun yet; try again after its premiere.")
        elif status in ("is_live", "post_live") or info.get("is_live"):
            self.refusal = DownloadError("live", "This is a live stream; try again when it is over and stands as a video.")
        elif seconds and seconds > MAX_SECONDS:
            self.refusal = DownloadError(
                "too_long", f"This video lasts {seconds / 3600:.1f} hours; {MAX_SECONDS // 3600} hours are the limit.")
        return self.refusal and str(self.refusal)

    def _note(self, state):
        """yt-dlp's progress hook."""
        from yt_dlp.utils import DownloadCancelled

        done, total = state.get("downloaded_bytes") or 0, state.get("total_bytes") or state.get("total_bytes_estimate")
        if done > self.step[1]:
            self.last_byte = time.monotonic()
        self.step = ("downloading", done, total)
        if done > MAX_BYTES:
            self._refuse_size()
        if self.refusal or self.abandoned.is_set():
            raise DownloadCancelled

    def _refuse_size(self):
        self.refusal = DownloadError("too_large", f"The sound of this video is larger than {MAX_BYTES // 1_000_000} MB; choose a shorter one.")

    def debug(self, message):
        if "larger than max-filesize" in message:
            self._refuse_size()

    def warning(self, message):
        """Not shown: what matters ends in an exception."""

    error = warning


def _in_background(job, progress):
    """Run a job in a thread and wait for its result, telling `progress` how far it is.

    Whatever ends the waiting (Cancelled, Ctrl-C, patience) leaves the thread behind: it cannot be killed while a
    server hangs, but it ends at its next sign of life, and then removes what it may have written after the folder went.
    """
    future = Future()

    def work():
        try:
            future.set_result(job.run())
        except BaseException as error:
            future.set_exception(error)
        if job.abandoned.is_set() and job.folder:
            shutil.rmtree(job.folder, ignore_errors=True)

    threading.Thread(target=work, name="download", daemon=True).start()
    try:
        if progress:
            progress(*job.step)
        while not wait([future], timeout=POLL).done:
            if progress:
                progress(*job.step)
            if job.is_late():
                raise DownloadError("timeout", "YouTube has sent nothing for too long; check the connection to the internet and try again.")
        if progress:
            progress(*job.step)
        return future.result()
    except BaseException:
        job.abandoned.set()
        raise
