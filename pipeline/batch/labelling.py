"""Label every song of a long list: it may be killed and goes on where it was, on one core or on a cluster.

This process reads the list, downloads what is a link, and writes the journal; other processes decode and listen, each
song in one of them. Rows depend on the list, the model and the seed, never on who made them or in what order.
"""

import hashlib
import os
import platform
import threading
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from nn import ModelFileError, parallel
from pipeline.batch import song_list
from pipeline.batch.downloader import Downloader, DownloadsStopped
from pipeline.batch.journal import BatchError, Journal
from pipeline.errors import PipelineError
from pipeline.progress import note
from pipeline.song import cleaning, recognition
from pipeline.song.links import Link
from pipeline.song.recognition import Failure, Recognizer
from pipeline.workers import Pool, WorkerDied

AHEAD = 2  # songs at hand for each process, so that none waits for the next
READ = 1000  # lines of the list from one sign of life to the next


@dataclass(frozen=True)
class Summary:
    """How a batch ended: how many songs were labelled, how many failed, and how many for each kind of error."""

    labelled: int
    failed: int
    reasons: dict


def run(
    songs,
    out,
    model=None,
    workers=None,
    dask=None,
    n_clips=None,
    seed=0,
    retry_failed=False,
    progress=None,
    **downloads,
):
    """Label the songs of a list into a Parquet file; the same call goes on with what was begun.

    Parameters
    ----------
    songs : str or Path
        A list with a link, file or folder on each line, or a folder of sound files.
    out : str or Path
        The Parquet file, with a row a song in the order of the list: the columns of `label --json`, and title. The
        journal grows beside it, `out` with `.journal` appended.
    model, n_clips, seed
        As in `Recognizer` and its `recognize_each`.
    workers, dask
        As in `pipeline.workers.Pool`.
    retry_failed : bool
        Try again what has failed in an earlier run.
    progress : callable, optional
        `progress("reading", songs_so_far, None)` now and then while a long list is read, then
        `progress("listening", songs_done, songs_in_all)` after each song. What it raises stops the run.
    downloads
        As in `pipeline.batch.downloader.Downloader`.

    Returns a Summary. Raises PipelineError: BatchError where `out` belongs to something else or cannot be written;
    SourceError for a bad list; "dask", "model", "storage" or "worker" where workers cannot do their part; and
    DownloadsStopped, with all rows so far in the Parquet file. Every row is kept.
    """
    class_names = Recognizer(model).class_names
    version = Version(model and str(Path(model).absolute()), fingerprint(model or recognition.MODEL_PATH))
    about = {
        "list": song_list.digest(songs),
        "model": version.sha256,
        "number of clips": str(n_clips or "all"),
        "seed": str(seed),
    }
    stopped = None
    with Journal(out, about) as journal:
        if journal.is_new:
            journal.fill(_keyed(song_list.entries(songs), progress))
        if retry_failed:
            journal.retry_failed()
        if journal.count()[0]:
            with Pool(workers, dask) as pool, Downloader(**downloads) as downloader:
                stopped = _Run(journal, pool, downloader, (version, n_clips, seed), Path(songs).parent, progress).run()
        pending, labelled, failed = journal.count()
        if labelled + failed and not journal.is_written:
            journal.write_parquet(class_names)
        if stopped:
            so_far = f"{labelled:,} labelled, {failed:,} failed, {pending:,} left"
            raise DownloadsStopped(stopped.kind, f"{stopped} So far: {so_far}.")
        return Summary(labelled, failed, journal.reasons())


def _keyed(entries, progress):
    """The entries of a list with their keys; for these links are parsed, which takes a while."""
    for n, entry in enumerate(entries, 1):
        yield entry, song_list.key(entry)
        if progress and n % READ == 0:
            progress("reading", n, None)


