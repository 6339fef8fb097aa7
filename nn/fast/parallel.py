"""Threads that agree on something about the batch, and what each of them keeps from batch to batch."""

import threading
from functools import partial
from weakref import WeakKeyDictionary

from nn.parallel import map_items, slices

_local = threading.local()


def map_slices_together(function, n_images):
    """As `nn.parallel.map_slices`, for a generator function whose calls wait for each other to agree on something.

    Each gets on with `answer = yield make, share`, where `answer` is `make(the sum of all shares)`.
    """
    calls, answer = [function(part) for part in slices(n_images)], None
    while True:
        outcomes = map_items(partial(_advance, answer), calls)
        if outcomes[0][0] is None:
            return [result for _, result in outcomes]
        answer = outcomes[0][0](sum(share for _, share in outcomes))


def _advance(answer, call):
    try:
        return call.send(answer)
    except StopIteration as end:
        return None, end.value


def of_thread(owner, key, make):
    """What the calling thread keeps under `key` for `owner`, for as long as there are both; at first `make()`.

    It must not refer to the owner, or that would never end.
    """
    owners = _local.__dict__.setdefault("owners", WeakKeyDictionary())
    kept = owners.setdefault(owner, {})
    if key not in kept:
        kept[key] = make()
    return kept[key]
