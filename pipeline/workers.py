"""Processes that work for this one: of this machine (joblib's loky) or of a Dask cluster, behind one `submit`.

A process that dies loses nothing: its task is run again. Only a task that ends its process each time ends in
WorkerDied. Each process computes with one thread, because the tasks fill the cores.
"""

import asyncio
import itertools
import os
import threading
import time
import warnings
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, ThreadPoolExecutor, wait

from pipeline.errors import PipelineError
from pipeline.progress import note

TIMEOUT = 10  # seconds for a Dask scheduler to answer, and for its first worker to be there
MOST_MEMORY = 3 * 2**30  # bytes that each process of this machine may grow by before another one takes its place
LOOK_AGAIN = 5  # seconds after which the size of a cluster is asked for again: workers come and go
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class WorkerDied(PipelineError):
    """The process that had this task died, each time it was tried."""

    def __init__(self):
        reason = "too little memory, or data that break a decoder"
        super().__init__("worker_died", f"The process that had this task died: {reason}; try it alone.")

    def __reduce__(self):
        return WorkerDied, ()


class Pool:
    """A context in which functions run in other processes.

    Parameters
    ----------
    workers : int, optional
        Processes on this machine; one a core by default. Where none can be started, a thread of this one works instead.
    dask : str, optional
        The address of a Dask scheduler, such as "tcp://10.0.0.1:8786", whose workers are used instead.

    Raises PipelineError "dask" if no scheduler answers there, or none of its workers.
    """

    def __init__(self, workers=None, dask=None):
        self._engine = _Cluster(dask) if dask else _Machine(workers)

    @property
    def slots(self):
        """How many tasks run at the same time."""
        return self._engine.slots

    def submit(self, function, *arguments):
        """Run `function(*arguments)` in some process; returns a concurrent.futures.Future.

        Its exception is what the function raised; WorkerDied; or a PipelineError "dask" when the cluster is gone.
        """
        return self._engine.submit(function, arguments)

    def run(self, function, tasks):
        """Yield a finished Future of `function(*arguments)` for each tuple of arguments in `tasks`, as they end.

        `tasks` may be endless or slow: as many are taken from it as there are slots.
        """
        running, tasks = set(), iter(tasks)
        while True:
            for arguments in itertools.islice(tasks, max(self.slots - len(running), 0)):
                running.add(self.submit(function, *arguments))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from done

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._engine.close()


class _Machine:
    """Processes of this machine. When one dies, loky gives up all of them: their tasks are then run one by one."""

    def __init__(self, slots):
        self._closed = False
        self._lock, self._rescuer = threading.RLock(), ThreadPoolExecutor(1, "rescue")
        self.slots = slots or _cores()
        self._start()

    def submit(self, function, arguments):
        task = Future()
        with self._lock:
            try:
                attempt = self._executor.submit(function, *arguments)
            except BrokenExecutor:
                self._start()
                attempt = self._executor.submit(function, *arguments)
            except OSError as error:  # no more processes, or no memory for them
                self._work_here(error)
                attempt = self._executor.submit(function, *arguments)
        attempt.add_done_callback(lambda done: self._settle(task, done, function, arguments))
        return task

    def _start(self):
        try:
            self._executor = _processes(self.slots)
        except OSError as error:  # no /dev/shm, or too many open files
            self._work_here(error)

    def _work_here(self, error):
        note(f"Other processes cannot be started ({error.strerror or error}), so this one does all the work.")
        self.slots, self._executor = 1, _Thread(1, "work")

    def _settle(self, task, attempt, function, arguments):
        if isinstance(attempt.exception(), BrokenExecutor) and not self._closed:
            self._rescuer.submit(self._run_alone, task, function, arguments)
        else:
            _hand_over(attempt, task)

    def _run_alone(self, task, function, arguments):
        try:
            executor = _processes(1)
            attempt = executor.submit(function, *arguments)
            died = isinstance(attempt.exception(), BrokenExecutor)
            executor.shutdown(wait=False, kill_workers=True)
        except OSError:  # no memory for another process
            died = True
        if died:
            task.set_exception(WorkerDied())
        else:
            _hand_over(attempt, task)

    def close(self):
        self._closed = True
        self._rescuer.shutdown(wait=False, cancel_futures=True)
        self._executor.shutdown(wait=True, kill_workers=True)


