"""Downloads for a batch, politely: one after another, so many an hour, and after a "too many requests" a pause that doubles.

A batch may run on a hundred processes, but YouTube is asked from one place, in one thread.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from pipeline.batch import PER_HOUR
from pipeline.errors import Cancelled, DownloadError
from pipeline.song import download

FIRST_PAUSE = 60  # seconds
PAUSES = 6  # each twice as long as the last: an hour in all
ATTEMPTS = PAUSES + 1
REFUSALS_IN_A_ROW = 20
_TOO_FAST = ("rate_limited", "no_network")  # waiting helps
_REFUSED = ("sign_in", "forbidden", "outdated")  # one may be about that video, many are about us
_HOPELESS = ("disk_full", "cookies")


class DownloadsStopped(DownloadError):
    """No download has a chance at present: the batch should stop, and be continued later."""


class Downloader:
    """A context in which links are downloaded in a thread of its own.

    Parameters
    ----------
    per_hour : float
        At most so many downloads and playlists an hour.
    first_pause : float
        Seconds to wait after the first "too many requests".
    access
        `cookies`, `cookies_from_browser` and `ydl_factory`, as in `pipeline.song.download.download`.
    """

    def __init__(self, per_hour=PER_HOUR, first_pause=FIRST_PAUSE, **access):
        self._interval, self._first_pause, self._access = 3600 / per_hour, first_pause, access
        self._thread, self._closing = ThreadPoolExecutor(1, "downloads"), threading.Event()
        self._next, self._refused = 0, 0

    def download(self, link):
        """A Future of `(song, stack)`: a `pipeline.song.download.Song`, whose file is there until `stack.close()`."""
        return self._thread.submit(self._politely, self._download, link)

    def playlist(self, link):
        """A Future of the `pipeline.song.download.Playlist` of a link."""
        return self._thread.submit(self._politely, download.playlist, link)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._closing.set()
        self._thread.shutdown(cancel_futures=True)

    def _download(self, link, **options):
        with ExitStack() as stack:
            song = stack.enter_context(download.download(link, **options))
            return song, stack.pop_all()

    def _politely(self, fetch, link):
        """`fetch(link)`; raises its DownloadError, or DownloadsStopped."""
        for pause in [self._first_pause * 2**i for i in range(PAUSES)] + [None]:
            self._wait(self._next - time.monotonic())
            self._next = time.monotonic() + self._interval
            try:
                self._access["cookies"] = download.cookie_stream(self._access.get("cookies"))
                fetched = fetch(link, progress=self._stop_when_closing, **self._access)
                self._refused = 0
                return fetched
            except DownloadError as error:
                self._judge(error, is_last=pause is None)
            self._wait(pause)

    def _judge(self, error, is_last):
        """Raise what a failed attempt means for the song or for the batch; return if it should be tried again."""
        self._refused = self._refused + 1 if error.kind in _REFUSED else 0
        if error.kind in _HOPELESS or (is_last and error.kind in _TOO_FAST):
            raise DownloadsStopped(error.kind, f"{error} The same command goes on afterwards.") from error
        if self._refused >= REFUSALS_IN_A_ROW:
            raise DownloadsStopped(
                error.kind,
                f"{self._refused} downloads in a row were refused. {error} The same command with "
                "--retry-failed goes on afterwards.",
            ) from error
        if error.kind not in _TOO_FAST:
            raise error

    def _wait(self, seconds):
        if self._closing.wait(max(seconds, 0)):
            raise Cancelled

    def _stop_when_closing(self, *_):
        if self._closing.is_set():
            raise Cancelled
