"""Convolution as a few matrix products, laid out for the cache: what `fusion` is built of.

Images stand in a grid that leaves room around them for the filter. In the flattened grid, the values that one tap of
the filter meets are the grid itself, shifted; what comes out where the filter leaves its image is never looked at.
"""

import math

import numpy as np

from nn.parallel import workspace

CHUNK = 1024  # columns of a matrix product that sums over columns: so many of both sides stay in the cache


def shifted(array, shape, strides, start=0):
    """A view of a contiguous array by its first value and by strides, both counted in values."""
    size = array.itemsize
    return np.ndarray(shape, array.dtype, array, start * size, [stride * size for stride in strides])


def inner_taps(channels, taps):
    """The taps of a filter, `(height, width)`, that `Correlation` copies for; it adds up over the others."""
    return taps if channels * taps[1] < 32 else (1, taps[1])


def weights(kernel):
    """`(filters, channels, height, width)` as the left side of `Correlation`'s product."""
    filters, channels, *taps = kernel.shape
    outer = taps[0] // inner_taps(channels, taps)[0]
    return kernel.reshape(filters, channels, outer, -1).transpose(2, 0, 3, 1).reshape(outer * filters, -1)


class Correlation:
    """Correlation of a grid `(channels, n_values)` with filters `(filters, channels, height, width)` at stride one.

    The grid shifted by each of the *inner* taps is copied into a matrix ("im2col"), which is multiplied with the
    weights of all *outer* taps; those products are shifted and added. With many channels the taps of one row of the
    filter are inner ones, and the copy is smaller by the filter's height; with few channels all of them are, since a
    matrix product of few rows is slow. Views are made once, so that Python has little to do, in memory that all of a
    thread's correlations share (or what `memory` gives), so that it stays in the cache.
    """

    def __init__(self, channels, filters, taps, grid_width, n_values, dtype, memory=workspace):
        self.inner, self.filters, self.grid_width = inner_taps(channels, taps), filters, grid_width
        self.outer = taps[0] // self.inner[0]
        # How far the last tap reaches: so many values at the end of a grid have no meaning.
        n_columns = n_values - (self.inner[0] - 1) * grid_width - taps[1] + 1
        self.n_sums = n_columns - (self.outer - 1) * grid_width
        columns = memory("columns", (*self.inner, channels, n_values), dtype)
        products = memory("products", (self.outer, filters, n_values), dtype)
        self.columns = columns.reshape(-1, n_values)
        self._copies, self._right = columns[..., :n_columns], self.columns[:, :n_columns]
        self._products = products.reshape(-1, n_values)[:, :n_columns]
        self._parts = [part[:, i * grid_width :][:, : self.n_sums] for i, part in enumerate(products)]
        self.result = products[0] if self.outer == 1 else memory("sums", (filters, n_values), dtype)
        self._total = self.result[:, : self.n_sums]

    def taps(self, grid, start=0):
        """The view of a contiguous grid, from the value `start` of each channel on, that `apply` takes."""
        return shifted(grid, self._copies.shape, (self.grid_width, 1, grid[0].size, 1), start)

    def load(self, taps):
        """Fill `columns` `(inner * channels, n_values)`, the right side of the product."""
        np.copyto(self._copies, taps)

    def apply(self, taps, left):
        """Compute `result` `(filters, n_values)`; `left` is what `weights` returned."""
        self.load(taps)
        np.matmul(left, self._right, out=self._products)
        if self.outer > 1:
            np.add(*self._parts[:2], out=self._total)
        for part in self._parts[2:]:
            np.add(self._total, part, out=self._total)


class KernelGradient:
    """The gradient of the kernel, from the `columns` of a Correlation and the gradient of its result.

    The latter is a grid `(filters, n_values)` too, of which the value at `start` belongs to the first column.
    """

    def __init__(self, correlation, gradient, start):
        columns, self._products = correlation.columns, []
        (n_rows, n_values), outer, filters = columns.shape, correlation.outer, correlation.filters
        n_chunks = correlation.n_sums // CHUNK
        for first, n, size in ((0, n_chunks, CHUNK), (n_chunks * CHUNK, 1, correlation.n_sums % CHUNK)):
            left = shifted(columns, (outer, n, n_rows, size), (correlation.grid_width, size, n_values, 1), first)
            right = shifted(gradient, (n, size, filters), (size, 1, gradient.shape[1]), first + start)
            self._products.append(
                (left, right, workspace(("gradients", size), (outer, n, n_rows, filters), columns.dtype))
            )

    def compute(self):
        """`(outer, inner * channels, filters)`, which `as_kernel` brings into shape."""
        return sum(np.add.reduce(np.matmul(left, right, out=out), axis=1) for left, right, out in self._products)


def as_kernel(gradient, channels, taps):
    """What `KernelGradient.compute` returned, in the shape of the kernel."""
    split = gradient.reshape(len(gradient), -1, channels, gradient.shape[-1])
    return split.transpose(3, 2, 0, 1).reshape(gradient.shape[-1], channels, *taps)


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
        self.before = [before for before, _ in conv.pads]
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

    def padded(self, n_images, dtype):
        """Zeros `(channels, n, height, width)` of as many pixels as the grid holds, and the view of the images in it."""
        (down, across), (top, left), (height, width) = self.block, self.before, self.image
        array = np.zeros((self.channels, n_images, self.grid[0] * down, self.grid[1] * across), dtype)
        return array, array[:, :, top : top + height, left : left + width]

    def by_block(self, padded):
        """The view `(channels, *block, n, *grid)` of what `padded` returned: a grid, once it is contiguous."""
        (down, across), (rows, columns) = self.block, self.grid
        return padded.reshape(self.channels, -1, rows, down, columns, across).transpose(0, 3, 5, 1, 2, 4)

    def to_images(self, grid):
        """The images `(channels, n, height, width)` whose first block stands at the start of a flat grid."""
        (down, across), (height, width) = self.block, self.image
        top, left = (m - f * b for m, f, b in zip(self.before, self.first, self.block))
        blocks = grid.reshape(self.channels, down, across, -1, *self.grid).transpose(0, 3, 4, 1, 5, 2)
        images = blocks.reshape(self.channels, -1, self.grid[0] * down, self.grid[1] * across)
        return images[:, :, top : top + height, left : left + width]

    def outputs(self, grid):
        """The view `(filters, n, *size)` of the outputs, of which the first stands in the corner of each image."""
        height, width = self.size
        return grid.reshape(len(grid), -1, *self.grid)[:, :, :height, :width]
