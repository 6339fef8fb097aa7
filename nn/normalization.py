"""Batch normalization: each channel brought to mean 0 and variance 1, then scaled and shifted by trained numbers."""

import numpy as np

from nn.layer import Layer
from nn.parallel import map_slices


class BatchNormalization(Layer):
    """Ioffe and Szegedy, 2015, over axis 1: the channels of images, the features of vectors.

    `output = gamma * (inputs - mean) / sqrt(variance + epsilon) + beta`, with mean and variance of the batch in
    training and their running averages at inference. As in Keras, `running = momentum * running + (1 - momentum) *
    batch`, with the biased variance; PyTorch calls `1 - momentum` momentum and averages the unbiased variance.
    """

    def __init__(self, momentum=0.99, epsilon=1e-3):
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"Expected a number from 0 to below 1. Received: momentum={momentum}")
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape, rng):
        channels = input_shape[0]
        self.params = {"gamma": np.ones(channels, np.float32), "beta": np.zeros(channels, np.float32)}
        self.buffers = {"mean": np.zeros(channels, np.float32), "variance": np.ones(channels, np.float32)}
        return super().build(input_shape, rng)

    def forward(self, inputs, training=False):
        self._training = training
        n_values = inputs.size // inputs.shape[1]
        if training:
            mean = (_channel_sums(inputs) / n_values).astype(inputs.dtype)
            variance = _channel_sums(inputs, lambda x: np.square(x - _by_channel(mean, x))) / n_values
            for name, value in (("mean", mean), ("variance", variance)):
                self.buffers[name] += (1 - self.momentum) * (value - self.buffers[name])
        else:
            mean, variance = self.buffers["mean"], self.buffers["variance"]
        self._inverse_std = 1 / np.sqrt(variance + self.epsilon)
        scale = (self.params["gamma"] * self._inverse_std).astype(inputs.dtype)
        shift = (self.params["beta"] - mean * scale).astype(inputs.dtype)
        self._inputs, self._mean = inputs, mean
        output = self._reuse("output", inputs.shape, inputs.dtype)

        def apply(part):
            np.multiply(inputs[part], _by_channel(scale, inputs), out=output[part])
            output[part] += _by_channel(shift, inputs)

        map_slices(apply, len(inputs))
        return output

    def backward(self, output_gradient):
        dtype = output_gradient.dtype
        n_values = output_gradient.size // output_gradient.shape[1]
        sum_gradient = _channel_sums(output_gradient)
        sum_product = _channel_sums(output_gradient, lambda g, x: g * x, self._inputs)
        self.grads["beta"] = sum_gradient.astype(dtype)
        self.grads["gamma"] = ((sum_product - self._mean * sum_gradient) * self._inverse_std).astype(dtype)
        # input_gradient = scale * (gradient - mean(gradient) - normalized * mean(gradient * normalized)); the last two
        # terms come from the statistics of the batch, and are one straight line in the inputs for each channel.
        scale = (self.params["gamma"] * self._inverse_std).astype(dtype)
        slope = offset = None
        if self._training:
            slope = (-scale * self._inverse_std * self.grads["gamma"] / n_values).astype(dtype)
            offset = (-scale * sum_gradient / n_values - slope * self._mean).astype(dtype)
        gradient = self._reuse("input_gradient", output_gradient.shape, dtype)

        def apply(part):
            np.multiply(output_gradient[part], _by_channel(scale, gradient), out=gradient[part])
            if slope is not None:
                line = self._inputs[part] * _by_channel(slope, gradient)
                line += _by_channel(offset, gradient)
                gradient[part] += line

        map_slices(apply, len(gradient))
        return gradient


def _by_channel(values, like):
    """`values` `(channels,)` in a shape that broadcasts against `like`, whose axis 1 holds the channels."""
    return values.reshape(1, -1, *(1,) * (like.ndim - 2))


def _channel_sums(array, function=None, *others):
    """Sums over all axes but 1 of `function(array, *others)`, added up in float64, slice by slice."""

    def partial(part):
        values = array[part] if function is None else function(array[part], *(other[part] for other in others))
        return values.sum(axis=tuple(range(2, array.ndim))).sum(axis=0, dtype=np.float64)

    return np.sum(map_slices(partial, len(array)), axis=0)
