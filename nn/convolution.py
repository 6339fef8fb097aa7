"""The convolution layer: each output is the sum of a window of the image, weighted by a filter.

This is the plain form. Training and prediction run it together with the layers behind it: see the package `nn_fast`.
"""

import itertools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nn.initializers import he_normal
from nn.layer import Layer, pair


class Conv2D(Layer):
    """Cross-correlation of images with trained filters, as every framework calls convolution.

    Shapes: inputs `(batch, channels, height, width)`, output `(batch, filters, new_height, new_width)`, kernel
    `(filters, channels, kernel_height, kernel_width)`, bias `(filters,)`. With padding "same" the new size is
    `ceil(size / stride)`, and zeros are added around the image, the odd one at its end (Keras); with "valid" it is
    `ceil((size - kernel + 1) / stride)`.
    """

    def __init__(self, filters, kernel_size, strides=1, padding="same"):
        super().__init__()
        if filters < 1:
            raise ValueError(f"Expected at least one filter. Received: filters={filters}")
        self.filters, self.padding = filters, padding
        self.kernel_size, self.strides = pair(kernel_size, "kernel_size"), pair(strides, "strides")

    def compute_output_shape(self, input_shape):
        _, height, width = image_shape(self, input_shape)
        return self.filters, *(
            output_size(size, *axis, self.padding)
            for size, *axis in zip((height, width), self.kernel_size, self.strides)
        )

    def build(self, input_shape, rng):
        output_shape = super().build(input_shape, rng)
        channels, *size = input_shape
        self._pads = [
            margins(*axis, self.padding) for axis in zip(size, self.kernel_size, self.strides)
        ]
        shape = (self.filters, channels, *self.kernel_size)
        self.params = {
            "kernel": he_normal(rng, shape, fan_in=np.prod(shape[1:])),
            "bias": np.zeros(self.filters, np.float32),
        }
        return output_shape

    def forward(self, inputs, training=False):
        padded = np.pad(inputs, ((0, 0), (0, 0), *self._pads))
        (down, across), kernel = self.strides, self.params["kernel"]
        # (batch, channels, new_height, new_width, kernel_height, kernel_width), a view
        self._windows = sliding_window_view(padded, self.kernel_size, axis=(2, 3))[:, :, ::down, ::across]
        self.output = np.moveaxis(np.tensordot(self._windows, kernel, ((1, 4, 5), (1, 2, 3))), -1, 1)
        self.output = self.output + self.params["bias"][:, np.newaxis, np.newaxis]
        return self.output

    def backward(self, output_gradient):
        self.grads["kernel"] = np.tensordot(output_gradient, self._windows, ((0, 2, 3), (0, 2, 3)))
        self.grads["bias"] = output_gradient.sum(axis=(0, 2, 3))
        (top, bottom), (left, right) = self._pads
        (down, across), (_, rows, columns) = self.strides, self.output_shape
        channels, height, width = self.input_shape
        shape = len(output_gradient), channels, top + height + bottom, left + width + right
        padded = np.zeros(shape, output_gradient.dtype)
        for y, x in itertools.product(*map(range, self.kernel_size)):  # what each tap of the filters has met
            share = np.tensordot(output_gradient, self.params["kernel"][:, :, y, x], (1, 0))
            padded[:, :, y : y + rows * down : down, x : x + columns * across : across] += np.moveaxis(share, -1, 1)
        self.input_gradient = padded[:, :, top : top + height, left : left + width]
        return self.input_gradient


def image_shape(layer, input_shape):
    """`input_shape` if it is one of images that `layer` can take, else a ValueError."""
    if layer.padding not in ("same", "valid"):
        raise ValueError(f'Expected "same" or "valid". Received: padding={layer.padding!r}')
    if len(input_shape) != 3:
        raise ValueError(
            f"{type(layer).__name__} takes images (channels, height, width). Received: input_shape={input_shape}"
        )
    return input_shape


def output_size(size, window, stride, padding):
    """Number of windows along an axis of `size` pixels."""
    covered = size if padding == "same" else size - window + 1
    if covered < 1:
        raise ValueError(f"A window of {window} pixels does not fit into {size}; use padding='same' or a smaller one")
    return -(-covered // stride)


def margins(size, window, stride, padding):
    """Zeros to add (before, after) an axis of `size` pixels."""
    if padding == "valid":
        return 0, 0
    total = max((output_size(size, window, stride, padding) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2
