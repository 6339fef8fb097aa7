"""Batch normalization: each channel brought to mean 0 and variance 1, then scaled and shifted by trained numbers."""

import numpy as np

from nn.checks import number
from nn.layer import Layer


class BatchNormalization(Layer):
    """Ioffe and Szegedy, 2015, over axis 1: the channels of images, the features of vectors.

    `output = gamma * (inputs - mean) / sqrt(variance + epsilon) + beta`, with mean and variance of the batch in
    training and their running averages at inference. As in Keras, `running = momentum * running + (1 - momentum) *
    batch`, with the biased variance; PyTorch calls `1 - momentum` momentum and averages the unbiased variance.
    """

    def __init__(self, momentum=0.99, epsilon=1e-3):
        super().__init__()
        self.momentum = number(momentum, "momentum", minimum=0, below=1)
        self.epsilon = number(epsilon, "epsilon", minimum=0)

    def build(self, input_shape, rng):
        channels = input_shape[0]
        self.params = {"gamma": np.ones(channels, np.float32), "beta": np.zeros(channels, np.float32)}
        self.buffers = {"mean": np.zeros(channels, np.float32), "variance": np.ones(channels, np.float32)}
        return super().build(input_shape, rng)

    def forward(self, inputs, training=False):
        (scale, shift), (inverse_std, offset) = self.lines(inputs, training)
        self._training, self._scale = training, scale
        self._normalized = inputs * _by_channel(inverse_std, inputs) + _by_channel(offset, inputs)
        self.output = inputs * _by_channel(scale, inputs) + _by_channel(shift, inputs)
        return self.output

    def backward(self, output_gradient):
        axes, n_values = _other_axes(output_gradient), output_gradient.size // output_gradient.shape[1]
        beta_gradient = output_gradient.sum(axis=axes)
        gamma_gradient = (output_gradient * self._normalized).sum(axis=axes)
        self.grads = {"gamma": gamma_gradient, "beta": beta_gradient}
        gradient = output_gradient
        if self._training:  # mean and variance depend on the inputs too
            gradient = gradient - _by_channel(beta_gradient / n_values, gradient)
            gradient -= self._normalized * _by_channel(gamma_gradient / n_values, gradient)
        self.input_gradient = gradient * _by_channel(self._scale, gradient)
        return self.input_gradient

    def lines(self, inputs, training):
        """Two straight lines `(slope, intercept)` for each channel: from inputs to outputs, and to normalized inputs.

        In training the batch's mean and variance are used, and the running ones moved.
        """
        mean, variance = self.buffers["mean"], self.buffers["variance"]
        if training:
            rows = inputs.reshape(*inputs.shape[:2], -1)
            mean = rows.mean(axis=2).mean(axis=0, dtype=np.float64)
            deviations = rows - _by_channel(mean, rows)
            variance = np.vecdot(deviations, deviations).mean(axis=0, dtype=np.float64) / rows.shape[2]
            self.follow(mean, variance)
        inverse_std = 1 / np.sqrt(variance + self.epsilon)
        lines = self.line(mean, variance), (inverse_std, -mean * inverse_std)
        return [[values.astype(inputs.dtype) for values in line] for line in lines]

    def line(self, mean, variance, gamma=None):
        """Slope and intercept, for each channel, of the straight line from inputs to outputs."""
        scale = (self.params["gamma"] if gamma is None else gamma) / np.sqrt(variance + self.epsilon)
        return scale, self.params["beta"] - mean * scale

    def follow(self, mean, variance):
        """Move the running averages towards the statistics of a batch."""
        for name, value in (("mean", mean), ("variance", variance)):
            self.buffers[name] += (1 - self.momentum) * (value - self.buffers[name])


def _by_channel(values, like):
    """`values` `(channels,)` in a shape and type that broadcast against `like`, whose axis 1 holds the channels."""
    return values.astype(like.dtype).reshape(1, -1, *(1,) * (like.ndim - 2))


def _other_axes(array):
    return (0, *range(2, array.ndim))