class _Thread(ThreadPoolExecutor):
    """A thread of this process in the place of loky's processes."""

    def shutdown(self, wait=True, kill_workers=False):
        super().shutdown(wait, cancel_futures=kill_workers)


class _Cluster:
    """The workers of a Dask scheduler, which itself runs the tasks of a dead worker on another one."""

    def __init__(self, address):
        from distributed import Client

        try:
            kind = _who_answers(address)
        except Exception as error:  # a silent machine, an unknown name and a web server each fail in their own way
            fault = f"No Dask scheduler answered at {address} within {TIMEOUT} s"
            raise _dask_error(f"{fault}; check the address, and that the scheduler runs.") from error
        if kind != "Scheduler":
            raise _dask_error(f"At {address} answers a Dask {kind.lower()}; give the address of the scheduler.")
        self._client = Client(address, timeout=TIMEOUT, set_as_default=False)
        try:
            self._client.wait_for_workers(1, timeout=TIMEOUT)
        except TimeoutError:
            self._client.close()
            fault = f"The Dask scheduler at {address} has no workers"
            raise _dask_error(f"{fault}; start some: dask worker {address}") from None
        self._address, self._looked, self._slots = address, 0, 1
        self._executor = self._client.get_executor(pure=False)

    @property
    def slots(self):
        if time.monotonic() - self._looked > LOOK_AGAIN and self._client.status == "running":
            self._slots, self._looked = max(1, sum(self._client.nthreads().values())), time.monotonic()
        return self._slots

    def submit(self, function, arguments):
        task = Future()
        self._executor.submit(function, *arguments).add_done_callback(lambda done: self._settle(task, done))
        return task

    def _settle(self, task, attempt):
        from distributed import KilledWorker

        if attempt.cancelled() or isinstance(attempt.exception(), CancelledError):
            fault = f"The Dask scheduler at {self._address} is gone"
            task.set_exception(_dask_error(f"{fault}; start it and its workers again."))
        elif isinstance(attempt.exception(), KilledWorker):
            task.set_exception(WorkerDied())
        else:
            _hand_over(attempt, task)

    def close(self):
        self._executor.shutdown(wait=False)
        self._client.close()


def _dask_error(message):
    return PipelineError("dask", message)


def _who_answers(address):
    """What is at a Dask address, "Scheduler" or "Worker"; a Client that cannot connect takes 20 s more to close."""
    from distributed.core import rpc

    async def ask():
        async with rpc(address) as server:
            return (await server.identity())["type"]

    with ThreadPoolExecutor(1) as thread:  # in a notebook, this thread runs a loop already
        return thread.submit(asyncio.run, asyncio.wait_for(ask(), TIMEOUT)).result()


def _hand_over(attempt, task):
    """The outcome of one future as that of another."""
    if error := attempt.exception():
        task.set_exception(error)
    else:
        task.set_result(attempt.result())


def _loky():
    with warnings.catch_warnings(action="ignore"):  # joblib's, where processes cannot share memory
        from joblib.externals import loky
    return loky


def _processes(n):
    return _loky().ProcessPoolExecutor(n, env=ONE_THREAD, initializer=_begin, initargs=(os.getpid(),))


def _begin(parent):
    """In a worker: end when the process that started it was killed, and not because of memory that caches take.

    loky ends a worker that has grown by 300 MB, because it may leak; the next one would read all sound fonts again.
    """
    from joblib.externals.loky import process_executor

    process_executor._MAX_MEMORY_LEAK_SIZE = MOST_MEMORY

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _cores():
    try:
        return _loky().cpu_count()
    except ValueError:  # LOKY_MAX_CPU_COUNT is no number
        return os.cpu_count() or 1
