"""Pooling of outputs that stand in tiles: the largest of each window, and the gradient back to it."""

import math

import numpy as np

from nn.parallel import workspace

# Of `Windows._levels`, along which the largest is taken: columns first, so that the first of equal values wins.
AXES = 3, 8, 1, 6


class Windows:
    """Pooling windows on tiles: along each axis of the images, a tile holds whole windows or a window whole tiles.

    The largest value is found along one axis after the other. `winners`, one array for each axis, say where a value
    was larger than all before it.
    """

    def __init__(self, tiles, pool):
        self.inside = [math.gcd(m, p) for m, p in zip(tiles.tile, pool)]
        self.across = [p // inside for p, inside in zip(pool, self.inside)]
        self.per_tile = [m // inside for m, inside in zip(tiles.tile, self.inside)]
        self.grid = [n // across for n, across in zip(tiles.grid, self.across)]
        self.is_cropped = any(n % across for n, across in zip(tiles.grid, self.across))
        counts = self.inside[1], self.across[1], self.inside[0], self.across[0]
        self._axes = [axis for axis, count in zip(AXES, counts) if count > 1]

    def pooled(self, n_images, filters, dtype):
        """Zeros `(n, height, width, filters)` for the largest values, and the view of them that `largest` takes."""
        (rows, columns), (down, across) = self.grid, self.per_tile
        values = np.zeros((n_images, rows * down, columns * across, filters), dtype)
        windows = values.reshape(n_images, rows, down, columns, across, filters)
        return values, windows.transpose(2, 4, 0, 1, 3, 5)

    def winners(self, outputs, pooled):
        """Memory for the winners of what `largest` is to write."""
        levels = self._levels(outputs, pooled)
        counts = [level.shape[axis] for level, axis in zip(levels, self._axes)]
        return [np.zeros((count - 1, *level.shape), bool) for count, level in zip(counts, levels[1:])]

    def largest(self, outputs, pooled, winners=None):
        """Write the largest of each window of `outputs` `(*tile, n, *grid, filters)` to `pooled`; note the winners."""
        levels = self._levels(outputs, pooled)
        for axis, values, largest, won in zip(self._axes, levels, levels[1:], winners or [None] * len(AXES)):
            first, *others = _along(values, axis)
            for number, value in enumerate(others):
                if won is not None:
                    np.greater(value, first, out=won[number])
                first = np.maximum(first, value, out=largest)
        if not self._axes:
            np.copyto(levels[1], levels[0])

    def share(self, pooled_gradient, winners, gradient):
        """Write to `gradient`, in the place of each winner, that of its window, and zero elsewhere."""
        if self.is_cropped:
            gradient.fill(0)
        levels = self._levels(gradient, pooled_gradient)
        if not self._axes:
            np.copyto(levels[0], levels[1])
        for axis, shares, rest, won in reversed(list(zip(self._axes, levels, levels[1:], winners))):
            first, *others = _along(shares, axis)
            for share, wins in reversed(list(zip(others, won))):
                np.multiply(rest, wins, out=share)
                rest = np.subtract(rest, share, out=first)

    def _levels(self, outputs, pooled):
        """Views and memory for `outputs`, split by their place in a window, and for what is left after each axis."""
        (down, across), (n_down, n_across) = self.inside, self.across
        rows, columns = outputs.shape[3] // n_down, outputs.shape[4] // n_across
        whole = outputs[:, :, :, : rows * n_down, : columns * n_across]
        shape = self.per_tile[0], down, self.per_tile[1], across, outputs.shape[2], rows, n_down, columns, n_across
        levels = [whole.reshape(*shape, -1)]
        for axis in self._axes[:-1]:
            first = _along(levels[-1], axis)[0]
            levels.append(workspace(("windows", axis), first.shape, first.dtype))
        pooled = pooled[:, np.newaxis, :, np.newaxis, :, :, np.newaxis, :, np.newaxis]  # one value along each axis
        return [*levels, pooled]


def _along(values, axis):
    """The parts of an array along an axis, of one value each: quicker than `np.split`."""
    before = (slice(None),) * axis
    return [values[(*before, slice(number, number + 1))] for number in range(values.shape[axis])]
