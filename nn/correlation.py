"""Convolution of a few images at a time as matrix products, laid out for the cache.

Images stand in a grid that has room around them for the filter. In the flattened grid the values that a tap of the
filter meets are the grid itself, shifted: for tap (y, x) by `y * grid width + x`. What comes out at places where the
filter leaves its image is never looked at.
"""

import numpy as np

from nn.parallel import workspace

CHUNK = 1024  # columns of a matrix product that sums over columns: two such matrices stay in the cache


class Correlation:
    """Correlation of grids `(channels, values)` with filters `(filters, channels, height, width)` at stride one.

    The grids shifted by the `inner` taps are copied below each other into a matrix ("im2col"), one product multiplies
    it with the weights of all `outer` taps, and those results are shifted and added. With many channels the taps of
    one row of the filter are inner ones, which makes the copy smaller by the height of the filter; with few channels
    all are, which makes the matrix product worthwhile.
    """

    def __init__(self, channels, kernel_size, grid_width):
        (height, width), self.channels = kernel_size, channels
        self.inner, self.outer = list(range(width)), [y * grid_width for y in range(height)]
        if channels * width < 32:
            self.inner, self.outer = [y + x for y in self.outer for x in self.inner], [0]

    def weights(self, kernel):
        """The filters as the left side of the product: `(outer * filters, inner * channels)`."""
        filters, channels = kernel.shape[:2]
        split = kernel.reshape(filters, channels, len(self.outer), len(self.inner)).transpose(2, 0, 3, 1)
        return split.reshape(len(self.outer) * filters, -1)

    def columns(self, grid):
        """The right side of the product: `(inner * channels, values)`, in memory that this thread uses again."""
        n_values = grid.shape[1] - self.inner[-1]
        columns = workspace("columns", (len(self.inner), *grid.shape), grid.dtype)
        for part, offset in zip(columns, self.inner):
            part[:, :n_values] = grid[:, offset : offset + n_values]
        return columns.reshape(-1, grid.shape[1])[:, :n_values]

    def apply(self, weights, columns):
        """The correlation, `(filters, values)`, of which the last `inner[-1] + outer[-1]` have no meaning."""
        n_columns, n_values = columns.shape[1], columns.shape[1] - self.outer[-1]
        shape = (len(self.outer), len(weights) // len(self.outer), n_columns + self.inner[-1])
        parts = workspace("products", shape, columns.dtype)
        np.matmul(weights, columns, out=parts.reshape(len(weights), -1)[:, :n_columns])
        total = parts[0][:, :n_values]
        for part, offset in zip(parts[1:], self.outer[1:]):
            total += part[:, offset : offset + n_values]
        return parts[0]

    def weights_gradient(self, columns, gradient):
        """The gradient with respect to the kernel, `(outer, inner * channels, filters)`, from that of `apply`."""
        total, n_values = 0, columns.shape[1] - self.outer[-1]
        for start in range(0, n_values, CHUNK):
            stop = min(start + CHUNK, n_values)
            right = gradient[:, start:stop].T
            total += np.stack([columns[:, start + offset : stop + offset] @ right for offset in self.outer])
        return total

    def as_kernel(self, weights_gradient, shape):
        """`weights_gradient` in the shape of the kernel."""
        filters, channels = shape[:2]
        split = weights_gradient.reshape(len(self.outer), len(self.inner), channels, filters)
        return split.transpose(3, 2, 0, 1).reshape(shape)
