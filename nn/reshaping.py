"""Layers that change the shape of the data and nothing else."""

import math

from nn.layer import Layer


class Flatten(Layer):
    """Each image as one vector: `(batch, channels, height, width)` -> `(batch, channels * height * width)`."""

    def compute_output_shape(self, input_shape):
        return (math.prod(input_shape),)

    def forward(self, inputs, training=False):
        self.output = inputs.reshape(len(inputs), -1)
        return self.output

    def backward(self, output_gradient):
        self.input_gradient = output_gradient.reshape(len(output_gradient), *self.input_shape)
        return self.input_gradient
