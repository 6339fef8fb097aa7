"""A network: layers one after the other, from samples to the probability of each class."""

import itertools
import threading
from collections import Counter

import numpy as np

from nn import model_file, onnx, training
from nn.activations import Softmax, with_activation
from nn.checks import flag, integer, items, text
from nn.data import to_float
from nn.fast.fusion import fuse
from nn.history import History
from nn.layer import backward, forward
from nn.parallel import one_blas_thread
from nn.spectrogram import MelSpectrogram


class Model:
    """A sequence of layers that can be trained, evaluated, saved and inspected.

    Parameters
    ----------
    layers : list of Layer
        The last one gives a value for each class.
    input_shape : tuple of int
        Without the batch axis: `(16000,)` for clips of one second.
    class_names : sequence of str
        In the order of the outputs.
    seed : int
        Fixes the initial weights and every random choice of the layers.
    fast : bool
        Run convolutions and the layers behind them as one step (`nn.fast`); False runs the layers one by one.

    Attributes
    ----------
    history : History
        What training has seen so far, kept through saving and loading.
    optimizer : Optimizer or None
        Of the last training, with its running averages.
    steps : list
        The layers as they run in training and prediction: one by one, or several as one step (see `nn.fast`).
    metadata : dict
        Plain values that travel with the model: how it was trained, the threshold of a class.
    lock : threading.RLock
        Held while a batch goes through the layers, whose memory serves one thread at a time.
    """

    def __init__(self, layers, input_shape, class_names, seed=0, fast=True):
        self.class_names = tuple(text(name, "class_names") for name in items(class_names, "class_names"))
        self.layers, self.fast = [], flag(fast, "fast")
        self.input_shape = tuple(integer(size, "input_shape") for size in np.atleast_1d(input_shape))
        if not self.input_shape:
            raise ValueError(f"Expected a shape without the batch axis. Received: {input_shape=}")
        if len(set(self.class_names)) < len(self.class_names):
            raise ValueError(f"Expected different class names. Received: {self.class_names}")
        self.seed = seed if isinstance(seed, np.random.Generator) else integer(seed, "seed", minimum=0)
        self.history, self.optimizer, self.metadata = History(), None, {}
        rng, counts, shape = np.random.default_rng(seed), Counter(), self.input_shape
        for layer in itertools.chain.from_iterable(map(with_activation, items(layers, "layers"))):
            if layer.output_shape is not None:
                received = f"{layer!r}, which was built before"
                raise ValueError(f"Each place in a model needs a layer of its own. Received: {received}")
            kind = type(layer).__name__.lower()
            counts[kind] += 1
            layer.name = f"{kind}_{counts[kind]}"
            shape = layer.build(shape, rng)
            self.layers.append(layer)
        if not self.layers:
            raise ValueError("Expected at least one layer")
        if shape != (len(self.class_names),):
            raise ValueError(f"The last layer gives {shape} but there are {len(self.class_names)} class names")
        self._make_steps()

    def _make_steps(self):
        self.steps = fuse(self.layers) if self.fast else self.layers
        self.lock = threading.RLock()

    def __getstate__(self):
        """What a copy, or another process, gets; it makes the rest anew."""
        return {name: value for name, value in vars(self).items() if name not in ("steps", "lock")}

    def __setstate__(self, state):
        vars(self).update(state)
        self._make_steps()

    def __getitem__(self, name):
        """The layer called `name`."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"No layer {name!r}; there are {', '.join(layer.name for layer in self.layers)}")

    @property
    def params(self):
        """All trained arrays, by "layer/parameter"."""
        return self._collect("params")

    @property
    def grads(self):
        """The gradients of the last backward pass, under the keys of `params`."""
        return self._collect("grads")

    @property
    def buffers(self):
        """All arrays that are saved but not trained, by "layer/buffer"."""
        return self._collect("buffers")

    def _collect(self, kind):
        return {f"{layer.name}/{key}": array for layer in self.layers for key, array in getattr(layer, kind).items()}

    def forward(self, inputs, training=False, n_layers=None):
        """The output `(batch, ...)` of the first `n_layers` layers, of all by default, which all keep theirs."""
        self.check(inputs.shape[1:])
        return forward(self.layers[:n_layers], to_float(inputs), training)

    def backward(self, output_gradient, n_layers=None):
        """Fill the gradients of the first `n_layers` layers, of all by default, from that of their output."""
        return backward(self.layers[:n_layers], output_gradient)

    def fit(self, x, y=None, **options):
        """Train for some more epochs over a ClipSequence, or over clips and labels; see `nn.training.fit`."""
        return training.fit(self, x, y, **options)

    def evaluate(self, x, y=None, **options):
        """Mean loss and accuracy over a ClipSequence, or over clips and labels; see `nn.training.evaluate`."""
        return training.evaluate(self, x, y, **options)

    def predict(self, samples, batch_size=32):
        """Probabilities `(n, classes)` of `n` clips `(n, samples)`, floating in -1..1 or 16-bit."""
        samples, batch_size = np.asarray(samples), integer(batch_size, "batch_size")
        self.check(samples.shape[1:])
        result = np.empty((len(samples), len(self.class_names)), np.float32)
        with self.lock, one_blas_thread():
            for start in range(0, len(samples), batch_size):
                part = slice(start, start + batch_size)
                result[part] = forward(self.steps, to_float(samples[part]))
        return result

    def saliency(self, clip, class_name):
        """How the decision for a class changes with each point of the picture of one clip: `(frames, mels)`.

        The gradient, with respect to the output of the MelSpectrogram, of the score of the class before the softmax
        minus the highest score of the other classes (after Simonyan et al., 2013). Its size shows where a change would
        alter the decision most. Without a MelSpectrogram it is taken with respect to the clip: `(samples,)`.
        """
        if class_name not in self.class_names:
            raise ValueError(f"Expected one of {', '.join(self.class_names)}. Received: class_name={class_name!r}")
        end = len(self.layers) - isinstance(self.layers[-1], Softmax)
        with self.lock, one_blas_thread():
            scores = self.forward(np.asarray(clip)[np.newaxis], n_layers=end)
            identity = np.eye(len(self.class_names), dtype=scores.dtype)
            own = identity[self.class_names.index(class_name)]
            best_other = identity[np.where(own, -np.inf, scores[0]).argmax()]
            gradient = self.backward((own - best_other)[np.newaxis], end)
            if gradient is None:  # the MelSpectrogram lets none through; then the one behind it
                gradient = next(layer.input_gradient for layer in self.layers if layer.input_gradient is not None)
            is_picture = gradient.ndim == 4 and gradient.shape[1] == 1  # with the one channel of a spectrogram
            return (gradient[0, 0] if is_picture else gradient[0]).copy()

    def feature_maps(self, clip, layer_name):
        """The output of the layer called `layer_name` for one clip, without the batch axis."""
        n_layers = self.layers.index(self[layer_name]) + 1
        with self.lock:
            return self.forward(np.asarray(clip)[np.newaxis], n_layers=n_layers)[0].copy()

    def check(self, shape):
        """Raise ValueError unless clips of `shape`, without the batch axis, are what the model takes."""
        if shape != self.input_shape:
            raise ValueError(f"Expected clips of shape {self.input_shape}. Received: {shape}")

    @property
    def sample_rate(self):
        """Samples in a second of the clips, in Hz, as the spectrogram has it; None without one."""
        features = (layer.features for layer in self.layers if isinstance(layer, MelSpectrogram))
        return next((each.sample_rate for each in features), None)

    def summary(self):
        """The layers as a table: name, output shape and number of parameters, with their total."""
        import pandas as pd

        rows = [(layer.name, str(layer.output_shape), layer.n_parameters) for layer in self.layers]
        rows.append(("total", "", sum(row[2] for row in rows)))
        return pd.DataFrame(rows, columns=["layer", "output shape", "parameters"]).set_index("layer")

    def save(self, path, include_optimizer=True):
        """Write everything into one .npz file; without the optimizer it is smaller, but cannot go on training."""
        model_file.save(Model, self, path, include_optimizer)

    def to_onnx(self, path):
        """Write the model for other programs, preprocessing included; see `nn.onnx.save_onnx`."""
        onnx.save_onnx(self, path)

    @classmethod
    def load(cls, path, fast=True):
        """The model in the file at `path`, to infer or to go on training. Raises ModelFileError."""
        return model_file.load(cls, path, fast)
