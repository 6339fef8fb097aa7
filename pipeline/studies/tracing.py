"""The activations and gradients of a model for one batch, layer by layer, and its dead units."""

import numpy as np
import pandas as pd

from nn import CategoricalCrossentropy, ReLU
from nn.parallel import one_blas_thread
from pipeline.song.audio import rms


def trace(model, samples, targets):
    """Send a batch forward through `model` and its loss back; no parameter changes.

    Parameters
    ----------
    samples : float32 array (batch, samples)
    targets : float32 array (batch, classes), one-hot

    Returns
    -------
    DataFrame, a row a layer: shape (of its output, without the batch), and the root mean squares output, input
    gradient, parameter gradient; NaN where a layer has no such gradient.
    """
    rows, values = {}, samples
    with one_blas_thread():
        for layer in model.layers:
            values = layer.forward(values, training=True)
            rows[layer.name] = {"shape": "×".join(map(str, layer.output_shape)), "output": rms(values)}
        loss = CategoricalCrossentropy()
        loss.forward(values, targets)
        gradient = loss.backward()
        for layer in reversed(model.layers):
            gradient = layer.backward(gradient)
            rows[layer.name]["input gradient"] = np.nan if gradient is None else rms(gradient)
            if layer.grads:
                rows[layer.name]["parameter gradient"] = rms(np.concatenate([g.ravel() for g in layer.grads.values()]))
            if gradient is None:
                break
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["shape", "output", "input gradient", "parameter gradient"]
    )


def dead_units(model, samples):
    """For each ReLU of `model`, the share of its units that are zero for every one of `samples` (n, samples)."""
    shares, values = {}, samples
    for layer in model.layers:
        values = layer.forward(values)
        if isinstance(layer, ReLU):
            shares[layer.name] = float(np.mean(~(values > 0).any(axis=0)))
    return shares
