"""The training loop: each batch forward and backward and one step of the optimizer; after each epoch validation."""

import signal
import sys
import threading
import time

import numpy as np
from tqdm import tqdm

from nn.callbacks import Callback
from nn.checks import flag, integer, items
from nn.data import ClipSequence, prefetch, to_float
from nn.layer import backward, forward
from nn.losses import CategoricalCrossentropy
from nn.metrics import categorical_accuracy
from nn.optimizers import Optimizer, RMSprop
from nn.parallel import one_blas_thread


def fit(
    model,
    x,
    y=None,
    validation_data=None,
    epochs=5,
    optimizer=None,
    loss=None,
    callbacks=(),
    batch_size=32,
    progress=True,
):
    """Train `model` for `epochs` more epochs and return its History.

    Parameters
    ----------
    x, y : a ClipSequence, or clips and their labels as `ClipSequence` takes them, which are shuffled
    validation_data : ClipSequence, or a pair of clips and labels
    optimizer : Optimizer
        By default that of the last training, else RMSprop.
    loss : by default CategoricalCrossentropy
    callbacks : sequence of Callback
    batch_size : int
        Of clips that are given as an array.
    progress : bool
        Show a bar for each epoch.

    A loaded model goes on in the epoch where it stopped, bit for bit as if it had never been saved. Ctrl-C ends
    training after the running batch; the next training begins that epoch again, with the weights as they are by then.
    Raises ValueError for data of other classes or shapes than the model's and for an optimizer that has trained another
    model, FloatingPointError when the loss, a gradient, a weight or the outputs are no longer finite numbers.
    """
    data = _sequence(model, x, y, batch_size, shuffle=True)
    if validation_data is not None:
        is_pair = isinstance(validation_data, tuple | list) and len(validation_data) == 2
        validation_data = _sequence(model, *(validation_data if is_pair else (validation_data, None)), batch_size)
        _batch(model, *validation_data[0])  # raises before the first epoch, not after it
    epochs, progress = integer(epochs, "epochs", minimum=0), flag(progress, "progress")
    callbacks = [callbacks] if isinstance(callbacks, Callback) else items(callbacks or (), "callbacks")
    if not all(isinstance(callback, Callback) for callback in callbacks):
        raise ValueError(f"Expected callbacks from nn.callbacks. Received: {callbacks}")
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise ValueError(f"Expected an optimizer, such as nn.Adam(). Received: {optimizer!r}")
    if optimizer and optimizer.steps and optimizer is not model.optimizer:
        steps = f"one that has made {optimizer.steps} steps"
        raise ValueError(f"Expected a new optimizer, or the model's own. Received: {steps}")
    model.optimizer = optimizer or model.optimizer or RMSprop()
    loss, history = _loss(loss), model.history
    with one_blas_thread(), _Interrupt() as interrupt:
        for epoch in range(len(history.epoch_rows), len(history.epoch_rows) + epochs):
            for callback in callbacks:
                callback.on_epoch_begin(model, epoch)
            started, rows = time.perf_counter(), []
            data.start_epoch(epoch)
            with tqdm(prefetch(data), f"epoch {epoch + 1}", len(data), disable=not progress, file=sys.stdout) as bar:
                for batch, (samples, targets) in enumerate(bar):
                    rows.append((len(samples), *train_batch(model, samples, targets, loss)))
                    history.batch_rows.append((epoch + 1, batch, *rows[-1][1:]))
                    for callback in callbacks:
                        callback.on_batch_end(model)
                    if interrupt.received:
                        return history
                    if progress and (batch % 10 == 0 or batch + 1 == len(data)):
                        bar.set_postfix(_means(rows), refresh=False)
            if not np.isfinite(model.predict(samples)).all():  # each loss is of the weights before its step
                raise FloatingPointError(
                    "The last step led to outputs that are not finite; use a smaller learning rate"
                )
            row = _means(rows) | {"seconds": round(time.perf_counter() - started, 2)}
            if validation_data is not None:
                row |= {f"val_{key}": value for key, value in evaluate(model, validation_data, loss=loss).items()}
            history.epoch_rows.append(row)
            stops = [callback.on_epoch_end(model, epoch, row) for callback in callbacks]
            if any(stops) or interrupt.received:
                break
    for callback in callbacks:
        callback.on_train_end(model)
    return history


