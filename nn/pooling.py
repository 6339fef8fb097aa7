"""Pooling: images become smaller, channel by channel."""

import numpy as np

from nn.checks import pair
from nn.convolution import WindowLayer
from nn.layer import Layer


class Pooling2D(WindowLayer):
    """What max and average pooling share.

    Shapes: inputs `(batch, channels, height, width)`, output `(batch, channels, new_height, new_width)`; sizes and
    padding as in `WindowLayer`. Strides are the pool's size by default.
    """

    def __init__(self, pool_size=2, strides=None, padding="valid"):
        self.pool_size = pair(pool_size, "pool_size")
        super().__init__(self.pool_size, self.pool_size if strides is None else pair(strides, "strides"), padding)

    def padded_zeros(self, output_gradient):
        """Zeros in which the gradient of the padded images is summed up."""
        return self.padded(np.zeros((len(output_gradient), *self.input_shape), output_gradient.dtype))


class MaxPooling2D(Pooling2D):
    """The largest value of each window. Padded pixels never win; the gradient goes to the first of equal maxima."""

    def forward(self, inputs, training=False):
        phases = list(self.phases(self.padded(inputs, -np.inf)))
        self._winner = np.argmax(phases, axis=0)
        self.output = np.max(phases, axis=0)
        return self.output

    def backward(self, output_gradient):
        padded = self.padded_zeros(output_gradient)
        for number, phase in enumerate(self.phases(padded)):
            phase += output_gradient * (self._winner == number)
        self.input_gradient = self.cropped(padded)
        return self.input_gradient


class AveragePooling2D(Pooling2D):
    """The mean of each window, padded pixels left out, as in Keras (PyTorch: `count_include_pad=False`)."""

    def forward(self, inputs, training=False):
        self._n_pixels = sum(self.phases(self.padded(np.ones_like(inputs[:1, :1]))))  # in each window
        self.output = sum(self.phases(self.padded(inputs))) / self._n_pixels
        return self.output

    def backward(self, output_gradient):
        padded, shares = self.padded_zeros(output_gradient), output_gradient / self._n_pixels
        for phase in self.phases(padded):
            phase += shares
        self.input_gradient = self.cropped(padded)
        return self.input_gradient


class GlobalPooling2D(Layer):
    """What global max and average pooling share: `(batch, channels, height, width)` -> `(batch, channels)`."""

    def compute_output_shape(self, input_shape):
        if len(input_shape) != 3:
            kind = type(self).__name__
            raise ValueError(f"{kind} takes images (channels, height, width). Received: input_shape={input_shape}")
        return input_shape[:1]


class GlobalAveragePooling2D(GlobalPooling2D):
    """The mean of each channel."""

    def forward(self, inputs, training=False):
        self.output = inputs.mean(axis=(2, 3))
        return self.output

    def backward(self, output_gradient):
        _, height, width = self.input_shape
        shares = output_gradient[:, :, np.newaxis, np.newaxis] / (height * width)
        self.input_gradient = np.broadcast_to(shares, (len(shares), *self.input_shape)).copy()
        return self.input_gradient


class GlobalMaxPooling2D(GlobalPooling2D):
    """The largest value of each channel; the gradient goes to the first of equal maxima."""

    def forward(self, inputs, training=False):
        pixels = inputs.reshape(*inputs.shape[:2], -1)
        self._winner = pixels.argmax(axis=2, keepdims=True)
        self.output = np.take_along_axis(pixels, self._winner, axis=2)[:, :, 0]
        return self.output

    def backward(self, output_gradient):
        gradient = np.zeros((*output_gradient.shape, np.prod(self.input_shape[1:])), output_gradient.dtype)
        np.put_along_axis(gradient, self._winner, output_gradient[:, :, np.newaxis], axis=2)
        self.input_gradient = gradient.reshape(-1, *self.input_shape)
        return self.input_gradient
