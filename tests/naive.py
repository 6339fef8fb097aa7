"""Convolution and pooling written as their definition, loop by loop: the oracle of the fast versions."""

import itertools

import numpy as np


def conv2d(images, kernel, bias, strides, padding):
    """Cross-correlation: images `(batch, channels, height, width)`, kernel `(filters, channels, rows, columns)`."""
    images = pad(images, kernel.shape[2:], strides, padding, 0)
    shape = output_shape(images, kernel.shape[2:], strides)
    output = np.zeros((len(images), len(kernel), *shape))
    for image, filter_, y, x in np.ndindex(output.shape):
        total = bias[filter_]
        for channel, v, u in np.ndindex(kernel.shape[1:]):
            pixel = images[image, channel, y * strides[0] + v, x * strides[1] + u]
            total += pixel * kernel[filter_, channel, v, u]
        output[image, filter_, y, x] = total
    return output


def max_pool2d(images, pool_size, strides, padding):
    """The largest value of each window, channel by channel."""
    images = pad(images, pool_size, strides, padding, -np.inf)
    output = np.full((*images.shape[:2], *output_shape(images, pool_size, strides)), -np.inf)
    for image, channel, y, x in np.ndindex(output.shape):
        for v, u in itertools.product(*map(range, pool_size)):
            value = images[image, channel, y * strides[0] + v, x * strides[1] + u]
            output[image, channel, y, x] = max(output[image, channel, y, x], value)
    return output


def output_shape(padded, window, strides):
    return [(size - k) // step + 1 for size, k, step in zip(padded.shape[2:], window, strides)]


def pad(images, window, strides, padding, value):
    """ "same": so many zeros that there are ceil(size / stride) windows, the odd one at the end (Keras)."""
    if padding == "valid":
        return images
    margins = []
    for size, k, step in zip(images.shape[2:], window, strides):
        total = max((int(np.ceil(size / step)) - 1) * step + k - size, 0)
        margins.append((total // 2, total - total // 2))
    return np.pad(images, ((0, 0), (0, 0), *margins), constant_values=value)