def fingerprint(path):
    """The SHA-256 of a file: which version of a model it holds."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class Version:
    """A model file, `path` (None: the released one, wherever the code is), and the SHA-256 that it must have."""

    path: str | None
    sha256: str


def listen(path, seconds, source, title, version, n_clips, seed):
    """In some process: the row of one song, a dict for JSON. Raises BatchError if this process cannot do its part."""
    recognizer = _recognizer(version, threading.get_ident())
    try:
        clips = cleaning.clean(path, seconds)
        answer = recognizer.judge(clips, n_clips, seed, source=source, title=title)
    except PipelineError as error:
        answer = Failure(source, error)
    except ModelFileError as error:
        raise BatchError("model", str(error)) from None
    except Exception as error:  # one odd song must not end a run of days
        answer = Failure(source, PipelineError("unexpected", f"{type(error).__name__}: {error}"[:500]))
    return {"title": title} | answer.to_dict()


@lru_cache
def _recognizer(version, thread):
    """The model of a thread, since layers keep what they computed last; checked to be the one that is asked for."""
    parallel.set_threads(1)
    path = version.path or recognition.MODEL_PATH
    try:
        if fingerprint(path) == version.sha256:
            return Recognizer(path)
    except ModelFileError as error:
        raise BatchError("model", f"The worker on {platform.node()} cannot read the model ({error}).") from None
    fault = f"The worker on {platform.node()} has another version of the model {path}"
    raise BatchError("model", f"{fault}; copy the same file to every machine.")


class _Run:
    """The loop: songs out of the journal, to the downloader and the workers, and rows back into it."""

    def __init__(self, journal, pool, downloader, settings, folder, progress):
        self.journal, self.pool, self.downloader = journal, pool, downloader
        self.settings, self.folder, self.progress = settings, folder, progress
        self.running = {}  # Future -> what to do with it when it is done
        self.at_hand = {}  # id of a song -> whether it is a link
        self.stopped = None  # the DownloadsStopped after which only files go on
        self.pending, *done = journal.count()
        self.done = sum(done)

    def run(self):
        """Label all that is pending; returns the DownloadsStopped that left links behind, or None."""
        self._tell()
        while self._start_some() or self.running:
            for task in wait(self.running, return_when=FIRST_COMPLETED).done:
                self.running.pop(task)(task)
        return self.stopped

    def _start_some(self):
        """Keep the workers busy; returns whether there was anything to start."""
        started = False
        for links in (False, True):  # files go on while links wait
            n_at_hand, n_most = sum(is_link == links for is_link in self.at_hand.values()), AHEAD * self.pool.slots
            if n_at_hand < n_most and not (links and self.stopped):
                for song in self.journal.pending(n_most, links):
                    if song.id not in self.at_hand:
                        self.at_hand[song.id] = links
                        self._start(song)
                        started = True
        return started

    def _start(self, song):
        targets = song_list.targets(song.source, self.folder)
        source, target = targets[0]
        if source != song.source:
            self._put_in_place(song, [path for path, _ in targets])
        elif isinstance(target, PipelineError):
            self._record(song, Failure(source, target).to_dict())
        elif isinstance(target, Link) and target.kind == "playlist":
            self.running[self.downloader.playlist(target)] = partial(self._expand, song)
        elif isinstance(target, Link):
            self.running[self.downloader.download(target)] = partial(self._downloaded, song)
        else:
            self._listen(song, target.absolute(), None, target.name)

    def _listen(self, song, path, seconds, title, stack=None):
        task = self.pool.submit(listen, str(path), seconds, song.source, title, *self.settings)
        self.running[task] = partial(self._heard, song, path=path, stack=stack)

    def _heard(self, song, task, path, stack):
        is_there = os.path.exists(path)
        if stack:
            stack.close()
        try:
            row = task.result()
        except WorkerDied as error:
            row = Failure(song.source, error).to_dict()
        except PipelineError:
            raise
        except Exception as error:  # raised before `listen` began, such as by a missing module
            reason = f"A worker could not begin ({type(error).__name__}: {error})"
            raise BatchError("worker", f"{reason}; it must run the same version of this code.") from error
        if row.get("error") == "missing" and is_there:
            remedy = "every worker must see songs, and the folder for downloads (TMPDIR), under the same path"
            raise BatchError("storage", f"A worker does not see {path}; {remedy}.")
        self._record(song, row)

    def _downloaded(self, song, task):
        if (fetched := self._fetched(song, task)) is not None:
            downloaded, stack = fetched
            self._listen(song, downloaded.path, downloaded.seconds, downloaded.title, stack)

    def _expand(self, song, task):
        if (playlist := self._fetched(song, task)) is not None:
            self._put_in_place(song, [entry.url for entry in playlist.entries])

    def _fetched(self, song, task):
        """What the downloader got, or None where it failed and that is its row."""
        try:
            return task.result()
        except DownloadsStopped as error:
            self.stopped = error
        except PipelineError as error:
            self._record(song, Failure(song.source, error).to_dict())

    def _put_in_place(self, song, sources):
        self.journal.expand(song, ((source, song_list.key(source)) for source in sources))
        self.at_hand.pop(song.id)
        self.pending = self.journal.count()[0]
        self._tell()

    def _record(self, song, row):
        self.journal.record(song, row)
        if row.get("error") == "unreadable":  # perhaps a folder, with songs in it
            note(row["message"])
        self.at_hand.pop(song.id)
        self.pending, self.done = self.pending - 1, self.done + 1
        self._tell()

    def _tell(self):
        if self.progress:
            self.progress("listening", self.done, self.pending + self.done)
