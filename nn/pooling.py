"""Max pooling: of each window of an image, only the largest value goes on."""

import numpy as np

from nn.convolution import WindowLayer
from nn.layer import pair


class MaxPooling2D(WindowLayer):
    """The largest value of each window, channel by channel.

    Shapes: inputs `(batch, channels, height, width)`, output `(batch, channels, new_height, new_width)`; sizes and
    padding as `WindowLayer` tells, where padded pixels never win. The gradient goes to the first of equal maxima.
    """

    def __init__(self, pool_size=2, strides=None, padding="valid"):
        self.pool_size = pair(pool_size, "pool_size")
        super().__init__(self.pool_size, self.pool_size if strides is None else pair(strides, "strides"), padding)

    def forward(self, inputs, training=False):
        phases = list(self.phases(self.padded(inputs, -np.inf)))
        self._winner = np.argmax(phases, axis=0)
        self.output = np.max(phases, axis=0)
        return self.output

    def backward(self, output_gradient):
        padded = self.padded(np.zeros((len(output_gradient), *self.input_shape), output_gradient.dtype))
        for number, phase in enumerate(self.phases(padded)):
            phase += output_gradient * (self._winner == number)
        self.input_gradient = self.cropped(padded)
        return self.input_gradient
