"""The convolution layer: each output is the sum of a window of the image, weighted by a filter.

This is the plain form; `nn.fast` computes it together with the layers behind it.
"""

import itertools
import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nn.activations import ACTIVATIONS
from nn.checks import choice, flag, integer, pair
from nn.initializers import he_normal
from nn.layer import Layer


class WindowLayer(Layer):
    """What convolution and pooling share: a `window` (height, width) of pixels that moves over images by `strides`.

    With padding "same" the new size of an axis is `ceil(size / stride)`. The image is padded for it, with the odd pixel
    at its end, as in Keras. With "valid" the new size is `ceil((size - window + 1) / stride)`.
    """

    def __init__(self, window, strides, padding):
        super().__init__()
        self.window, self.strides = window, strides
        self.padding = choice(padding, "padding", ("same", "valid"))

    def compute_output_shape(self, input_shape):
        if len(input_shape) != 3:
            kind = type(self).__name__
            raise ValueError(f"{kind} takes images (channels, height, width). Received: input_shape={input_shape}")
        channels, *size = input_shape
        size = [output_size(*axis, self.padding) for axis in zip(size, self.window, self.strides)]
        if math.prod([channels, *size, *self.window, *self.strides]) > 1 << 31:  # eight gigabytes for each image
            raise ValueError(f"Expected smaller windows, strides or images. Received: {self!r}, {input_shape=}")
        return channels, *size

    def build(self, input_shape, rng):
        output_shape = super().build(input_shape, rng)
        axes = zip(input_shape[1:], output_shape[1:], self.window, self.strides)
        missing = [max((n_windows - 1) * stride + window - size, 0) for size, n_windows, window, stride in axes]
        self.pads = [(total // 2, total - total // 2) for total in missing]  # before and after, on each axis
        return output_shape

    def padded(self, images, value=0):
        """`images` `(batch, channels, height, width)` with pixels of `value` around them."""
        return np.pad(images, ((0, 0), (0, 0), *self.pads), constant_values=value)

    def cropped(self, padded):
        """The view of the images in what `padded` returned."""
        (top, _), (left, _) = self.pads
        return padded[:, :, top : top + self.input_shape[1], left : left + self.input_shape[2]]

    def phases(self, padded):
        """For each place in the window, in reading order, the view of the pixels at that place in all windows."""
        (down, across), (_, rows, columns) = self.strides, self.output_shape
        for y, x in itertools.product(*map(range, self.window)):
            yield padded[:, :, y : y + rows * down : down, x : x + columns * across : across]


class Conv2D(WindowLayer):
    """Cross-correlation of images with trained filters, as every framework calls convolution.

    Shapes: inputs `(batch, channels, height, width)`, output `(batch, filters, new_height, new_width)`, kernel
    `(filters, channels, kernel_height, kernel_width)`, bias `(filters,)`; sizes and padding, with zeros, as in
    `WindowLayer`. A Model makes a layer of its own for the `activation`: "relu" or "softmax".
    """

    def __init__(self, filters, kernel_size, strides=1, padding="same", activation=None, use_bias=True):
        self.kernel_size = pair(kernel_size, "kernel_size")
        super().__init__(self.kernel_size, pair(strides, "strides"), padding)
        self.filters, self.use_bias = integer(filters, "filters"), flag(use_bias, "use_bias")
        self.activation = choice(activation, "activation", (None, *ACTIVATIONS))

    def compute_output_shape(self, input_shape):
        return self.filters, *super().compute_output_shape(input_shape)[1:]

    def build(self, input_shape, rng):
        output_shape = super().build(input_shape, rng)
        shape = (self.filters, input_shape[0], *self.kernel_size)
        self.params["kernel"] = he_normal(rng, shape, fan_in=np.prod(shape[1:]))
        if self.use_bias:
            self.params["bias"] = np.zeros(self.filters, np.float32)
        return output_shape

    def forward(self, inputs, training=False):
        self._padded = self.padded(inputs)
        output = np.tensordot(self._windows(), self.params["kernel"], ((1, 4, 5), (1, 2, 3)))
        if self.use_bias:
            output += self.params["bias"]
        self.output = np.moveaxis(output, -1, 1)
        return self.output

    def backward(self, output_gradient):
        self.grads["kernel"] = np.tensordot(output_gradient, self._windows(), ((0, 2, 3), (0, 2, 3)))
        if self.use_bias:
            self.grads["bias"] = output_gradient.sum(axis=(0, 2, 3))
        padded = self.padded(np.zeros((len(output_gradient), *self.input_shape), output_gradient.dtype))
        taps = self.params["kernel"].reshape(*self.params["kernel"].shape[:2], -1)
        for number, phase in enumerate(self.phases(padded)):  # what each tap of the filters has met
            phase += np.moveaxis(np.tensordot(output_gradient, taps[:, :, number], (1, 0)), -1, 1)
        self.input_gradient = self.cropped(padded)
        return self.input_gradient

    def _windows(self):
        """The view `(batch, channels, new_height, new_width, kernel_height, kernel_width)` of the last inputs."""
        down, across = self.strides
        return sliding_window_view(self._padded, self.kernel_size, axis=(2, 3))[:, :, ::down, ::across]


def output_size(size, window, stride, padding):
    """Number of windows along an axis of `size` pixels."""
    covered = size if padding == "same" else size - window + 1
    if covered < 1:
        raise ValueError(f"A window of {window} pixels does not fit into {size}; use padding='same' or a smaller one")
    return -(-covered // stride)
