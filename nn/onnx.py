"""A trained model for programs without this code: an ONNX file, samples in, probabilities out.

Each layer writes the ONNX operations that do what its `forward` does at inference; the spectrogram becomes a
convolution with sines and cosines. Needs the package onnx (requirements-onnx.txt).
"""

from functools import singledispatch

import numpy as np

from nn import layers as nn_layers
from nn.model_file import replacing

OPSET = 17  # of 2022: old enough for every runtime


def save_onnx(model, path):
    """Write `model` to `path`, atomically.

    The input is "samples", float32 `(batch, *input_shape)` in -1..1, the output "probabilities" `(batch, classes)`; the
    metadata entry "class_names" is a JSON list. Raises ValueError for a layer that has no form in ONNX, ImportError
    without the package onnx.
    """
    import json

    import onnx
    from onnx import TensorProto, helper

    graph = _Graph()
    value = "samples"
    for layer in model.layers:
        value = write(layer, graph, value)
    graph.add("Identity", [value], output="probabilities")
    samples = helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["batch", *model.input_shape])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(model.class_names)])
    content = helper.make_model(
        helper.make_graph(graph.nodes, "nn", [samples], [probabilities], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="nn",
    )
    helper.set_model_props(content, {"class_names": json.dumps(model.class_names)})
    onnx.checker.check_model(content, full_check=True)
    with replacing(path) as file:
        file.write(content.SerializeToString())


class _Graph:
    """Nodes and constants of the file so far."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def add(self, operation, inputs, output=None, **attributes):
        """Append a node; arrays among its inputs become constants. Returns the name of its output."""
        from onnx import helper

        output = output or f"{operation.lower()}_{len(self.nodes)}"
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        self.nodes.append(helper.make_node(operation, names, [output], **attributes))
        return output

    def _constant(self, values):
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
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
    return graph.add("Conv", [value, *layer.params.values()], strides=layer.strides, pads=_pads(layer))


@write.register(nn_layers.MaxPooling2D)
@write.register(nn_layers.AveragePooling2D)
def _pooling2d(layer, graph, value):
    operation = {nn_layers.MaxPooling2D: "MaxPool", nn_layers.AveragePooling2D: "AveragePool"}[type(layer)]
    return graph.add(operation, [value], kernel_shape=layer.pool_size, strides=layer.strides, pads=_pads(layer))


@write.register
def _global_max_pooling2d(layer: nn_layers.GlobalMaxPooling2D, graph, value):
    return graph.add("Flatten", [graph.add("GlobalMaxPool", [value])])


@write.register
def _global_average_pooling2d(layer: nn_layers.GlobalAveragePooling2D, graph, value):
    return graph.add("Flatten", [graph.add("GlobalAveragePool", [value])])


def _pads(layer):
    """What is added around an image, in ONNX's order: top, left, bottom, right."""
    before, after = zip(*layer.pads)
    return [*before, *after]


@write.register
def _mel_spectrogram(layer: nn_layers.MelSpectrogram, graph, value):
    features, n_frames = layer.features, layer.output_shape[1]
    n_bins, missing = (
        features.n_fft // 2 + 1,
        (n_frames - 1) * features.hop_length + features.win_length - layer.input_shape[0],
    )
    # A frame's spectrum is its product with cosines and sines, each weighted by the window: filters of a convolution.
    angles = 2 * np.pi * np.outer(np.arange(n_bins), np.arange(features.win_length)) / features.n_fft
    waves = np.concatenate([np.cos(angles), -np.sin(angles)]) * layer._window
    samples = graph.add("Unsqueeze", [value, np.array([1])])
    spectrum = graph.add(
        "Conv",
        [samples, waves[:, np.newaxis].astype(np.float32)],
        strides=[features.hop_length],
        pads=[0, max(missing, 0)],
    )
    real, imaginary = (
        graph.add("Slice", [spectrum, *map(np.array, bounds)])
        for bounds in (([0], [n_bins], [1]), ([n_bins], [2 * n_bins], [1]))
    )
    power = graph.add("Add", [graph.add("Mul", [real, real]), graph.add("Mul", [imaginary, imaginary])])
    magnitudes = graph.add("Transpose", [graph.add("Sqrt", [power])], perm=[0, 2, 1])
    mels = graph.add(
        "Max", [graph.add("MatMul", [magnitudes, layer._filters.astype(np.float32)]), np.float32(layer.amin)]
    )
    loudest = graph.add("ReduceMax", [mels], axes=[1, 2], keepdims=1)
    decibels = graph.add("Mul", [graph.add("Log", [graph.add("Div", [mels, loudest])]), np.float32(20 / np.log(10))])
    limited = graph.add("Max", [decibels, np.float32(-features.top_db)])
    return graph.add("Unsqueeze", [limited, np.array([1])])
