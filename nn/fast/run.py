"""A run of layers that are computed together, and the way into it."""

import itertools
import math

import numpy as np

from nn.activations import ReLU
from nn.convolution import Conv2D
from nn.fast.tiles import tiles_of
from nn.fast.windows import Windows
from nn.normalization import BatchNormalization
from nn.pooling import MaxPooling2D

GROUP_BYTES = 1 << 20  # of patches or products worked on together: more leave the cache, fewer take Python longer


def find_run(layers, may_lead):
    """The layers at the start that are `[BatchNormalization] Conv2D [BatchNormalization] [ReLU] [MaxPooling2D]`.

    The leading normalization is taken in only if it `may_lead`; without a convolution the list is empty.
    """
    kinds = iter([BatchNormalization] * may_lead + [Conv2D, BatchNormalization, ReLU, MaxPooling2D])
    # `in` goes through the kinds up to the layer's own, so a run has each kind at most once and in this order.
    run = list(itertools.takewhile(lambda layer: _fits(layer) and type(layer) in kinds, layers))
    return run if Conv2D in map(type, run[:2]) else []


def _fits(layer):
    return type(layer) is not MaxPooling2D or (layer.strides == layer.pool_size and layer.padding == "valid")


class Run:
    """Such layers by the part they play; None, or a pool of one pixel, for those that are not there."""

    def __init__(self, layers):
        kinds = [type(layer) for layer in layers]
        at = kinds.index(Conv2D)
        self.leading, self.conv = layers[0] if at else None, layers[at]
        self.norm, self.relu, pool = (
            layers[kinds.index(kind, at)] if kind in kinds[at:] else None
            for kind in (BatchNormalization, ReLU, MaxPooling2D)
        )
        pool_size = pool.pool_size if pool else (1, 1)
        self.input_shape, self.output_shape = self.conv.input_shape, layers[-1].output_shape
        self.tiles = tiles_of(self.conv, pool_size)
        self.windows = Windows(self.tiles, pool_size)

    @property
    def bias(self):
        """Of the convolution, zeros if it has none."""
        return self.conv.params.get("bias", np.zeros(self.conv.filters, np.float32))

    def by_row(self, values, dtype):
        """Values by filter, repeated for all windows of a row: NumPy has little to do for as few values as filters."""
        return np.tile(values.astype(dtype), self.windows.grid[1] * self.windows.per_tile[1])

    def groups(self, n_images):
        """Slices of images, and of their rows of tiles, to work on together: few enough to stay in the cache."""
        tiles, (rows, columns) = self.tiles, self.tiles.grid
        n_values = max(math.prod(tiles.patch) * tiles.channels, tiles.n_products * tiles.filters) * columns
        n_rows = max(GROUP_BYTES // (4 * n_values), 1)
        if n_rows < rows and self.windows.across[0] == 1:
            n_parts = -(-rows // n_rows)
            edges = [rows * number // n_parts for number in range(n_parts + 1)]
            for image in range(n_images):
                yield from ((slice(image, image + 1), slice(*pair)) for pair in itertools.pairwise(edges))
        else:
            size = max(n_rows // rows, 1)
            for start in range(0, n_images, size):
                yield slice(start, min(start + size, n_images)), slice(0, rows)

    def lead(self, inputs, training):
        """The `lines` of the leading normalization for a batch, of which `enter` takes the first."""
        return self.leading.lines(inputs, training) if self.leading else (None, None)


def enter(inputs, line, inlet):
    """Write inputs `(n, channels, height, width)` to an inlet, scaled and shifted by channel if there is a line."""
    inputs = inputs.transpose(0, 2, 3, 1)
    for columns, target in inlet:
        if line is None:
            np.copyto(target, inputs[:, :, columns])
        else:
            np.multiply(inputs[:, :, columns], line[0], out=target)
            np.add(target, line[1], out=target)


def finish(values, has_relu, inlet):
    """Write values `(n, height, width, channels)` to an inlet, through a ReLU in their place if there is one."""
    if has_relu:
        np.maximum(values, 0, out=values)
    for columns, target in inlet:
        copy_pixels(values[:, :, columns], target)


def copy_pixels(source, target):
    """Copy `(n, height, width, channels)`, each pixel as one value if its channels lie together: quicker for few."""
    if source.strides[-1] == target.strides[-1] == source.itemsize:
        pixel = np.dtype((np.void, source.shape[-1] * source.itemsize))
        source, target = source.view(pixel), target.view(pixel)
    np.copyto(target, source)
