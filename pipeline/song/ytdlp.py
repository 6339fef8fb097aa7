"""One call of yt-dlp, in a thread of its own, so that whoever waits for it can stop at once.

The caller's thread reports progress ten times a second and may give up at any time, even while a server hangs.
What goes wrong ends in a DownloadError; what yt-dlp prints goes nowhere.
"""

import shutil
import threading
import time
from concurrent.futures import Future, wait

from pipeline.errors import DownloadError
from pipeline.song.refusals import explain

MAX_SECONDS = 4 * 3600  # of a song
MAX_BYTES = 400_000_000  # of a file; four hours at 220 kbit/s, more than YouTube's sound has
SOCKET_TIMEOUT = 15  # seconds without a byte until yt-dlp tries again
RETRIES = 3
PATIENCE = 90  # seconds without a new byte, or another page of a list, until the call is given up
LONGEST = 1800  # seconds that a download may take in all
POLL = 0.1  # seconds between two calls of `progress`


def call(url, options, folder=None, progress=None, ydl_factory=None):
    """Let yt-dlp look at an address, and download its sound where a folder is given.

    Parameters
    ----------
    url : str
        Canonical, from `pipeline.song.links.Link`.
    options : dict
        For yt-dlp, in addition to those that always hold.
    folder : str, optional
        Where the sound goes. When the call is given up, the folder may be deleted at once: the thread that is left
        behind deletes whatever it still writes there.
    progress, ydl_factory
        As in `pipeline.song.download.download`.

    Returns
    -------
    dict
        yt-dlp's info; `entries` is a list, where there are any.

    Raises
    ------
    DownloadError
    """
    job = _Job(url, options, folder, ydl_factory)
    future = Future()

    def work():
        try:
            future.set_result(job.run())
        except BaseException as error:
            future.set_exception(error)
        if job.abandoned.is_set() and folder:
            shutil.rmtree(folder, ignore_errors=True)

    threading.Thread(target=work, name="yt-dlp", daemon=True).start()
    try:
        _watch(job, future, progress or (lambda *_: None))
        return future.result()
    except BaseException:  # Cancelled, Ctrl-C: a thread cannot be killed, but it ends at its next sign of life
        job.abandoned.set()
        raise


def _watch(job, future, progress):
    """Wait for the end of a job, as long as there is hope."""
    progress(*job.step)
    while not wait([future], timeout=POLL).done:
        progress(*job.step)
        if job.is_late():
            message = "YouTube has sent nothing for too long; check the connection to the internet and try again."
            raise DownloadError("timeout", message)
    progress(*job.step)


class _Job:
    """One call: its options, how far it is, and why it should end early. It is yt-dlp's logger too."""

    def __init__(self, url, options, folder, ydl_factory):
        self.url, self.folder, self.ydl_factory = url, folder, ydl_factory
        self.options = self._common_options() | options
        if folder:
            self.options |= self._download_options()
        self.step = ("checking", 0, None)
        self.refusal = None
        self.abandoned = threading.Event()
        self.began = self.last_sign = time.monotonic()

    def run(self):
        """Do it, in the worker's thread; returns yt-dlp's info."""
        from yt_dlp import YoutubeDL
        from yt_dlp.utils import DownloadCancelled

        info = {}
        try:
            with (self.ydl_factory or YoutubeDL)(self.options) as ydl:
                info = ydl.extract_info(self.url, download=bool(self.folder)) or {}
                if "entries" in info:
                    info["entries"] = list(info["entries"])  # the later pages, while failures are explained
        except DownloadCancelled:
            pass
        except Exception as error:
            raise explain(error) from error
        if self.refusal:
            raise self.refusal
        return info

    def is_late(self):
        """Whether the server has been silent, or slow, for too long."""
        now = time.monotonic()
        return now - self.last_sign > PATIENCE or now - self.began > LONGEST

    def _common_options(self):
        """Quiet, nothing from elsewhere, nothing kept."""
        return {
            "allowed_extractors": [r"youtube.*"],
            "noplaylist": True,
            "cachedir": False,
            "quiet": True,
            "no_warnings": True,
            "noprogress": True,
            "logger": self,
            "retries": RETRIES,
            "socket_timeout": SOCKET_TIMEOUT,
        }

    def _download_options(self):
        """The best sound as it is, by yt-dlp alone, within the limits, into the folder and no other."""
        return {
            "format": "bestaudio[ext=m4a]/bestaudio/best",
            "fixup": "never",
            "external_downloader": {"default": "native"},
            "paths": {"home": self.folder, "temp": self.folder},
            "outtmpl": {"default": "%(id)s.%(ext)s"},
            "restrictfilenames": True,
            "max_filesize": MAX_BYTES,
            "match_filter": self._judge,
            "progress_hooks": [self._note],
        }

    def _judge(self, info, incomplete=False):
        """yt-dlp's match_filter: a reason not to download, or None."""
        status, seconds = info.get("live_status"), info.get("duration")
        if status == "is_upcoming":
            self.refusal = DownloadError("upcoming", "This video has not begun yet; try again after its premiere.")
        elif status in ("is_live", "post_live") or info.get("is_live"):
            message = "This is a live stream; try again when it is over and published as a video."
            self.refusal = DownloadError("live", message)
        elif seconds and seconds > MAX_SECONDS:
            message = f"This video lasts {seconds / 3600:.1f} hours; {MAX_SECONDS // 3600} hours are the limit."
            self.refusal = DownloadError("too_long", message)
        return self.refusal and str(self.refusal)

    def _note(self, state):
        """yt-dlp's progress hook."""
        from yt_dlp.utils import DownloadCancelled

        done = state.get("downloaded_bytes") or 0
        if done > self.step[1]:
            self.last_sign = time.monotonic()
        self.step = ("downloading", done, state.get("total_bytes") or state.get("total_bytes_estimate"))
        if done > MAX_BYTES:  # where no length was announced
            self._refuse_size()
        if self.refusal or self.abandoned.is_set():
            raise DownloadCancelled

    def _refuse_size(self):
        message = f"The sound of this video is larger than {MAX_BYTES // 1_000_000} MB; choose a shorter one."
        self.refusal = DownloadError("too_large", message)

    def debug(self, message):
        """A line that yt-dlp would print: a sign of life, and the only one about a file that is too large."""
        self.last_sign = time.monotonic()
        if "larger than max-filesize" in message:
            self._refuse_size()

    def warning(self, message):
        """Not shown: what matters ends in an exception."""

    error = warning
