"""Convolution tile by tile, channels last: what training and inference are built of.

The outputs of a convolution are cut into tiles of a few pixels. A tile looks at a patch of the input, which overlaps with
its neighbours' patches. All patches of some images are sorted by the place of a pixel in its patch, so that each place is
one long matrix `(tiles, channels)`: what follows are a few products of large matrices, and sums of long arrays.
"""

import math
from functools import cache

import numpy as np

from nn.parallel import workspace

N_POINTS = 6  # of a patch along an axis in `Winograd`: more round too coarsely for training
POINTS = 0, 1, -1, 2, -2  # and infinity: small powers of two, whose powers are exact
FEW_CHANNELS = 4  # below, the products of `Winograd` would have too few columns


def tiles_of(conv, pool):
    """The faster of `Winograd` and `Direct` for a convolution, with tiles that fit the pooling window."""
    if conv.strides == (1, 1) and max(conv.kernel_size) < N_POINTS and conv.input_shape[0] >= FEW_CHANNELS:
        sizes = [range(N_POINTS + 1 - taps, 0, -1) for taps in conv.kernel_size]
        return Winograd(conv, [next(m for m in axis if m % p == 0 or p % m == 0) for axis, p in zip(sizes, pool)])
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
        self.step = [m * stride for m, stride in zip(tile, conv.strides)]
        self.patch = [(m - 1) * stride + k for m, stride, k in zip(tile, conv.strides, conv.kernel_size)]
        axes = zip(self.grid, self.step, self.patch, self.before, self.image)
        self.frame_size = [max((n - 1) * step + patch, before + size) for n, step, patch, before, size in axes]
        self.left_over = [m * n - size for m, n, size in zip(tile, self.grid, self.size)]

    def frame(self, n_images, dtype):
        """Zeros `(n, height, width, channels)` for the images and what filters meet around them."""
        return np.zeros((n_images, *self.frame_size, self.channels), dtype)

    def inlet(self, frame):
        """The view `(n, height, width, channels)` of the images in a frame."""
        (top, left), (height, width) = self.before, self.image
        return frame[:, top : top + height, left : left + width]

    def patches(self, frame, first=(0, 0), size=None):
        """The view `(*size, n, *grid, channels)` of the pixels at each place of a patch, from the place `first` on."""
        image, row, pixel, value = frame.strides
        (down, across), (y, x), size = self.step, first, size or self.patch
        strides = row, pixel, image, down * row, across * pixel, value
        shape = *size, len(frame), *self.grid, self.channels
        return np.ndarray(shape, frame.dtype, frame, y * row + x * pixel, strides)

    def add_patches(self, patches, frame):
        """Write to the frame what overlapping patches `(*patch, n, *grid, channels)` add up to."""
        frame.fill(0)
        (down, across), (rows, columns) = self.step, self.patch
        for y in range(0, rows, down):  # places less than a step apart do not overlap
            for x in range(0, columns, across):
                part = patches[y : y + down, x : x + across]
                places = self.patches(frame, (y, x), part.shape[:2])
                np.add(places, part, out=places)

    def outputs_shape(self, n_images):
        """The shape `(*tile, n, *grid, filters)` of the outputs of a convolution."""
        return *self.tile, n_images, *self.grid, self.filters

    def clear(self, outputs):
        """Set to zero what stands beyond the last row and column of the images."""
        (rows, columns), (down, across) = self.left_over, self.tile
        if rows:
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
        """What `apply` and `backward` take, from a view that `Tiles.patches` returned."""
        inputs = workspace("inputs", patches.shape, patches.dtype)
        np.copyto(inputs, patches)
        return _transform(self._to_inputs, inputs, inputs)

    def apply(self, inputs, outputs):
        """Write the convolution to `outputs` `(*tile, n, *grid, filters)`, without a bias."""
        inputs = inputs.reshape(len(self._weights), -1, self.channels)
        products = workspace("products", (*inputs.shape[:2], self.filters), inputs.dtype)
        np.matmul(inputs, self._weights, out=products)
        _transform(self._from_products, products.reshape(*self.patch, -1), outputs)

    def backward(self, inputs, output_gradient, frame=None):
        """The gradient of the weights, and into `frame`, if there is one, that of the images; uses `inputs` up."""
        shape, inputs = inputs.shape, inputs.reshape(len(self._weights), -1, self.channels)
        products = workspace("products", (*inputs.shape[:2], self.filters), inputs.dtype)
        _transform([matrix.T for matrix in self._from_products], output_gradient, products.reshape(*self.patch, -1))
        gradient = products.swapaxes(1, 2) @ inputs
        if frame is not None:
            np.matmul(products, self._turned, out=inputs)
            patches = inputs.reshape(shape)
            self.add_patches(_transform([matrix.T for matrix in self._to_inputs], patches, patches), frame)
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
        columns = workspace("inputs", (*self.patch, self.channels, *patches.shape[2:5]), patches.dtype)
        np.copyto(columns, np.moveaxis(patches, -1, 2))
        return columns.reshape(self._weights.shape[1], -1)

    def apply(self, columns, outputs):
        """As `Winograd.apply`."""
        np.matmul(columns.T, self._weights, out=outputs.reshape(len(self._weights), -1, self.filters))

    def backward(self, columns, output_gradient, frame=None):
        """As `Winograd.backward`."""
        rows = output_gradient.reshape(len(self._weights), -1, self.filters)
        if frame is not None:
            patches = sum(weights @ part.T for weights, part in zip(self._weights, rows))
            patches = patches.reshape(*self.patch, self.channels, len(frame), *self.grid)
            self.add_patches(np.moveaxis(patches, 2, -1), frame)
        return columns @ rows

    def contract(self, gradient):
        """As `Winograd.contract`."""
        gradient = gradient.reshape(*self.tile, *self.patch, self.channels, self.filters)
        return sum(self._placed(gradient)).transpose(3, 2, 0, 1)


def _transform(matrices, values, out):
    """`left @ values @ right.T` over the first two axes of contiguous values, in `out`, which may be the values."""
    (left, right), (rows, columns) = matrices, values.shape[:2]
    half = workspace("half", (len(left), columns, values.size // (rows * columns)), values.dtype)
    np.matmul(left, values.reshape(rows, -1), out=half.reshape(len(left), -1))
    np.matmul(right, half, out=out.reshape(len(left), len(right), -1))
    return out


@cache
def toom_cook(n_outputs, taps, dtype=np.dtype(float)):
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
