"""One submission of the demo, worked through in a thread: a link, a playlist or a file -> answers.
It tells a listener what happens and can be stopped at any time; nothing of a song is left when it ends.
"""

import io
import logging
import platform
import shutil
import tempfile
import threading
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from pipeline.app.player import player_of
from pipeline.app.recording import Recording
from pipeline.errors import Cancelled, PipelineError
from pipeline.song import audio, cleaning, download, links
from pipeline.song.links import Link

LONGEST_PLAYLIST = 50  # songs
_LOADING = threading.Lock()  # two threads that import one package at the same time break it for both


def remove_what_others_left():
    """Remove the songs of this machine's processes that were killed; whoever ends otherwise removes its own."""
    for folder in Path(tempfile.gettempdir()).glob(
        f"{download.FOLDER}*"
    ):  # which may lie on a disk that machines share
        process, _, rest = folder.name.removeprefix(download.FOLDER).partition("-")
        is_ours = process.isdecimal() and len(process) < 10 and rest.rpartition("-")[0] == platform.node()
        if is_ours and not psutil.pid_exists(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def load_in_background(model_path=None):
    """A Future of the Recognizer: the page appears first, and all that is slow to import is there when the future is done."""
    future = Future()

    def load():
        try:
            with _LOADING:
                import yt_dlp  # noqa: F401

                from pipeline.song.recognition import Recognizer

                future.set_result(Recognizer(model_path))
        except Exception as error:
            future.set_exception(PipelineError("no_model", f"The trained network cannot be loaded: {error}"))

    threading.Thread(target=load, name="loading", daemon=True).start()
    return future


@dataclass
class Request:
    """What a person asked for: the text of a link, or a file; and how.

    `folder`, of an uploaded file, is removed at the end. `whole_playlist` takes the list that a video's link is in.
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
        `job_reads_list(job)` for a playlist; `job_lists(job, [(title, source), ...])` once, or `job_fails(job, error)` where
        the request stands for no song;
        `job_opens(job, index)` for each song, `job_names(job, title)` when it is downloaded, then
        `job_answers(job, recognition, url)` or `job_fails(job, error)`; `job_draws(job, player)` for a song by itself;
        `job_moves(job, step, done, total)` in between; `job_ends(job)`. It may raise Cancelled, which ends the job.
    after : threading.Thread, optional
        Of the job before, which is waited for: both use one network.

    Attributes
    ----------
    cancelled : threading.Event
        To be set to stop the job, which it does at its next sign of life.
    offers_playlist : bool
        Whether the link is of a video that is shown within a playlist.
    """

    def __init__(self, request, recognizer, listener, after=None):
        self.request, self.cancelled, self.offers_playlist = request, threading.Event(), False
        self._recognizer, self._listener = recognizer, listener
        self.thread = threading.Thread(target=self._run, args=[after], name="job", daemon=True)

    def _run(self, after):
        try:
            if after:
                after.join()
            with self._in_words():
                self._judge_all()
        except Cancelled:
            pass
        finally:
            if self.request.folder:
                self.request.folder.cleanup()
            self._listener.job_ends(self)

    @contextmanager
    def _in_words(self):
        """Whatever goes wrong within is told to the listener, in a sentence."""
        try:
            yield
        except PipelineError as error:
            self._listener.job_fails(self, error)
        except Cancelled:
            raise
        except Exception as error:  # before an audience, even a mistake of ours
            logging.getLogger(__name__).info("unexpected", exc_info=True)
            what = type(error).__name__
            self._listener.job_fails(
                self,
                PipelineError("unexpected", f"Something unexpected happened ({what}); try again, or another song."),
            )

    def _judge_all(self):
        recognizer = self._awaited()
        songs = self._songs()
        self._listener.job_lists(self, [(title, source) for title, source, _ in songs])
        for index, (_, _, link) in enumerate(songs):
            self._listener.job_opens(self, index)
            with self._in_words():
                self._judge(link, recognizer, draw=len(songs) == 1)

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
        heard = Recording()
        with self._opened(link) as (path, title, url, seconds):
            self._listener.job_names(self, title)
            self._moves("decoding", 0, None)
            length = [seconds]  # as announced, or as the file says when it is open

            def decoded(_, __, total):
                length[0] = total or length[0]
                self._stop_if_cancelled()

            def listened(step, done, _):
                self._moves(step, done, length[0])

            clips = cleaning.Clips(lambda: heard.tap(audio.decode(path, seconds, decoded)))
            try:
                recognition = recognizer.judge(
                    clips, self.request.n_clips, progress=listened, source=url or title, title=title
                )
            except PipelineError as error:
                raise PipelineError(error.kind, str(error).replace(path.name, "This file")) from error
        self._listener.job_answers(self, recognition, url)
        if draw:
            self._listener.job_draws(self, self._player(heard, recognition, recognizer))

    def _player(self, heard, recognition, recognizer):
        """The song to look at; None where it cannot be drawn, since the answer stands all the same."""
        try:
            return player_of(heard, recognition, recognizer, self._moves)
        except Cancelled:
            raise
        except Exception:
            logging.getLogger(__name__).info("not drawn", exc_info=True)

    @contextmanager
    def _opened(self, link):
        """The file of a song while it is needed: (path, title, address, announced seconds)."""
        if link is None:
            yield self.request.path, self.request.title, None, None
        else:
            with download.download(link, self._moves, **self._access()) as song:
                yield song.path, song.title, song.url, song.seconds

    def _access(self):
        cookies = io.StringIO(self.request.cookies) if self.request.cookies else None
        return {"cookies": cookies, "cookies_from_browser": self.request.browser}

    def _awaited(self):
        """The Recognizer, as soon as it is loaded; nothing is imported here before."""
        while not wait([self._recognizer], timeout=0.1).done:
            self._moves("waking", 0, None)
        return self._recognizer.result()

    def _moves(self, step, done, total):
        self._stop_if_cancelled()
        self._listener.job_moves(self, step, done, total)

    def _stop_if_cancelled(self, *_):
        if self.cancelled.is_set():
            raise Cancelled
