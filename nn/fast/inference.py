"""Convolution, normalization, ReLU and pooling at inference, with less than half of the multiplications.

A filter is taken down the image by Toom-Cook's algorithm: eight products give `9 - taps` outputs of a column, where the
plain sum takes `taps` products for each. What comes out differs from the layers' by rounding alone, in float32 a few
times coarser than theirs; since that would make other pixels win a pooling, training keeps the plain sum.
"""

import math
from functools import cache

import numpy as np

from nn.fast.correlation import Blocks, shifted
from nn.fast.parallel import of_thread
from nn.fast.run import Run
from nn.parallel import SLICE, workspace

POINTS = 0, 1, -1, 2, -2, 0.5, -0.5  # and infinity: small powers of two, whose powers are exact
GROUP_BYTES = 3 << 18  # of images worked on together: more leave the cache, fewer make threads wait for Python


@cache
def toom_cook(taps):
    """Matrices `(outputs, n)`, `(n, taps)`, `(n, inputs)` of correlation in `n` products.

    `correlate(inputs, kernel) = outputs_matrix @ ((kernel_matrix @ kernel) * (inputs_matrix @ inputs))`.

    Two polynomials are multiplied by their values at `n` points, a Vandermonde matrix times their coefficients; its
    inverse gives the coefficients of the product. Correlation is the transposed of that, with the roles of one factor
    and of the product exchanged (Winograd, Arithmetic Complexity of Computations, 1980). Where this saves nothing, for
    one tap, or would round too much, for more than seven, the matrices of the plain sum are returned.
    """
    if not 1 < taps < 8:
        return plain_sum(taps)
    values = np.vander([*POINTS, 0], increasing=True)
    infinity = len(POINTS)  # the value there is the highest coefficient

    def at_points(n_coefficients):
        matrix = values[:, :n_coefficients].copy()
        matrix[infinity] = np.arange(n_coefficients) == n_coefficients - 1
        return matrix

    return at_points(len(values) + 1 - taps).T, at_points(taps), np.linalg.inv(at_points(len(values))).T


def plain_sum(taps):
    """The same for one output, each product of which is one of input and kernel."""
    return np.ones((1, taps)), np.eye(taps), np.eye(taps)


