"""Threads over the images of a batch.

NumPy releases the interpreter's lock while it copies and multiplies, so plain Python threads use all cores. The batch
is cut into slices of a fixed size, so that sums over slices are the same, bit by bit, with any number of threads.
"""

import itertools
import math
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import numpy as np
from threadpoolctl import ThreadpoolController

from nn.checks import integer

SLICE = 8  # images in a task: small enough to balance two threads at batch 32, large enough to hide the hand-over

_local = threading.local()
_pool = _blas = _before = None
_lock, _n_inside = threading.Lock(), 0
_cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
_n_threads = len(_cores)


def set_threads(n_threads):
    """Use `n_threads` threads from now on (at the start: one a core)."""
    global _n_threads, _pool
    n_threads = integer(n_threads, "n_threads")
    if _pool is not None:
        _pool.shutdown()
    _n_threads, _pool = n_threads, None


def _forget_pool():
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)  # a forked process has none of its parent's threads


def map_slices(function, n_images):
    """Call `function(slice)` for the slices of a batch of `n_images`, in threads; return the results in order."""
    return map_items(function, slices(n_images))


def slices(n_images):
    """The slices of a batch of `n_images`."""
    return [slice(start, min(start + SLICE, n_images)) for start in range(0, n_images, SLICE)]


def map_items(function, items):
    """The results of `function(item)` in order; each of our threads takes the next item that nobody has."""
    global _pool
    if _n_threads == 1 or len(items) == 1:
        return [function(item) for item in items]
    if _pool is None:
        workers = itertools.count(1)
        _pool = ThreadPoolExecutor(_n_threads - 1, "nn", lambda: _keep_to_cores(next(workers)))
    results, numbers = [None] * len(items), iter(range(len(items)))

    def work():
        try:
            for number in numbers:
                results[number] = function(items[number])
        finally:
            list(numbers)  # after an error, or Ctrl-C, nobody begins another item

    others = [_pool.submit(work) for _ in range(_n_threads - 1)]
    try:
        work()
    finally:
        errors = [other.exception() for other in others]  # waits: none may go on writing into memory of the next call
    for error in filter(None, errors):
        raise error
    return results


def _keep_to_cores(number):
    """Keep the calling thread, the `number`-th of ours, to its share of the cores; return those it could use before.

    Threads that hand Python's lock to each other look to Linux as if they never ran at the same time: it would leave
    them on one core, and the other idle.
    """
    if _n_threads == 1 or not hasattr(os, "sched_setaffinity"):
        return None
    before = os.sched_getaffinity(0)
    with suppress(OSError):  # the system may have taken cores away
        os.sched_setaffinity(0, _cores[number % _n_threads :: _n_threads] or _cores)
    return before


def reuse(owner, name, shape, dtype):
    """An array in memory that `owner` keeps, whatever it holds: fresh large arrays cost more than the sums in them."""
    memory = owner.__dict__.setdefault("memory", {})
    flat, views = memory.get((name, dtype), (None, {}))
    if shape not in views:
        size = math.prod(shape)
        if flat is None or flat.size < size:
            flat, views = np.zeros(size, dtype), {}
            memory[name, dtype] = flat, views
        views[shape] = flat[:size].reshape(shape)
    return views[shape]


def workspace(name, shape, dtype):
    """The same for this thread: to be used up before the same name is asked for again."""
    return reuse(_local, name, shape, dtype)


@contextmanager
def one_blas_thread():
    """A context in which each of our threads multiplies matrices by itself, instead of all fighting for the cores.

    The calling thread counts as the first of ours and keeps to its cores. A thread that waits for Python's lock asks
    for it sooner, too: ours need it often and for microseconds only. Both hold for the whole process until the last
    thread has left.
    """
    global _blas, _before, _n_inside
    with _lock:
        if _n_inside == 0:
            _blas = _blas or ThreadpoolController()
            _before = sys.getswitchinterval(), _blas.limit(limits=1, user_api="blas")
            sys.setswitchinterval(0.0005)
        _n_inside += 1
    cores = _keep_to_cores(0)
    try:
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
        with _lock:
            _n_inside -= 1
            if _n_inside == 0:
                interval, limit = _before
                sys.setswitchinterval(interval)
                limit.restore_original_limits()
