"""Threads over the images of a batch.

NumPy releases the interpreter's lock while it copies and multiplies, so plain Python threads use all cores. The batch
is cut into slices of a fixed size, whatever the number of threads, so that sums over slices come out the same bit by
bit on any machine with the same libraries.
"""

import math
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from threadpoolctl import ThreadpoolController

SLICE = 8  # images in a task: small enough to balance two threads at batch 32, large enough to hide the hand-over

_local = threading.local()
_pool = _blas = None
_n_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_threads(n_threads):
    """Use `n_threads` threads from now on (at the start: one a core)."""
    global _n_threads, _pool
    if n_threads < 1:
        raise ValueError(f"Expected at least one thread. Received: n_threads={n_threads}")
    if _pool is not None:
        _pool.shutdown()
    _n_threads, _pool = n_threads, None


def map_slices(function, n_images):
    """Call `function(slice)` for the slices of a batch of `n_images`, in threads; return the results in order."""
    global _pool
    slices = [slice(start, min(start + SLICE, n_images)) for start in range(0, n_images, SLICE)]
    if _n_threads == 1 or len(slices) == 1:
        return [function(part) for part in slices]
    if _pool is None:
        _pool = ThreadPoolExecutor(_n_threads - 1, thread_name_prefix="nn")
    results, numbers = [None] * len(slices), iter(range(len(slices)))

    def work():
        for number in numbers:  # each thread takes the next slice that nobody has
            results[number] = function(slices[number])

    others = [_pool.submit(work) for _ in range(_n_threads - 1)]
    work()
    for other in others:
        other.result()
    return results


def reuse(owner, name, shape, dtype):
    """An array in memory that `owner` keeps, at first zeros: fresh large arrays cost more than the sums in them."""
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

    A thread that waits for Python's lock asks for it sooner, too: ours need it often and for microseconds only.
    """
    global _blas
    if _blas is None:
        _blas = ThreadpoolController()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    try:
        with _blas.limit(limits=1, user_api="blas"):
            yield
    finally:
        sys.setswitchinterval(interval)
