"""Convolution tile by tile, channels last: what training and inference are built of.

The outputs of a convolution are cut into tiles of a few pixels. A tile looks at a patch of the input, which overlaps
with the patches of its neighbours. The patches of some images are sorted by the place of a pixel in its patch. So each
place is one long matrix `(tiles, channels)`, and what follows are a few products of large matrices.
"""

import math
from functools import cache

import numpy as np

from nn.parallel import workspace

LARGEST_TILE = 4  # of `Winograd`: 2 takes more products, 6 rounds more coarsely and wastes more at the edges of images
MOST_TAPS = 5  # for which there are `POINTS`: small powers of two, whose powers are exact, and infinity
POINTS = 0, 1, -1, 2, -2, 0.5, -0.5
FEW_CHANNELS = 4  # below, the products of `Winograd` would have too few columns
BLOCK = 1024  # tiles in a product of `Direct`: with more, both sides leave the cache


def tiles_of(conv, pool):
    """The faster of `Winograd` and `Direct` for a convolution, with tiles that fit the pooling window."""
    if conv.strides == (1, 1) and max(conv.kernel_size) <= MOST_TAPS and conv.input_shape[0] >= FEW_CHANNELS:
        return Winograd(conv, [next(m for m in range(LARGEST_TILE, 0, -1) if m % p == 0 or p % m == 0) for p in pool])
    return Direct(conv, pool if conv.input_shape[0] < FEW_CHANNELS and math.prod(pool) < 10 else (1, 1))


