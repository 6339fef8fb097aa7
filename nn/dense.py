"""The fully connected layer: every output is a weighted sum of every input."""

import numpy as np

from nn.activations import ACTIVATIONS
from nn.checks import choice, flag, integer
from nn.initializers import glorot_uniform
from nn.layer import Layer


class Dense(Layer):
    """`output = inputs @ kernel + bias`.

    Shapes: inputs `(batch, features)`, output `(batch, units)`, kernel `(features, units)`, bias `(units,)`.
    A Model makes a layer of its own for the `activation`: "relu" or "softmax".
    """

    def __init__(self, units, activation=None, use_bias=True):
        super().__init__()
        self.units, self.use_bias = integer(units, "units"), flag(use_bias, "use_bias")
        self.activation = choice(activation, "activation", (None, *ACTIVATIONS))

    def compute_output_shape(self, input_shape):
        if len(input_shape) != 1:
            raise ValueError(f"Dense takes vectors; put a Flatten before it. Received: input_shape={input_shape}")
        return (self.units,)

    def build(self, input_shape, rng):
        output_shape = super().build(input_shape, rng)
        features = input_shape[0]
        self.params["kernel"] = glorot_uniform(rng, (features, self.units), features, self.units)
        if self.use_bias:
            self.params["bias"] = np.zeros(self.units, np.float32)
        return output_shape

    def forward(self, inputs, training=False):
        self._inputs = inputs
        self.output = inputs @ self.params["kernel"]
        if self.use_bias:
            self.output += self.params["bias"]
        return self.output

    def backward(self, output_gradient):
        self.grads["kernel"] = self._inputs.T @ output_gradient
        if self.use_bias:
            self.grads["bias"] = output_gradient.sum(axis=0)
        self.input_gradient = output_gradient @ self.params["kernel"].T
        return self.input_gradient
