"""Max pooling: of each window of an image, only the largest value goes on."""

import itertools

import numpy as np

from nn.convolution import image_shape, margins, output_size
from nn.layer import Layer, pair
from nn.parallel import map_slices


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
        output = self._reuse("output", (len(inputs), *self.output_shape), inputs.dtype)
        winner = self._reuse("_winner", output.shape, np.uint16)

        def pool(part):
            best, place = output[part], winner[part]
            for number, phase in enumerate(self._phases(self._pad(inputs[part], -np.inf))):
                if number == 0:
                    best[...], place[...] = phase, 0
                    continue
                np.copyto(place, number, where=phase > best)
                np.maximum(best, phase, out=best)

        map_slices(pool, len(inputs))
        return output

    def backward(self, output_gradient):
        gradient = self._reuse("input_gradient", (len(output_gradient), *self.input_shape), output_gradient.dtype)

        def unpool(part):
            padded = self._pad(np.zeros_like(gradient[part]), 0)
            for number, phase in enumerate(self._phases(padded)):
                phase += output_gradient[part] * (self._winner[part] == number)
            (top, _), (left, _) = self._pads
            gradient[part] = padded[:, :, top : top + gradient.shape[2], left : left + gradient.shape[3]]

        map_slices(unpool, len(output_gradient))
        return gradient

    def _pad(self, images, value):
        if not np.any(self._pads):
            return images
        return np.pad(images, ((0, 0), (0, 0), *self._pads), constant_values=value)

    def _phases(self, padded):
        """For each place in a window, in reading order, the view of the pixels that stand there in all windows."""
        (down, across), (_, rows, columns) = self.strides, self.output_shape
        for y, x in itertools.product(*map(range, self.pool_size)):
            yield padded[:, :, y : y + rows * down : down, x : x + columns * across : across]
