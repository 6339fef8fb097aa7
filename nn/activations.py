"""Activations: the layers without parameters that make a network more than one matrix product."""

import numpy as np

from nn.layer import Layer


class ReLU(Layer):
    """`max(inputs, 0)`, value by value; its derivative at zero is taken as zero."""

    def forward(self, inputs, training=False):
        self.output = np.maximum(inputs, 0)
        return self.output

    def backward(self, output_gradient):
        self.input_gradient = output_gradient * (self.output > 0)
        return self.input_gradient


class Softmax(Layer):
    """Scores as probabilities: `exp(inputs) / sum(exp(inputs))` over the last axis.

    The largest score is subtracted first, which changes nothing in the result and keeps `exp` from overflowing.
    """

    def forward(self, inputs, training=False):
        exponentials = np.exp(inputs - inputs.max(axis=-1, keepdims=True))
        self.output = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return self.output

    def backward(self, output_gradient):
        inner = (output_gradient * self.output).sum(axis=-1, keepdims=True)
        self.input_gradient = self.output * (output_gradient - inner)
        return self.input_gradient


ACTIVATIONS = {"relu": ReLU, "softmax": Softmax}


def with_activation(layer):
    """Yield `layer`, and then a layer of its own for the activation that it was given."""
    if not isinstance(layer, Layer):
        raise ValueError(f"Expected a layer, such as nn.Dense(2). Received: {layer!r}")
    activation, layer.activation = layer.activation, None
    yield layer
    if activation is not None:
        yield ACTIVATIONS[activation]()