class Tiles:
    """The tiles of a convolution.

    Attributes
    ----------
    tile, patch, grid : pair of int
        Outputs of a tile, inputs that it looks at, and number of tiles, along both axes.
    """

    def __init__(self, conv, tile):
        self.tile, self.filters, (self.channels, *self.image) = tile, conv.filters, conv.input_shape
        self.taps, self.strides, self.size = conv.kernel_size, conv.strides, conv.output_shape[1:]
        self.before = [before for before, _ in conv.pads]
        self.grid = [-(-n // m) for n, m in zip(self.size, tile)]
        steps = [m * stride for m, stride in zip(tile, conv.strides)]
        self.patch = [(m - 1) * stride + k for m, stride, k in zip(tile, conv.strides, conv.kernel_size)]
        axes = zip(self.grid, steps, self.patch, self.before, self.image)
        height, width = [max((n - 1) * step + patch, before + size) for n, step, patch, before, size in axes]
        self.step = [min(pair) for pair in zip(steps, (height, width))]  # one tile needs none beyond its frame
        self.frame_shape = height, self.step[1], -(-width // self.step[1]), self.channels
        self.n_products = math.prod(tile)  # for each pair of a channel and a filter
        self.left_over = [m * n - size for m, n, size in zip(tile, self.grid, self.size)]

    def frame(self, n_images, dtype):
        """Zeros for the images and what filters meet around them, `(n, height, step, width / step, channels)`.

        Columns that are a `step` apart lie next to each other, so that the tiles of a row read one piece of memory.
        """
        return np.zeros((n_images, *self.frame_shape), dtype)

    def inlet(self, frame):
        """The images in a frame: pairs of a slice of their columns and the view `(n, height, columns, channels)`."""
        (top, left), (height, width), step = self.before, self.image, self.step[1]
        for start in range(min(step, width)):
            column, phase = divmod(left + start, step)
            n_columns = len(range(start, width, step))
            yield slice(start, None, step), frame[:, top : top + height, phase, column : column + n_columns]

    def patches(self, frame):
        """Views of the pixels at each place of a patch, in steps: `(rows, up to a step, n, *grid, channels)`."""
        image, row, phase, pixel, value = frame.strides
        (rows, columns), (down, across) = self.patch, self.step
        strides = row, phase, image, down * row, pixel, value
        for first in range(0, columns, across):
            shape = rows, min(across, columns - first), len(frame), *self.grid, self.channels
            yield np.ndarray(shape, frame.dtype, frame, first // across * pixel, strides)

    def add_patches(self, patches, frame):
        """Add overlapping patches `(*patch, n, *grid, channels)` to a frame, or to some rows of tiles in it."""
        down, across = self.step
        for number, places in enumerate(frame):
            part = patches[:, number * across :][:, :across]
            for y in range(0, len(places), down):  # places less than a step apart do not overlap
                target = places[y : y + down]
                np.add(target, part[y : y + down], out=target)

    def outputs_shape(self, patches):
        """The shape `(*tile, n, *grid, filters)` of the outputs for some patches."""
        return *self.tile, *patches[0].shape[2:5], self.filters

    def clear(self, outputs, has_last_row):
        """Set to zero what stands beyond the last row and column of the images."""
        (rows, columns), (down, across) = self.left_over, self.tile
        if rows and has_last_row:
            outputs[down - rows :, :, :, -1] = 0
        if columns:
            outputs[:, across - columns :, :, :, -1] = 0


class Winograd(Tiles):
    """Few products: those of input and kernel at some points (see `toom_cook`), along both axes.

    A tile of 4 x 4 outputs of a 3 x 3 filter takes 36 products for each pair of channel and filter instead of 144; its
    inputs, kernel and outputs are transformed by small matrices from both sides (Lavin and Gray, Fast Algorithms for
    Convolutional Neural Networks, 2015). Each of the 36 is one product of large matrices. Backward, all goes the same
    way in reverse, with the matrices transposed.
    """

    def __init__(self, conv, tile):
        super().__init__(conv, tile)
        self.n_products = math.prod(self.patch)

    def prepare(self, kernel, training=False):
        """Transform the kernel `(filters, channels, *taps)` for a batch."""
        pairs = zip(*(toom_cook(*axis, kernel.dtype) for axis in zip(self.tile, self.taps)))
        self._from_products, to_kernel, self._to_inputs = pairs
        self._to_kernel = np.kron(*to_kernel)
        self._weights = self._to_kernel @ kernel.transpose(2, 3, 1, 0).reshape(math.prod(self.taps), -1)
        self._weights = self._weights.reshape(-1, self.channels, self.filters)
        if training:
            self._turned = np.ascontiguousarray(self._weights.swapaxes(1, 2))

    def load(self, patches):
        """What `apply` and `backward` take, from what `Tiles.patches` returned."""
        inputs = workspace("inputs", (*self.patch, *patches[0].shape[2:]), patches[0].dtype)
        for first, part in zip(range(0, self.patch[1], self.step[1]), patches):
            np.copyto(inputs[:, first : first + self.step[1]], part)
        return _transform(self._to_inputs, inputs, inputs)

    def apply(self, inputs, outputs):
        """Write the convolution to `outputs` `(*tile, n, *grid, filters)`, without a bias."""
        inputs = inputs.reshape(len(self._weights), -1, self.channels)
        products = workspace("products", (*inputs.shape[:2], self.filters), inputs.dtype)
        np.matmul(inputs, self._weights, out=products)
        _transform(self._from_products, products.reshape(*self.patch, -1), outputs)

    def backward(self, inputs, output_gradient, patches=None):
        """The gradient of the weights; adds that of the images to their `patches`, if there are.

        Uses `inputs` up, and returns memory that the next call writes to.
        """
        shape, inputs = inputs.shape, inputs.reshape(len(self._weights), -1, self.channels)
        products = workspace("products", (*inputs.shape[:2], self.filters), inputs.dtype)
        _transform([matrix.T for matrix in self._from_products], output_gradient, products.reshape(*self.patch, -1))
        gradient = workspace("gradient", (len(products), self.filters, self.channels), inputs.dtype)
        np.matmul(products.swapaxes(1, 2), inputs, out=gradient)
        if patches is not None:
            np.matmul(products, self._turned, out=inputs)
            inputs = inputs.reshape(shape)
            self.add_patches(_transform([matrix.T for matrix in self._to_inputs], inputs, inputs), patches)
        return gradient

    def contract(self, gradient):
        """The gradient of the kernel from that of the weights."""
        kernel = self._to_kernel.T @ gradient.reshape(len(gradient), -1)
        return kernel.reshape(*self.taps, self.filters, self.channels).transpose(2, 3, 0, 1)


class Direct(Tiles):
    """The plain sum: one matrix of patches, and for each place in a tile one of filters, which stand where it looks.

    For few channels, where a patch is a column of moderate height and every patch serves all outputs of a tile; and
    for strides and large kernels, for which `Winograd` has no points.
    """

    def prepare(self, kernel, training=False):
        """Place the kernel `(filters, channels, *taps)` in patches for a batch."""
        self._weights = np.zeros((*self.tile, *self.patch, self.channels, self.filters), kernel.dtype)
        for placed in self._placed(self._weights):
            placed[...] = kernel.transpose(2, 3, 1, 0)
        self._weights = self._weights.reshape(math.prod(self.tile), -1, self.filters)

    def _placed(self, weights):
        """The views `(*taps, channels, filters)` of the kernel in the weights of each place in a tile."""
        for y, x in np.ndindex(*self.tile):
            (top, left), (height, width) = (y * self.strides[0], x * self.strides[1]), self.taps
            yield weights[y, x, top : top + height, left : left + width]

    def load(self, patches):
        """As `Winograd.load`."""
        columns = workspace("inputs", (*self.patch, self.channels, *patches[0].shape[2:5]), patches[0].dtype)
        for first, part in zip(range(0, self.patch[1], self.step[1]), patches):
            np.copyto(columns[:, first : first + self.step[1]], np.moveaxis(part, -1, 2))
        return columns.reshape(self._weights.shape[1], -1)

    def apply(self, columns, outputs):
        """As `Winograd.apply`."""
        outputs = outputs.reshape(len(self._weights), -1, self.filters)
        for part in _blocks(outputs.shape[1]):
            np.matmul(columns[:, part].T, self._weights, out=outputs[:, part])

    def backward(self, columns, output_gradient, patches=None):
        """As `Winograd.backward`."""
        rows = output_gradient.reshape(len(self._weights), -1, self.filters)
        if patches is not None:
            gradient = sum(weights @ part.T for weights, part in zip(self._weights, rows))
            gradient = gradient.reshape(*self.patch, self.channels, *patches[0].shape[2:5])
            self.add_patches(np.moveaxis(gradient, 2, -1), patches)
        return sum(np.matmul(columns[:, part], rows[:, part]) for part in _blocks(rows.shape[1]))

    def contract(self, gradient):
        """As `Winograd.contract`."""
        gradient = gradient.reshape(*self.tile, *self.patch, self.channels, self.filters)
        return sum(self._placed(gradient)).transpose(3, 2, 0, 1)


def _blocks(n_tiles):
    return [slice(start, start + BLOCK) for start in range(0, n_tiles, BLOCK)]


def _transform(matrices, values, out):
    """`left @ values @ right.T` over the first two axes of contiguous values, in `out`, which may be the values."""
    (left, right), (rows, columns) = matrices, values.shape[:2]
    half = workspace("half", (len(left), columns, values.size // (rows * columns)), values.dtype)
    np.matmul(left, values.reshape(rows, -1), out=half.reshape(len(left), -1))
    np.matmul(right, half, out=out.reshape(len(left), len(right), -1))
    return out


@cache
def toom_cook(n_outputs, taps, dtype=float):
    """Matrices `(outputs, n)`, `(n, taps)`, `(n, inputs)` of correlation in `n = outputs + taps - 1` products.

    `correlate(inputs, kernel) = outputs_matrix @ ((kernel_matrix @ kernel) * (inputs_matrix @ inputs))`.

    Two polynomials are multiplied by their values at `n` points, a Vandermonde matrix times their coefficients; its
    inverse gives the coefficients of the product. Correlation is the transposed of that, with the roles of one factor
    and of the product exchanged (Winograd, Arithmetic Complexity of Computations, 1980). One output, or one tap, saves
    nothing: its matrices are those of the plain sum.
    """
    n = n_outputs + taps - 1
    if taps == 1:
        matrices = np.eye(n), np.ones((n, 1)), np.eye(n)
    elif n_outputs == 1:
        matrices = np.ones((1, n)), np.eye(n), np.eye(n)
    else:
        values = np.vander([*POINTS[: n - 1], 0], increasing=True)

        def at_points(n_coefficients):
            matrix = values[:, :n_coefficients].copy()
            matrix[-1] = np.arange(n_coefficients) == n_coefficients - 1  # the value at infinity: the highest one
            return matrix

        matrices = at_points(n_outputs).T, at_points(taps), np.linalg.inv(at_points(n)).T
    return [np.ascontiguousarray(matrix, dtype) for matrix in matrices]
