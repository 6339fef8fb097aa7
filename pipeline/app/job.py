"""One submission of the demo, in a thread: a link, a playlist or a file -> answers.

It reports to a listener and can be stopped at any time; when it ends, nothing of a song is left on the disk.
"""

import io
import logging
import platform
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from pipeline.app.player import player_of
from pipeline.app.recording import Recording
from pipeline.errors import Cancelled, PipelineError
from pipeline.song import audio, download, links
from pipeline.song.links import Link

LONGEST_PLAYLIST = 50  # songs
_LOADER = ThreadPoolExecutor(1, "loading")  # two threads must not import one package at the same time


def remove_abandoned_folders():
    """Remove the temporary folders that killed processes of this machine have left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{download.FOLDER}*"):  # several machines may share this disk
        process, _, rest = folder.name.removeprefix(download.FOLDER).partition("-")
        is_ours = process.isdecimal() and len(process) < 10 and rest.rpartition("-")[0] == platform.node()
        if is_ours and not psutil.pid_exists(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def load_in_background(model_path=None):
    """A Future of the Recognizer. The page appears first; by the time it is done, all slow imports are done, too."""
    return _LOADER.submit(_load, model_path)


def _load(model_path):
    try:
        import yt_dlp  # noqa: F401 - slow to import

        from pipeline.song.recognition import Recognizer

        return Recognizer(model_path)
    except Exception as error:
        raise PipelineError("no_model", f"The trained network cannot be loaded: {error}") from error


@dataclass
class Request:
    """What a person asked for: the text of a link, or a file; and how.

    `folder`, of an uploaded file, is removed at the end. `whole_playlist` takes the playlist of a video's link.
    `cookies` is the text of a cookies.txt, `browser` the name of a browser that has some.
    """

    text: str = ""
    path: Path | None = None
    title: str = ""
    folder: TemporaryDirectory | None = None
    whole_playlist: bool = False
    n_clips: int | None = None
    cookies: str = ""
    browser: str | None = None


class Job:
    """A request in a thread; `job.thread.start()` begins.

    Parameters
    ----------
    request : Request
    recognizer : concurrent.futures.Future
        From `load_in_background`; it may still be loading.
    listener : object
        `job_reads_list(job)` for a playlist; `job_lists(job, [(title, source), ...])` once, which returns the rows.
        Then for each song `job_names(job, title)`, and `job_answers(job, recognition, url)` or `job_fails(job, error)`,
        which may also come first; `job_draws(job, player)` for a single song. `job_moves(job, step, done, total)` in
        between, `job_ends(job)` last. It may raise Cancelled: the job ends.
    after : threading.Thread, optional
        Of the job before, which is waited for: both use one network.

    Attributes
    ----------
    cancelled : threading.Event
        Set it to stop the job at its next step.
    offers_playlist : bool
        Whether the link is of a video within a playlist.
    rows, row
        A row of the session for each song, and that of the song at hand.
    """

    def __init__(self, request, recognizer, listener, after=None):
        self.request, self.cancelled, self.offers_playlist = request, threading.Event(), False
        self.rows, self.row = [], None
        self._recognizer, self._listener = recognizer, listener
        self.thread = threading.Thread(target=self._run, args=[after], name="job", daemon=True)

    def _run(self, after):
        try:
            if after:
                after.join()
            with self._reporting_errors():
                self._judge_all()
        except Cancelled:
            pass
        finally:
            if self.request.folder:
                self.request.folder.cleanup()
            self._listener.job_ends(self)

    @contextmanager
    def _reporting_errors(self):
        """Report any error within to the listener, as one sentence."""
        try:
            yield
        except PipelineError as error:
            self._listener.job_fails(self, error)
        except Cancelled:
            raise
        except Exception as error:  # a fault of ours; nobody at a web page can use its traceback
            logging.getLogger(__name__).info("unexpected", exc_info=True)
            sentence = f"Something unexpected happened ({type(error).__name__}); try again, or another song."
            self._listener.job_fails(self, PipelineError("unexpected", sentence))

    def _judge_all(self):
        recognizer = self._loaded()
        songs = self._songs()
        self.rows = self._listener.job_lists(self, [(title, source) for title, source, _ in songs])
        for row, (_, _, link) in zip(self.rows, songs):
            self.row = row
            with self._reporting_errors():
                self._judge(link, recognizer, draw=len(songs) == 1)

    def _loaded(self):
        """The Recognizer, as soon as it is loaded; this thread imports nothing before."""
        while not wait([self._recognizer], timeout=0.1).done:
            self._moves("loading", 0, None)
        return self._recognizer.result()

    def _songs(self):
        """What is to be judged: a list of (title, source, Link or None for the file)."""
        if self.request.path:
            return [(self.request.title, self.request.title, None)]
        self._moves("checking", 0, None)
        link = links.parse(self.request.text)
        if link.kind == "playlist" or (self.request.whole_playlist and link.playlist_id):
            self._listener.job_reads_list(self)
            whole = Link("playlist", link.playlist_id, link.playlist_id)
            entries = download.playlist(whole, LONGEST_PLAYLIST, self._moves, **self._access()).entries
            return [(entry.title, entry.url, entry.link) for entry in entries]
        self.offers_playlist = bool(link.playlist_id)
        return [(link.url, link.url, link)]

    def _judge(self, link, recognizer, draw):
        """Judge one song, and, if asked to, draw it."""
        from pipeline.song import cleaning

        recording = Recording()
        with self._opened(link) as (path, title, url, seconds):
            self._listener.job_names(self, title)
            self._moves("decoding", 0, None)
            length = seconds  # as announced, or as the file says when it is open

            def decoded(_, __, total):
                nonlocal length
                length = total or length
                self._stop_if_cancelled()

            def listened(step, done, _):
                self._moves(step, done, length)

            clips = cleaning.Clips(lambda: recording.tap(audio.decode(path, seconds, decoded)))
            try:
                recognition = recognizer.judge(
                    clips, self.request.n_clips, progress=listened, source=url or title, title=title
                )
            except PipelineError as error:
                raise PipelineError(error.kind, str(error).replace(path.name, "This file")) from error
        self._listener.job_answers(self, recognition, url)
        if draw:
            self._listener.job_draws(self, self._player(recording, recognition, recognizer))

    @contextmanager
    def _opened(self, link):
        """The file of a song while it is needed: (path, title, address, announced seconds)."""
        if link is None:
            yield self.request.path, self.request.title, None, None
        else:
            with download.download(link, self._moves, **self._access()) as song:
                yield song.path, song.title, song.url, song.seconds

    def _player(self, recording, recognition, recognizer):
        """The Player of a song, or None where it cannot be drawn: the answer stands all the same."""
        try:
            return player_of(recording, recognition, recognizer, self._moves)
        except Cancelled:
            raise
        except Exception:
            logging.getLogger(__name__).info("not drawn", exc_info=True)

    def _access(self):
        cookies = io.StringIO(self.request.cookies) if self.request.cookies else None
        return {"cookies": cookies, "cookies_from_browser": self.request.browser}

    def _moves(self, step, done, total):
        self._stop_if_cancelled()
        self._listener.job_moves(self, step, done, total)

    def _stop_if_cancelled(self):
        if self.cancelled.is_set():
            raise Cancelled
