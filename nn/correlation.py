"""Convolution as a few matrix products, laid out for the cache: what `fusion` is built of.

Images stand in a grid that leaves room around them for the filter. In the flattened grid, the values that one tap of
the filter meets are the grid itself, shifted; what comes out where the filter leaves its image is never looked at.
"""

import math

import numpy as np

from nn.convolution import margins
from nn.parallel import workspace

CHUNK = 1024  # columns of a matrix product that sums over columns: so many of both sides stay in the cache


class Correlation:
    """Correlation of grids `(channels, values)` with filters `(filters, channels, height, width)` at stride one.

    The grid shifted by each of the *inner* taps is copied into a matrix ("im2col"), which is multiplied with the
    weights of all *outer* taps; those products are shifted and added. With many channels the taps of one row of the
    filter are inner ones, and the copy is smaller by the filter's height; with few channels all of them are, since a
    matrix product of few rows is slow. Every step is one call of NumPy, without Python's lock for as long as it can be.
    """

    def __init__(self, channels, taps, grid_width):
        (height, width), self.grid_width = taps, grid_width
        self.inner, self.outer = ((height, width), 1) if channels * width < 32 else ((1, width), height)
        # How far the last tap reaches: so many values at the end of a grid have no meaning.
        self.inner_reach = (self.inner[0] - 1) * grid_width + width - 1
        self.outer_reach = (self.outer - 1) * grid_width

    def weights(self, kernel):
        """The left side of the product, `(outer * filters, inner * channels)`."""
        split = kernel.reshape(*kernel.shape[:2], self.outer, -1)
        return split.transpose(2, 0, 3, 1).reshape(self.outer * len(kernel), -1)

    def columns(self, grid):
        """The right side of the product, `(inner * channels, values)`."""
        channels, n_values = grid.shape
        columns = workspace("columns", (*self.inner, channels, n_values), grid.dtype)
        shape, strides = (*self.inner, channels, n_values - self.inner_reach), (self.grid_width, 1, n_values, 1)
        columns[..., : shape[-1]] = _view(grid, shape, strides)
        return columns.reshape(-1, n_values)

    def apply(self, weights, columns):
        """The correlation, `(filters, values)`."""
        n_values = columns.shape[1]
        n_columns = n_values - self.inner_reach
        parts = workspace("products", (len(weights), n_values), columns.dtype)
        np.matmul(weights, columns[:, :n_columns], out=parts[:, :n_columns])
        if self.outer == 1:
            return parts
        filters, n_sums = len(weights) // self.outer, n_columns - self.outer_reach
        total = workspace("sums", (filters, n_values), columns.dtype)
        shifted = _view(parts, (self.outer, filters, n_sums), (filters * n_values + self.grid_width, n_values, 1))
        np.add.reduce(shifted, axis=0, out=total[:, :n_sums])
        return total

    def kernel_gradient(self, columns, gradient, start):
        """The gradient of the kernel, `(outer, inner * channels, filters)`, from that of the correlation.

        The latter is a grid as well, of which the value at `start` belongs to the first of `columns`.
        """
        (n_rows, n_values), filters = columns.shape, len(gradient)
        n_sums = n_values - self.inner_reach - self.outer_reach
        n_chunks, total = n_sums // CHUNK, 0
        for first, n, size in ((0, n_chunks, CHUNK), (n_chunks * CHUNK, 1, n_sums % CHUNK)):
            left = _view(columns, (self.outer, n, n_rows, size), (self.grid_width, size, n_values, 1), first)
            right = _view(gradient, (n, size, filters), (size, 1, n_values), first + start)
            products = workspace("gradients", (self.outer, n, n_rows, filters), columns.dtype)
            total = total + np.matmul(left, right, out=products).sum(axis=1)
        return total

    def as_kernel(self, gradient, taps):
        """What `kernel_gradient` returned in the shape of the kernel."""
        split = gradient.reshape(self.outer, math.prod(self.inner), -1, gradient.shape[-1])
        return split.transpose(3, 2, 0, 1).reshape(split.shape[3], split.shape[2], *taps)


def _view(array, shape, strides, start=0):
    """A view of a contiguous array by strides in values, quicker made than by NumPy's own helper."""
    size = array.itemsize
    return np.ndarray(shape, array.dtype, array, start * size, [stride * size for stride in strides])


