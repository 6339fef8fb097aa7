"""Inside a model: activations and gradients layer by layer, dead units, and what in a picture decides."""

import numpy as np
import pandas as pd

from nn import CategoricalCrossentropy, ReLU
from nn.layer import forward
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


def occlusion(model, clip, class_name, patch=(10, 16), batch_size=64):
    """How much each part of the picture of a clip matters for a class: `(frames, mels)`, in log odds.

    A patch of (frames, mels) is moved over the mel spectrogram and covers it with silence. A point's value is the mean,
    over the patches that cover it, of how far the log odds of the class fall (Zeiler and Fergus, 2014).
    """
    picture = model.feature_maps(clip, model.layers[0].name)
    column, (n_frames, n_mels) = model.class_names.index(class_name), picture.shape[1:]
    corners = [(f, m) for f in range(0, n_frames, patch[0] // 2) for m in range(0, n_mels, patch[1] // 2)]
    places = [(slice(f, f + patch[0]), slice(m, m + patch[1])) for f, m in corners]
    pictures = np.repeat(picture[np.newaxis], len(places) + 1, axis=0)
    for covered, place in zip(pictures[1:], places):
        covered[0][place] = picture.min()
    with model.lock, one_blas_thread():
        parts = [pictures[start : start + batch_size] for start in range(0, len(pictures), batch_size)]
        probability = np.concatenate([forward(model.layers[1:], part)[:, column].astype(float) for part in parts])
    odds = np.log(probability + 1e-6) - np.log(1 - probability + 1e-6)
    total, count = np.zeros((2, n_frames, n_mels))
    for place, value in zip(places, odds[1:]):
        total[place] += odds[0] - value
        count[place] += 1
    return total / count
