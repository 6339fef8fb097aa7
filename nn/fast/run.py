"""A run of layers that are computed together, and the way into it."""

import itertools
import math

import numpy as np

from nn.activations import ReLU
from nn.convolution import Conv2D
from nn.normalization import BatchNormalization
from nn.fast.tiles import Winograd, tiles_of
from nn.fast.windows import Windows
from nn.parallel import SLICE
from nn.pooling import MaxPooling2D


def find_run(layers, may_lead):
    """The layers at the start that are `[BatchNormalization] Conv2D [BatchNormalization] [ReLU] [MaxPooling2D]`.

    The leading normalization is taken in only if it `may_lead`; without a convolution the list is empty.
    """
    kinds = iter([BatchNormalization] * may_lead + [Conv2D, BatchNormalization, ReLU, MaxPooling2D])
    # `in` goes through the kinds up to the layer's own, so a run has each kind at most once and in this order.
    run = list(itertools.takewhile(lambda layer: _fits(layer) and type(layer) in kinds, layers))
    return run if Conv2D in map(type, run[:2]) else []


def _fits(layer):
    return type(layer) is not MaxPooling2D or layer.strides == layer.pool_size and layer.padding == "valid"


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

    def group_of(self, n_bytes):
        """How many images to work on together, so that the largest array for them has so many bytes."""
        tiles = self.tiles
        rows = math.prod(tiles.patch) * max(tiles.channels, tiles.filters if type(tiles) is Winograd else 0)
        rows = max(rows, math.prod(tiles.tile) * tiles.filters)
        return int(np.clip(n_bytes // (4 * rows * math.prod(tiles.grid)), 1, SLICE))

    def lead(self, inputs, training):
        """The `lines` of the leading normalization for a batch, of which `enter` takes the first."""
        return self.leading.lines(inputs, training) if self.leading else (None, None)


def enter(inputs, line, inlet):
    """Write inputs `(n, channels, height, width)` to an inlet, scaled and shifted by channel if there is a line."""
    inputs = inputs.transpose(0, 2, 3, 1)
    if line is None:
        np.copyto(inlet, inputs)
    else:
        np.multiply(inputs, line[0], out=inlet)
        np.add(inlet, line[1], out=inlet)
