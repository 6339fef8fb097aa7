"""Dropout: in training a random part of the values is set to zero, so that no unit relies on a single other one."""

import numpy as np

from nn.checks import number
from nn.layer import Layer


class Dropout(Layer):
    """Inverted dropout (Srivastava et al., 2014): the identity at inference.

    In training each value is dropped with probability `rate` and the kept ones are divided by `1 - rate`, which leaves
    the expected value as it was. The layer draws from its own generator, so that a seed fixes its masks.
    """

    def __init__(self, rate):
        super().__init__()
        self.rate = number(rate, "rate", minimum=0, below=1)

    def build(self, input_shape, rng):
        self.generator = rng.spawn(1)[0]
        return super().build(input_shape, rng)

    def forward(self, inputs, training=False):
        self._mask = None
        if training and self.rate > 0:
            kept = self.generator.random(inputs.shape, dtype=np.float32) >= self.rate
            self._mask = kept.astype(inputs.dtype) / inputs.dtype.type(1 - self.rate)
        self.output = inputs if self._mask is None else inputs * self._mask
        return self.output

    def backward(self, output_gradient):
        self.input_gradient = output_gradient if self._mask is None else output_gradient * self._mask
        return self.input_gradient
