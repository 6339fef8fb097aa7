"""Max pooling: of each window of an image, only the largest value goes on."""

import itertools

import numpy as np

from nn.convolution import image_shape, margins, output_size
from nn.layer import Layer, pair


class MaxPooling2D(Layer):
    """The largest value of each window, channel by channel.

    Shapes: inputs `(batch, channels, height, width)`, output `(batch, channels, new_height, new_width)`; sizes and
    padding as in `Conv2D`, where padded pixels never win. The gradient goes to the first of equal maxima.
    """

    def __init__(self, pool_size=2, strides=None, padding="valid"):
        super().__init__()
        self.pool_size = pair(pool_size, "pool_size")
        self.strides = self.pool_size if strides is None else pair(strides, "strides")
        self.padding = padding

    def compute_output_shape(self, input_shape):
        channels, *size = image_shape(self, input_shape)
        return channels, *(output_size(*axis, self.padding) for axis in zip(size, self.pool_size, self.strides))

    def build(self, input_shape, rng):
        self._pads = [margins(*axis, self.padding) for axis in zip(input_shape[1:], self.pool_size, self.strides)]
        return super().build(input_shape, rng)

    def forward(self, inputs, training=False):
        phases = list(self._phases(np.pad(inputs, ((0, 0), (0, 0), *self._pads), constant_values=-np.inf)))
        self._winner = np.argmax(phases, axis=0)
        self.output = np.max(phases, axis=0)
        return self.output

    def backward(self, output_gradient):
        (top, bottom), (left, right) = self._pads
        channels, height, width = self.input_shape
        shape = len(output_gradient), channels, top + height + bottom, left + width + right
        padded = np.zeros(shape, output_gradient.dtype)
        for number, phase in enumerate(self._phases(padded)):
            phase += output_gradient * (self._winner == number)
        self.input_gradient = padded[:, :, top : top + height, left : left + width]
        return self.input_gradient

    def _phases(self, padded):
        """For each place in a window, in reading order, the view of the pixels that stand there in all windows."""
        (down, across), (_, rows, columns) = self.strides, self.output_shape
        for y, x in itertools.product(*map(range, self.pool_size)):
            yield padded[:, :, y : y + rows * down : down, x : x + columns * across : across]