class Inference(Run):
    """A run of layers at inference: from an array with a frame of zeros to the next one's.

    The columns of a pooling window are phases of the convolution (see `Blocks`), and so are its rows where channels
    are few; the largest is taken over phases first, then over what is left of the rows.
    """

    def __init__(self, layers):
        super().__init__(layers)
        conv, (down, across) = self.conv, self.pool
        few = conv.input_shape[0] < 4 and down * across < 10
        self.blocks = blocks = Blocks(conv, (down if few else 1, across))
        self.rows = down // blocks.phases[0]  # of a window that are not phases
        self.n_channels = conv.input_shape[0] * math.prod(blocks.block)
        self.n_filters = conv.filters * math.prod(blocks.phases)
        # With a handful of filters, transforming the images takes longer than all products.
        self.matrices = (toom_cook if self.n_channels * self.n_filters >= 8 else plain_sum)(blocks.taps[0])
        self.tile = len(self.matrices[0])
        n_rows, n_columns = self.output_shape[1] * self.rows, self.output_shape[2]
        self.n_tiles, self.width = -(-n_rows // self.tile), n_columns + blocks.taps[1] - 1
        # In pixels, with room for all of the image, whether an output looks at it or not.
        grid = self.n_tiles * self.tile + blocks.taps[0] - 1, self.width
        self.frame = [
            max(g * b, before + n) for g, b, before, n in zip(grid, blocks.block, blocks.before, blocks.image)
        ]
        rows = max(blocks.taps[1] * self.n_channels, self.n_filters)
        n_bytes = 4 * len(self.matrices[1]) * rows * self.n_tiles * self.width
        self.group = int(np.clip(GROUP_BYTES // n_bytes, 1, SLICE))

    def prepare(self, inputs):
        """Transform the weights for all slices, with the normalization behind them and the averages it keeps."""
        dtype, self.lines = inputs.dtype, self.lead(inputs, training=False)
        kernel, bias, norm = self.conv.params["kernel"], self.conv.params["bias"], self.norm
        if norm:
            scale, shift = norm.line(norm.buffers["mean"], norm.buffers["variance"])
            kernel, bias = kernel * scale.reshape(-1, 1, 1, 1), bias * scale + shift
        products = np.tensordot(self.matrices[1], self.blocks.expand(kernel), (1, 2))  # (n, filters, channels, across)
        self.weights = products.swapaxes(2, 3).reshape(*products.shape[:2], -1).astype(dtype)
        self.bias = bias.astype(dtype).reshape(-1, 1, 1, 1, 1)

    def images(self, part, dtype):
        """The calling thread's `Padded` array for a slice of a batch."""
        n_images = part.stop - part.start
        return of_thread(self, (Padded, n_images, dtype), lambda: Padded(self, n_images, dtype))

    def forward(self, images, target):
        """From `images` to `target` `(filters, n, rows, columns)`; see `map_slices_together`: it waits for nobody."""
        n_images = target.shape[1]
        for start in range(0, n_images, self.group):
            size = min(self.group, n_images - start)
            tiles = of_thread(self, (Tiles, size, target.dtype), lambda: Tiles(self, size, target.dtype))
            tiles.forward(images.tiles(start, size), self.weights, self.bias, target[:, start : start + size])
        return ()


class Padded:
    """Images inside of a frame of zeros; `inlet` `(channels, n, height, width)` is where they are written."""

    def __init__(self, inference, n_images, dtype):
        blocks = inference.blocks
        self._array = np.zeros((blocks.channels, n_images, *inference.frame), dtype)
        (top, left), (height, width), (down, across) = blocks.before, blocks.image, blocks.block
        self.inlet = self._array[:, :, top : top + height, left : left + width]
        channel, self._image, row, _ = (stride // self._array.itemsize for stride in self._array.strides)
        self._block = len(inference.matrices[2]), blocks.channels, down, across
        self._grid = inference.n_tiles, inference.width
        self._strides = down * row, channel, row, 1, self._image, inference.tile * down * row, across
        self._views = {}

    def tiles(self, start, n_images):
        """The view `(inputs, channels, *block, n, tiles, width)` of the blocks in each tile, which overlap."""
        if (start, n_images) not in self._views:
            shape = *self._block, n_images, *self._grid
            self._views[start, n_images] = shifted(self._array, shape, self._strides, start * self._image)
        return self._views[start, n_images]


class Tiles:
    """What a thread needs for a group of images: the arrays of each step, and views of them that are made once."""

    def __init__(self, inference, n_images, dtype):
        blocks, tile, filters = inference.blocks, inference.tile, inference.conv.filters
        (_down, _across), size = inference.pool, (n_images, inference.n_tiles, inference.width)
        n_values = math.prod(size)
        self.from_products, _, self.to_inputs = (matrix.astype(dtype) for matrix in inference.matrices)
        n_products, n_inputs = self.to_inputs.shape
        channels, taps = inference.n_channels, blocks.taps[1]

        self.inputs = workspace("inputs", (n_inputs, blocks.channels, *blocks.block, *size), dtype)
        self.flat_inputs = self.inputs.reshape(n_inputs, -1)
        # The values that a tap across meets are those of the first tap, shifted: at the end into what is never looked at.
        values = workspace("values", (n_products, channels * n_values + taps - 1), dtype)
        self.values = values[:, : channels * n_values]
        self.shifted = shifted(values, (n_products, taps, channels, n_values), (values.shape[1], 1, n_values, 1))
        self.columns = workspace("columns", self.shifted.shape, dtype)
        self.flat_columns = self.columns.reshape(n_products, -1, n_values)
        self.products = workspace("products", (n_products, inference.n_filters, n_values), dtype)
        self.flat_products = self.products.reshape(n_products, -1)
        sums = workspace("sums", (tile, math.prod(blocks.phases), filters, *size), dtype)
        self.flat_sums = sums.reshape(tile, -1)
        # What is compared: the phases of a window and those of its rows that stand in one tile, then the other rows.
        inside = math.gcd(tile, inference.rows)
        self.places = list(sums.reshape(tile // inside, -1, filters, *size).swapaxes(0, 1))
        self.best = self.places[0] if len(self.places) == 1 else workspace("best", self.places[0].shape, dtype)
        self.best_by_row = self.best.transpose(1, 2, 3, 0, 4)
        self.by_row = workspace("rows", self.best_by_row.shape, dtype)
        (n_rows, n_columns), n = inference.output_shape[1:], inference.rows // inside
        rows = self.by_row.reshape(filters, n_images, -1, inference.width)[:, :, : n_rows * n, :n_columns]
        self.rows = [rows[:, :, i::n] for i in range(n)]
        # An array: a maximum with a single number takes NumPy twice as long.
        self.zeros = np.zeros(self.rows[0].shape, dtype) if inference.relu else None

    def forward(self, tiles, weights, bias, target):
        """Convolve, take the largest of each pooling window, and write what the ReLU lets through to `target`."""
        np.copyto(self.inputs, tiles)
        np.matmul(self.to_inputs, self.flat_inputs, out=self.values)
        np.copyto(self.columns, self.shifted)
        np.matmul(weights, self.flat_columns, out=self.products)
        np.matmul(self.from_products, self.flat_products, out=self.flat_sums)
        _largest(self.places, self.best)
        np.add(self.best_by_row, bias, out=self.by_row)
        largest = _largest(self.rows, self.rows[0])
        np.copyto(target, largest) if self.zeros is None else np.maximum(largest, self.zeros, out=target)


def _largest(values, out):
    largest = values[0]
    for value in values[1:]:
        largest = np.maximum(largest, value, out=out)
    return largest