class Blocks:
    """Images cut into blocks of pixels, with each place in a block as a channel of its own (space-to-depth).

    A block is as large as the stride times the `phases`, so that the convolution has stride one on blocks and gives
    `phases` outputs a block, each with the same filters at another place: filters of their own on a block's channels.
    """

    def __init__(self, conv, phases):
        (channels, *image), strides, size = conv.input_shape, conv.strides, conv.kernel_size
        self.image, self.filters, self.channels, self.phases = image, conv.filters, channels, phases
        self.block = [s * p for s, p in zip(strides, phases)]
        self.taps = [-(-(b - s + k) // b) for b, s, k in zip(self.block, strides, size)]
        self.before = [margins(*axis, conv.padding)[0] for axis in zip(image, size, strides)]
        self.first = [m // b for m, b in zip(self.before, self.block)]  # the first block with a pixel of the image
        n_blocks = [(n - 1 + m) // b + 1 - f for n, m, b, f in zip(image, self.before, self.block, self.first)]
        self.size = [n // p for n, p in zip(conv.output_shape[1:], phases)]
        self.grid = [max(n, m) + k - 1 for n, m, k in zip(self.size, n_blocks, self.taps)]
        # Which tap of the kernel stands where: one where place + block * tap == stride * phase + kernel tap.
        axes = []
        for step, taps, stride, n_phases, width in zip(self.block, self.taps, strides, phases, size):
            phase, place, tap, old = np.ogrid[:n_phases, :step, :taps, :width]
            axes.append(place + step * tap == stride * phase + old)
        self.layout = np.einsum("abjy,dekx->yxadbejk", *axes).reshape(math.prod(size), -1)

    def expand(self, kernel):
        """The kernel on blocks: `(phases * filters, block * channels, *taps)`."""
        big = kernel.reshape(-1, len(self.layout)) @ self.layout.astype(kernel.dtype)
        big = big.reshape(self.filters, self.channels, math.prod(self.phases), -1)
        return big.transpose(2, 0, 1, 3).reshape(math.prod(self.phases) * self.filters, -1, *self.taps)

    def contract(self, gradient):
        """The gradient of the kernel, `(filters, channels, taps)`, from that of the kernel on blocks."""
        split = gradient.reshape(math.prod(self.phases), self.filters, self.channels, -1).transpose(1, 2, 0, 3)
        return split.reshape(self.filters, self.channels, -1) @ self.layout.T.astype(gradient.dtype)

    def zeros(self, name, channels, n_images, dtype):
        """A grid `(channels, n, *grid)` of zeros, but for what was written to it under this name and geometry."""
        key = name, channels, *self.image, *self.grid, *self.block, *self.before, *self.size
        return workspace(key, (channels, n_images, *self.grid), dtype)

    def to_grid(self, images):
        """Images `(n, channels, height, width)` as a flat grid `(block * channels, values)`."""
        (down, across), (top, left), (height, width) = self.block, self.before, self.image
        rows, columns = self.grid
        key = "padded", *self.image, *self.grid, *self.block, *self.before
        padded = workspace(key, (self.channels, len(images), rows * down, columns * across), images.dtype)
        padded[:, :, top : top + height, left : left + width] = images.swapaxes(0, 1)
        blocks = padded.reshape(self.channels, -1, rows, down, columns, across).transpose(0, 3, 5, 1, 2, 4)
        grid = padded  # if blocks are pixels
        if down * across > 1:
            grid = workspace("blocks", blocks.shape, images.dtype)
            np.copyto(grid, blocks)
        return grid.reshape(self.channels * down * across, -1)

    def to_images(self, grid):
        """The images `(channels, n, height, width)` whose first block stands at the start of a flat grid."""
        (down, across), (height, width) = self.block, self.image
        top, left = (m - f * b for m, f, b in zip(self.before, self.first, self.block))
        blocks = grid.reshape(self.channels, down, across, -1, *self.grid).transpose(0, 3, 4, 1, 5, 2)
        images = blocks.reshape(self.channels, -1, self.grid[0] * down, self.grid[1] * across)
        return images[:, :, top : top + height, left : left + width]

    def outputs(self, grid, corner=(0, 0)):
        """The view `(filters, n, *size)` of the outputs, of which the first stands at `corner` of each image."""
        (top, left), (height, width) = corner, self.size
        return grid.reshape(len(grid), -1, *self.grid)[:, :, top : top + height, left : left + width]
