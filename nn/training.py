"""The training loop: batch after batch forward, backward, one step of the optimizer; at the end of an epoch validation."""

import signal
import sys
import threading
import time

import numpy as np
from tqdm import tqdm

from nn.data import prefetch
from nn.layer import backward, forward
from nn.losses import CategoricalCrossentropy
from nn.metrics import categorical_accuracy
from nn.optimizers import RMSprop
from nn.parallel import one_blas_thread


def fit(model, data, validation_data=None, epochs=5, optimizer=None, loss=None, callbacks=(), progress=True):
    """Train `model` for `epochs` more epochs and return its History.

    Parameters
    ----------
    data, validation_data : ClipSequence
    optimizer : Optimizer
        By default that of the last training, else RMSprop.
    loss : by default CategoricalCrossentropy
    callbacks : sequence of Callback
    progress : bool
        Show a bar for each epoch.

    A loaded model goes on in the epoch where it stopped, bit for bit as if it had never been saved. Ctrl-C ends
    training after the running batch; the next training begins that epoch again, with the weights as they are by then.
    Raises ValueError for data of other classes or shapes than the model's and for an optimizer that has trained another
    model, FloatingPointError when the loss is no longer a number.
    """
    _check_classes(model, data)
    if validation_data is not None:
        _check_classes(model, validation_data)
    if optimizer and optimizer.steps and optimizer is not model.optimizer:
        raise ValueError(
            f"Expected a new optimizer, or the model's own. Received: one that has made {optimizer.steps} steps"
        )
    model.optimizer = optimizer or model.optimizer or RMSprop()
    loss, history = loss or CategoricalCrossentropy(), model.history
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
                    if progress and batch % 10 == 0:
                        bar.set_postfix(_means(rows), refresh=False)
                bar.set_postfix(_means(rows))
            row = _means(rows) | {"seconds": round(time.perf_counter() - started, 2)}
            if validation_data is not None:
                row |= {f"val_{key}": value for key, value in evaluate(model, validation_data, loss).items()}
            history.epoch_rows.append(row)
            stops = [callback.on_epoch_end(model, epoch, row) for callback in callbacks]
            if any(stops) or interrupt.received:
                break
    return history


def train_batch(model, samples, targets, loss):
    """One step on one batch; returns its loss and accuracy before the step."""
    model.check(samples.shape[1:])
    steps, compute = _scoring(model, loss)
    with model.lock:
        outputs = forward(steps, samples, training=True)
        value = compute(outputs, targets)
        if not np.isfinite(value):
            raise FloatingPointError(f"The loss became {value}; use a smaller learning rate, or look for bad clips")
        backward(steps, loss.backward())
        model.optimizer.update(model.params, model.grads)
        return value, categorical_accuracy(outputs, targets)


def evaluate(model, data, loss=None):
    """Mean loss and accuracy of `model` over a ClipSequence: `{"loss": ..., "accuracy": ...}`."""
    _check_classes(model, data)
    rows = []
    steps, compute = _scoring(model, loss or CategoricalCrossentropy())
    with one_blas_thread():
        for samples, targets in prefetch(data):
            model.check(samples.shape[1:])
            with model.lock:
                outputs = forward(steps, samples)
                rows.append((len(samples), compute(outputs, targets), categorical_accuracy(outputs, targets)))
    return _means(rows)


def _check_classes(model, data):
    if data.n_classes != len(model.class_names):
        raise ValueError(f"Expected data of {len(model.class_names)} classes, as the model. Received: {data.n_classes}")


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
