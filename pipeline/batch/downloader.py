"""Downloads for a batch, politely: one after another, so many an hour, with pauses that double when they are refused.

A batch may run on a hundred processes, but YouTube is asked from one place, in one thread.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from pipeline.batch import PER_HOUR
from pipeline.errors import Cancelled, DownloadError
from pipeline.progress import note
from pipeline.song import download

FIRST_PAUSE = 60  # seconds
PAUSES = 6  # each twice as long as the last: an hour in all
REFUSALS_IN_A_ROW = 20
LONG = 30  # seconds; a longer pause is announced
_WAITING_HELPS = ("rate_limited", "no_network")
# One of these is about that video; many in a row are about us, or about changes that an update of yt-dlp knows.
_REFUSED = ("sign_in", "forbidden", "outdated", "unavailable", "protected", "timeout", "server_error")
_HOPELESS = ("disk_full", "temporary_folder", "cookies")


class DownloadsStopped(DownloadError):
    """No download has a chance at present. The batch goes on with files, and with links when it is run again."""


class Downloader:
    """A context in which links are downloaded in a thread of its own.

    Parameters
    ----------
    per_hour : float
        At most so many downloads and playlists an hour.
    fail_fast : bool
        Stop instead of waiting for the network, or until YouTube grants requests again.
    first_pause : float
        Seconds to wait the first time.
    access
        `cookies`, `cookies_from_browser` and `ydl_factory`, as in `pipeline.song.download.download`.
    """

    def __init__(self, per_hour=PER_HOUR, fail_fast=False, first_pause=FIRST_PAUSE, **access):
        self._per_hour, self._access = per_hour, access
        self._pauses = [] if fail_fast else [first_pause * 2**i for i in range(PAUSES)]
        self._thread, self._closing = ThreadPoolExecutor(1, "downloads"), threading.Event()
        self._next, self._refused, self._stopped = 0, 0, None

    def download(self, link):
        """A Future of `(song, stack)`: a `pipeline.song.download.Song`, whose file is there until `stack.close()`.

        The Future's exception is a DownloadError; DownloadsStopped, for this link and all that follow; or Cancelled.
        """
        return self._thread.submit(self._politely, self._download, link)

    def playlist(self, link):
        """A Future of the `pipeline.song.download.Playlist` of a link; exceptions as in `download`."""
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
        for n_failures in range(len(self._pauses) + 1):
            if self._stopped:
                raise self._stopped
            pause = self._next - time.monotonic()
            self._wait(pause, f"At most {self._per_hour} downloads an hour: the next one is at {_clock(pause)}.")
            self._next = time.monotonic() + 3600 / self._per_hour
            try:
                self._access["cookies"] = download.cookie_stream(self._access.get("cookies"))
                fetched = fetch(link, progress=self._stop_when_closing, **self._access)
                self._refused = 0
                return fetched
            except DownloadError as error:
                pauses = self._pauses[n_failures:]
                self._judge(error, is_last=not pauses)
                attempts = f"The next attempt is at {_clock(pauses[0])}, the last one at {_clock(sum(pauses))}"
                self._wait(pauses[0], f"{error} {attempts}; --fail-fast gives up at once.")

    def _judge(self, error, is_last):
        """Raise what a failed attempt means for the song or for the batch; return if it should be tried again."""
        self._refused = self._refused + 1 if error.kind in _REFUSED else 0
        if self._refused >= REFUSALS_IN_A_ROW:
            self._stop(
                error.kind, f"{self._refused} downloads in a row were refused. {error} Try again with --retry-failed."
            )
        if error.kind in _HOPELESS or (is_last and error.kind in _WAITING_HELPS):
            self._stop(error.kind, f"{error} The same command goes on afterwards.")
        if error.kind not in _WAITING_HELPS:
            raise error

    def _stop(self, kind, message):
        self._stopped = DownloadsStopped(kind, message)
        raise self._stopped

    def _wait(self, seconds, announcement):
        if seconds > LONG:
            note(announcement)
        if self._closing.wait(max(seconds, 0)):
            raise Cancelled

    def _stop_when_closing(self, *_):
        if self._closing.is_set():
            raise Cancelled


def _clock(seconds):
    """The time of day in so many seconds."""
    return time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