def train_batch(model, samples, targets, loss):
    """One step on one batch; returns its loss and accuracy before the step.

    Raises FloatingPointError if the loss, a gradient or a weight is no longer a finite number. The first two change
    neither weights nor running statistics.
    """
    samples, targets = _batch(model, samples, targets)
    steps, compute = _scoring(model, loss)
    with model.lock:
        running = {key: array.copy() for key, array in model.buffers.items()}
        outputs = forward(steps, samples, training=True)
        value = compute(outputs, targets)
        backward(steps, loss.backward())
        if not np.isfinite(value) or not _finite(model.grads):
            for key, array in model.buffers.items():
                array[...] = running[key]
            found = f"The loss became {value}" if not np.isfinite(value) else "A gradient became infinite"
            raise FloatingPointError(f"{found}; use a smaller learning rate, or look for bad clips")
        model.optimizer.update(model.params, model.grads)
        if not _finite(model.params | model.buffers):
            raise FloatingPointError("A weight became infinite; use a smaller learning rate")
        return value, categorical_accuracy(outputs, targets)


def evaluate(model, x, y=None, *, loss=None, batch_size=32):
    """Mean loss and accuracy of `model` over a ClipSequence, or clips and labels: `{"loss": ..., "accuracy": ...}`."""
    data, rows = _sequence(model, x, y, batch_size), []
    steps, compute = _scoring(model, _loss(loss))
    with one_blas_thread():
        for samples, targets in prefetch(data):
            samples, targets = _batch(model, samples, targets)
            with model.lock:
                outputs = forward(steps, samples)
                rows.append((len(samples), compute(outputs, targets), categorical_accuracy(outputs, targets)))
    return _means(rows)


def _sequence(model, x, y, batch_size, shuffle=False):
    """`x` if it is a ClipSequence, else one of clips `x` and labels `y`. Raises ValueError for other classes."""
    n_classes, is_sequence = len(model.class_names), isinstance(x, ClipSequence)
    if is_sequence == (y is not None):
        kinds = f"{type(x).__name__}, {type(y).__name__}"
        raise ValueError(f"Expected a ClipSequence, or clips and labels. Received: {kinds}")
    data = x if is_sequence else ClipSequence(x, y, n_classes, batch_size, shuffle)
    if data.n_classes != n_classes:
        raise ValueError(f"Expected data of {n_classes} classes, as the model. Received: {data.n_classes}")
    return data


def _batch(model, samples, targets):
    """A batch, with its samples in a type that the layers compute in. Raises ValueError if the model takes others."""
    model.check(samples.shape[1:])
    expected = len(samples), len(model.class_names)
    if targets.shape != expected:
        raise ValueError(f"Expected targets of shape {expected}. Received: {targets.shape}")
    return to_float(samples), targets


def _loss(loss):
    if loss is not None and not hasattr(loss, "backward"):
        raise ValueError(f"Expected a loss, such as nn.CategoricalCrossentropy(). Received: {loss!r}")
    return loss or CategoricalCrossentropy()


def _finite(arrays):
    return all(np.isfinite(array).all() for array in arrays.values())


def _scoring(model, loss):
    """The steps that give what `loss` is computed from, and its function for that: scores if they end in softmax."""
    if isinstance(model.layers[-1], loss.fused_activation):
        return model.steps[:-1], loss.forward_scores
    return model.steps, loss.forward


def _means(rows):
    sizes, losses, accuracies = np.transpose(rows)
    return {"loss": float(np.average(losses, weights=sizes)), "accuracy": float(np.average(accuracies, weights=sizes))}


class _Interrupt:
    """Holds Ctrl-C back until the running batch is through, so that it never leaves half a step behind."""

    received = False

    def __enter__(self):
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        if self._in_main_thread:
            self._previous = signal.signal(signal.SIGINT, self._receive)
        return self

    def _receive(self, *_):
        self.received = True

    def __exit__(self, *_):
        if self._in_main_thread:
            signal.signal(signal.SIGINT, self._previous)
