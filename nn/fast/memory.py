"""The memory of a run in training, and all views into it: made once, used by every batch.

`Images` holds what a slice of a batch leaves behind for the backward pass, the other classes what a thread needs while
it works on a group of those images.
"""

from types import SimpleNamespace

import numpy as np

from nn.fast.correlation import Correlation, KernelGradient


class Images:
    """One slice of a batch in a `Training` run.

    Attributes
    ----------
    inlet : ndarray `(channels, n, height, width)`
        Where the run before writes its output: inside of a frame of zeros.
    target, gradient : ndarray `(filters, n, rows, columns)`
        Where the run writes its own, and the gradient with respect to it.
    groups : list
        Views of a few images each, which are worked on together.
    """

    def __init__(self, run, n_images, dtype):
        blocks, (rows, columns) = run.blocks, run.output_shape[1:]
        self.padded, self.inlet = blocks.padded(n_images, dtype)
        self._by_block = blocks.by_block(self.padded)
        is_grid = self._by_block.flags.c_contiguous
        self._blocks = None if is_grid else np.zeros(self._by_block.shape, dtype)
        grid = (self.padded if is_grid else self._blocks).reshape(run.n_channels, n_images, *blocks.grid)
        gradient = np.zeros((run.conv.filters, n_images, *run.pooled_size), dtype)
        self.gradient = gradient[:, :, :rows, :columns]
        self.live = np.zeros(self.gradient.shape, bool)  # what the ReLU has let through
        right = run.rows(n_images, bool, run.pool[1] - 1)
        lower = np.zeros((run.pool[0] - 1, *gradient.shape), bool)
        self.total = np.zeros((run.n_filters, *blocks.grid), dtype)
        if run.norm:
            sums = np.zeros((run.n_filters, n_images, *blocks.size), dtype)
            self.pooled = np.zeros_like(gradient)
        self.groups = []
        for start in range(0, n_images, run.group):
            part = slice(start, min(start + run.group, n_images))
            group = SimpleNamespace(part=part, size=part.stop - start, gradient=gradient[:, part])
            group.lower, group.right = lower[:, :, part], right[:, :, :, part]
            correlation = run.scratch(Forward, group.size, dtype).correlation
            group.taps = correlation.taps(grid, start * grid[0, 0].size)
            if run.norm:
                group.sums, group.pooled = sums[:, part], self.pooled[:, part]
                group.windows = run.windows(group.sums)
            self.groups.append(group)

    def fill_grid(self):
        """Sort the pixels into blocks, where blocks are more than a pixel."""
        if self._blocks is not None:
            np.copyto(self._blocks, self._by_block)


class Forward:
    """What a thread needs for the forward pass of a group."""

    def __init__(self, run, n_images, dtype):
        blocks = run.blocks
        n_values = n_images * blocks.grid[0] * blocks.grid[1]
        self.correlation = Correlation(run.n_channels, run.n_filters, blocks.taps, blocks.grid[1], n_values, dtype)
        grid = self.correlation.result.reshape(run.n_filters, n_images, *blocks.grid)
        self.outputs = blocks.outputs(grid)
        self.windows = run.windows(grid if run.pools_whole_grid else self.outputs)
        self.rows = run.rows(n_images, dtype)[0]
        self.best = np.zeros(self.rows.shape[1:], dtype)


class Backward:
    """What a thread needs for the backward pass of a group, beside what the forward pass needs."""

    def __init__(self, run, n_images, dtype):
        blocks, self.correlation = run.blocks, run.scratch(Forward, n_images, dtype).correlation
        n_values = n_images * blocks.grid[0] * blocks.grid[1]
        # Seen from here, a grid's values are shifted, so that the turned filter meets them from the image's corner on.
        flat = np.zeros((run.n_filters, run.corner + n_values), dtype)
        self.grid = flat[:, run.corner :].reshape(run.n_filters, n_images, *blocks.grid)
        self.outputs = blocks.outputs(self.grid)
        self.windows = run.windows(self.grid if run.pools_whole_grid else self.outputs)
        self.rows = run.rows(n_images, dtype)[0]
        self.shares = self.windows if run.norm is None else run.rows(n_images, dtype, run.pool[1])
        self.kernel_gradient = KernelGradient(self.correlation, flat, run.corner)
        turned = Correlation(run.n_filters, run.n_channels, blocks.taps, blocks.grid[1], flat.shape[1], dtype)
        self.turned, self.taps, self.result = turned, turned.taps(flat), turned.result[:, :n_values]


class Ones:
    """An image of ones, and the gradient of the kernel that met it: what all pixels have in common."""

    def __init__(self, run, n_images, dtype):
        blocks, images = run.blocks, Images(run, 1, dtype)
        images.inlet[...] = 1
        images.fill_grid()
        flat = np.zeros((run.n_filters, run.corner + blocks.grid[0] * blocks.grid[1]), dtype)
        self.gradient = flat[:, run.corner :].reshape(run.n_filters, *blocks.grid)
        shape = run.n_channels, run.n_filters, blocks.taps, blocks.grid[1], flat.shape[1] - run.corner
        correlation = Correlation(*shape, dtype, memory=lambda name, shape, dtype: np.zeros(shape, dtype))
        correlation.load(images.groups[0].taps)
        self.kernel_gradient = KernelGradient(correlation, flat, run.corner)
