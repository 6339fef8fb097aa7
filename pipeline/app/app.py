"""The demo: a link box, an answer, and an animation; the widget of notebooks/08_demo.ipynb, in JupyterLab and Voila.

A thread does the work (`pipeline.app.job`), so that the page stays alive and every step can be cancelled.
"""

import gc
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import ipywidgets as widgets

from pipeline.app.form import Form, in_app_words
from pipeline.app.job import Job, Request, load_in_background, remove_abandoned_folders
from pipeline.app.session import Session
from pipeline.app.stage import Stage
from pipeline.errors import Cancelled, PipelineError
from pipeline.song.download import end_in_order

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
PAUSE = 0.1  # seconds between two updates of the progress bar
CALM = 2  # seconds of drawing before its progress is shown beside the answer; most songs are drawn by then


class App(widgets.VBox):
    """The demo as one widget. A new App closes the one before it in the same kernel, so that its cell may run again.

    Without a browser: `app.link.value = "..."; app.button.click(); app.done.wait(60); app.stage.view`.

    Parameters
    ----------
    model_path : str or Path, optional
        By default the released model.
    samples : str or Path
        A folder whose songs get a button each.

    Attributes
    ----------
    link, button, cancel_button
        The link box, Submit and Cancel; the other controls are in `form`.
    stage : Stage
        What is shown.
    session : Session
        The songs so far.
    done : threading.Event
        Set while nothing is going on.
    """

    _open = None

    def __init__(self, model_path=None, samples=SAMPLES):
        if App._open:
            App._open.close_all()
        App._open = self
        end_in_order()
        remove_abandoned_folders()
        self._recognizer = load_in_background(model_path)
        self._lock = threading.RLock()  # around what the kernel's thread and the job's thread both change
        self._job = self._last_thread = None
        self._answered = ""  # the link of the last answer
        self._shown = (None, 0.0)  # the last step shown, and when
        self.done = threading.Event()
        self.done.set()
        self.session, self.stage = Session(), Stage(self._submit_text)
        self.form = Form(self, samples)
        self.link, self.button, self.cancel_button = self.form.link, self.form.submit, self.form.cancel
        self.player_box = widgets.VBox().add_class("po-place")
        self.table = widgets.HTML().add_class("po-session")
        super().__init__([self.form, self.stage, self.player_box, self.table])
        self.add_class("po-app")

    def __repr__(self):
        """What a saved notebook shows, where nothing runs."""
        return "The demo. Run this cell to use it."

    def close_all(self):
        """Stop, and take everything off the page."""
        self.cancel()
        _close(self)

    # What a person does

    def submit(self):
        """Work on the link in the box; what runs is cancelled first."""
        self._start(Request(self.link.value))

    def _submit_text(self, text):
        self.link.value = text
        self.submit()

    def submit_playlist(self):
        """Work on the playlist that contains the last video, whatever is in the box by now."""
        self._start(Request(self._answered, whole_playlist=True))

    def submit_file(self, path, title, folder=None):
        """Work on a file; `folder`, a TemporaryDirectory, is removed afterwards."""
        self._start(Request(path=path, title=title, folder=folder))

    def cancel(self):
        """Stop what is going on; the app is ready for the next song at once."""
        with self._lock:
            if not self.done.is_set():
                self._stop()
                self._reserve_player(False)
                self.stage.rest("Cancelled")
                self._rest()

    def _start(self, request):
        with self._lock:
            self._prepare()
            vars(request).update(self.form.choices())
            self.stage.working("decoding" if request.path else "checking")
            self._job = Job(request, self._recognizer, self, after=self._last_thread)
            self._last_thread = self._job.thread
            self._job.thread.start()

    def _prepare(self):
        """End what runs, and clear the page for the next song."""
        self._stop()
        self.done.clear()
        self._replace_player(None)
        self.form.offer_playlist(False)
        self.cancel_button.disabled = False

    def _stop(self):
        self.form.upload.cancel()
        if self._job:
            self._job.cancelled.set()
            self._job = None
        self.session.drop_open()
        self._show_table()

    def _rest(self):
        self._job = None
        self.cancel_button.disabled = True
        self.done.set()

    # What an upload reports, before it calls `submit_file`

    def upload_begins(self):
        """The browser starts to send a file."""
        with self._lock:
            self._prepare()
            self._reserve_player(True)

    def upload_moves(self, done, total):
        """A piece of the file has arrived: `done` of `total` bytes."""
        self.stage.working("uploading", done, total)

    def upload_fails(self, error):
        """The file cannot be taken."""
        with self._lock:
            self._reserve_player(False)
            self.stage.failure(str(error))
            self._rest()

    # What a job reports, from its thread; a cancelled job is ignored

    def job_moves(self, job, step, done, total):
        """A step goes on."""
        now = time.monotonic()
        if step == "drawing" and self._shown[0] != step:
            self._shown = step, now + CALM
        if self._shown[0] == step and now - self._shown[1] < PAUSE:
            return
        self._shown = step, now
        with self._only(job):
            detail = job.row.title if job.row and job.row.is_open else ""
            if job.row and len(job.rows) > 1:
                detail = f"Song {job.rows.index(job.row) + 1} of {len(job.rows)}: {detail}"
            self.stage.working(step, done, total, detail, beside_answer=True)

    def job_reads_list(self, job):
        """A playlist is read. It gets no player: the table below moves up at the click, not seconds later."""
        with self._only(job):
            self._reserve_player(False)

    def job_lists(self, job, songs):
        """These are the songs, a list of (title, source); returns a row of the session for each."""
        with self._only(job):
            rows = [self.session.add(title, source) for title, source in songs]
            self._reserve_player(len(rows) == 1)
            self._show_table()
            return rows

    def job_names(self, job, title):
        """The song is downloaded, and this is its title."""
        with self._only(job):
            job.row.title = title
            self._show_table()

    def job_answers(self, job, recognition, url):
        """The song has its label."""
        with self._only(job):
            job.row.recognition = recognition
            self.stage.answer(recognition, url)
            self._answered = job.request.text
            self.form.offer_playlist(job.offers_playlist)
            self._show_table()

    def job_draws(self, job, player):
        """The player of the song is ready, or None."""
        with self._only(job):
            self._replace_player(player)
            if self.stage.view.get("more"):
                self.stage.rest(self.stage.view["live"])

    def job_fails(self, job, error):
        """The song, or the request before any song is known, has no answer."""
        with self._only(job):
            error = PipelineError(error.kind, in_app_words(error))
            if job.row:
                job.row.error = error
                self._show_table()
            if len(job.rows) <= 1:
                self._reserve_player(False)
                self.stage.failure(str(error), job.row.title if job.row else "")

    def job_ends(self, job):
        """Nothing more will come."""
        with self._lock:
            if job is not self._job:
                return
            if len(job.rows) > 1:
                self.stage.summary([row.recognition and row.recognition.label for row in job.rows])
            self._rest()
        gc.collect()  # anywidget makes a class for each widget, which would keep the songs before in memory

    @contextmanager
    def _only(self, job):
        """Hold the lock, if this is the current job; any other is told to stop."""
        with self._lock:
            if job is not self._job:
                raise Cancelled
            yield

    def _replace_player(self, player):
        before, self.player_box.children = self.player_box.children, (player,) if player else ()
        for each in before:
            _close(each)

    def _reserve_player(self, reserved):
        """Reserve the place of the player while its song is judged, so that the table below does not jump."""
        (self.player_box.add_class if reserved else self.player_box.remove_class)("po-kept")

    def _show_table(self):
        self.table.value = self.session.to_html()


def _close(widget):
    """Close a widget and all within it, so that the kernel and the browser forget them."""
    for child in getattr(widget, "children", ()):
        _close(child)
    for part in ("layout", "style"):
        if hasattr(widget, part):
            getattr(widget, part).close()
    widget.close()
