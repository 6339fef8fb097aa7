"""The convolution layer, as one matrix product an image.

All windows of an image are copied side by side into a matrix ("im2col"), and the filters, one a row, are multiplied
with it. The gradient with respect to the input is itself a convolution: of the output's gradient with the filters
turned by half a circle.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nn.initializers import he_normal
from nn.layer import Layer, pair
from nn.parallel import map_slices, workspace


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
        self._inputs = inputs
        filters = self.params["kernel"].reshape(self.filters, -1)
        bias = self.params["bias"][:, np.newaxis]
        output = self._reuse("output", (len(inputs), *self.output_shape), inputs.dtype)

        def convolve(part):
            for image, result in zip(inputs[part], output[part]):
                result = result.reshape(self.filters, -1)
                np.matmul(filters, self._columns(image), out=result)
                result += bias

        map_slices(convolve, len(inputs))
        return output

    def backward(self, output_gradient):
        turned = self.params["kernel"][:, :, ::-1, ::-1].swapaxes(0, 1).reshape(self.input_shape[0], -1)
        gradient = self._reuse("input_gradient", self._inputs.shape, output_gradient.dtype)

        def propagate(part):
            kernel_gradient = 0
            for image, upstream, result in zip(self._inputs[part], output_gradient[part], gradient[part]):
                flat = upstream.reshape(self.filters, -1)
                kernel_gradient = kernel_gradient + self._columns(image) @ flat.T
                np.matmul(turned, self._gradient_columns(upstream), out=result.reshape(len(turned), -1))
            return kernel_gradient

        kernel_gradient = sum(map_slices(propagate, len(output_gradient)))
        self.grads["kernel"] = np.ascontiguousarray(kernel_gradient.T).reshape(self.params["kernel"].shape)
        self.grads["bias"] = output_gradient.sum(axis=(0, 2, 3))
        return gradient

    def _columns(self, image):
        """The windows of one image, a column each: `(channels * kernel_size, output pixels)`, in reused memory."""
        (top, bottom), (left, right) = self._pads
        channels, height, width = image.shape
        padded = workspace((channels, top + height + bottom, left + width + right), image.dtype)
        padded.fill(0)
        padded[:, top : top + height, left : left + width] = image
        return im2col(padded, self.kernel_size, self.strides)

    def _gradient_columns(self, upstream):
        """The windows of the output's gradient that each pixel of the image had a part in, a column each."""
        (top, _), (left, _) = self._pads
        (kernel_height, kernel_width), (down, across) = self.kernel_size, self.strides
        _, height, width = self.input_shape
        # Pixel y of the image met tap t of window o where y + top = o * stride + t: upstream's values stand a stride
        # apart, and start kernel - 1 - top pixels into an array that is kernel - 1 larger than the image.
        padded = workspace(
            (self.filters, height + kernel_height - 1 + down, width + kernel_width - 1 + across), upstream.dtype
        )
        padded.fill(0)
        start_y, start_x = kernel_height - 1 - top, kernel_width - 1 - left
        _, rows, columns = upstream.shape
        padded[:, start_y : start_y + rows * down : down, start_x : start_x + columns * across : across] = upstream
        return im2col(padded[:, : height + kernel_height - 1, : width + kernel_width - 1], self.kernel_size, (1, 1))


def im2col(image, kernel_size, strides):
    """All windows of `image` `(channels, height, width)` as columns, in memory that this thread uses again."""
    down, across = strides
    windows = sliding_window_view(image, kernel_size, axis=(1, 2))[:, ::down, ::across].transpose(0, 3, 4, 1, 2)
    columns = workspace(windows.shape, image.dtype)
    np.copyto(columns, windows)
    return columns.reshape(np.prod(windows.shape[:3]), -1)


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
