"""A trained model for programs without this code: an ONNX file, samples in, probabilities out.

Each layer writes the ONNX operations that do what its `forward` does at inference; the spectrogram becomes a
convolution with sines and cosines. Needs the package onnx (requirements-onnx.txt).
"""

from functools import singledispatch

import numpy as np

from nn import layers as nn_layers
from nn.model_file import plain, replacing
from nn.spectrogram import mel_filters

OPSET = 17  # of 2022: old enough for every runtime


def save_onnx(model, path):
    """Write `model` to `path`, atomically.

    The input is "samples", float32 `(batch, *input_shape)` in -1..1, the output "probabilities" `(batch, classes)`. A
    node is named after its layer: "conv2d_1/Conv_18". The metadata are "class_names", "sample_rate" in Hz (null
    without a spectrogram) and what `model.metadata` holds, each as JSON. Raises ValueError for a layer that has no
    form in ONNX, ImportError without the package onnx.
    """
    import json

    import onnx
    from onnx import TensorProto, helper

    graph = _Graph()
    value = "samples"
    for layer in model.layers:
        graph.prefix = layer.name
        value = write(layer, graph, value)
    if not graph.nodes:  # layers that do nothing at inference
        graph.add("Flatten", [value])
    graph.nodes[-1].output[0] = "probabilities"
    samples = helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["batch", *model.input_shape])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(model.class_names)])
    content = helper.make_model(
        helper.make_graph(graph.nodes, "nn", [samples], [probabilities], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="nn",
    )
    metadata = model.metadata | {"class_names": model.class_names, "sample_rate": model.sample_rate}
    helper.set_model_props(content, {str(key): json.dumps(value, default=plain) for key, value in metadata.items()})
    onnx.checker.check_model(content, full_check=True)
    with replacing(path) as file:
        file.write(content.SerializeToString())


class _Graph:
    """Nodes and constants of the file so far; the names of new ones begin with `prefix`."""

    def __init__(self):
        self.nodes, self.constants, self.prefix = [], [], ""

    def add(self, operation, inputs, **attributes):
        """Append a node; arrays among its inputs become constants. Returns the name of its output, which is its own."""
        from onnx import helper

        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        name = f"{self.prefix}/{operation}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, names, [name], name, **attributes))
        return name

    def _constant(self, values):
        from onnx import numpy_helper

        name = f"{self.prefix}/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


@singledispatch
def write(layer, graph, value):
    """Append what `layer` does to the value of that name; returns the name of the result."""
    raise ValueError(f"{type(layer).__name__} has no form in ONNX; register one with nn.onnx.write.register")


@write.register(nn_layers.Dropout)
@write.register(nn_layers.SpectrogramAugmentation)
def _only_in_training(layer, graph, value):
    return value


@write.register
def _relu(layer: nn_layers.ReLU, graph, value):
    return graph.add("Relu", [value])


@write.register
def _softmax(layer: nn_layers.Softmax, graph, value):
    return graph.add("Softmax", [value], axis=-1)


@write.register
def _flatten(layer: nn_layers.Flatten, graph, value):
    return graph.add("Flatten", [value], axis=1)


@write.register
def _dense(layer: nn_layers.Dense, graph, value):
    return graph.add("Gemm", [value, *layer.params.values()])


@write.register
def _batch_normalization(layer: nn_layers.BatchNormalization, graph, value):
    arrays = layer.params["gamma"], layer.params["beta"], layer.buffers["mean"], layer.buffers["variance"]
    return graph.add("BatchNormalization", [value, *arrays], epsilon=layer.epsilon)


@write.register
def _conv2d(layer: nn_layers.Conv2D, graph, value):
    return graph.add("Conv", [value, *layer.params.values()], **_windows(layer))


@write.register
def _max_pooling2d(layer: nn_layers.MaxPooling2D, graph, value):
    return graph.add("MaxPool", [value], kernel_shape=layer.pool_size, **_windows(layer))


@write.register
def _average_pooling2d(layer: nn_layers.AveragePooling2D, graph, value):
    return graph.add("AveragePool", [value], kernel_shape=layer.pool_size, **_windows(layer))


def _windows(layer):
    """Strides, and what is added around an image in ONNX's order: top, left, bottom, right."""
    before, after = zip(*layer.pads)
    return {"strides": layer.strides, "pads": [*before, *after]}


@write.register
def _global_max_pooling2d(layer: nn_layers.GlobalMaxPooling2D, graph, value):
    return graph.add("Flatten", [graph.add("GlobalMaxPool", [value])])


@write.register
def _global_average_pooling2d(layer: nn_layers.GlobalAveragePooling2D, graph, value):
    return graph.add("Flatten", [graph.add("GlobalAveragePool", [value])])


@write.register
def _mel_spectrogram(layer: nn_layers.MelSpectrogram, graph, value):
    features, n_frames = layer.features, layer.output_shape[1]
    n_bins, width, hop = features.n_fft // 2 + 1, features.win_length, features.hop_length
    missing = max((n_frames - 1) * hop + width - layer.input_shape[0], 0)
    # A frame's spectrum is its product with cosines and sines, each weighted by the window: filters of a convolution.
    angles = 2 * np.pi * np.outer(np.arange(n_bins), np.arange(width)) / features.n_fft
    waves = np.concatenate([np.cos(angles), -np.sin(angles)]) * layer._window
    samples = graph.add("Unsqueeze", [value, np.array([1])])
    kernel = waves[:, np.newaxis].astype(np.float32)
    spectrum = graph.add("Conv", [samples, kernel], strides=[hop], pads=[0, missing])
    real, imaginary = (
        graph.add("Slice", [spectrum, *map(np.array, bounds)])
        for bounds in (([0], [n_bins], [1]), ([n_bins], [2 * n_bins], [1]))
    )
    power = graph.add("Add", [graph.add("Mul", [real, real]), graph.add("Mul", [imaginary, imaginary])])
    magnitudes = graph.add("Transpose", [graph.add("Sqrt", [power])], perm=[0, 2, 1])
    mels = graph.add("MatMul", [magnitudes, mel_filters(layer.features).T.astype(np.float32)])
    audible = graph.add("Clip", [mels, np.float32(layer.amin)])
    loudest = graph.add("ReduceMax", [audible], axes=[1, 2], keepdims=1)
    decibels = graph.add("Mul", [graph.add("Log", [graph.add("Div", [audible, loudest])]), np.float32(20 / np.log(10))])
    limited = graph.add("Clip", [decibels, np.float32(-features.top_db)])
    return graph.add("Unsqueeze", [limited, np.array([1])])
