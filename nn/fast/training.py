"""A run of layers in training: forward, and back to its gradients."""

import math
from functools import cache
from types import SimpleNamespace

import numpy as np

from nn.fast.run import Run, copy_pixels, enter, finish
from nn.parallel import workspace


class Training(Run):
    """A run of layers in training: how one slice of a batch goes forward and back through it."""

    def __init__(self, layers):
        super().__init__(layers)
        self._images = {}

    def images(self, part, dtype):
        """The memory of a slice."""
        key = part.start, part.stop, dtype
        if key not in self._images:
            self._images[key] = Images(self, part.stop - part.start, dtype)
        return self._images[key]

    def prepare(self, inputs):
        """Weights and bias for all slices of a batch."""
        dtype, self.lines = inputs.dtype, self.lead(inputs, training=True)
        self._n_values, kernel = len(inputs) * math.prod(self.conv.output_shape[1:]), self.conv.params["kernel"]
        self._dtype, self._bias = dtype, self.by_row(self.bias, dtype)
        if self.norm:
            # A filter whose channel will be scaled by a negative number is turned around, so that the largest value
            # before the normalization is the largest after it. The bias cancels out.
            self._sign = np.where(self.norm.params["gamma"] < 0, -1, 1).astype(dtype)
            kernel = kernel * self._sign.reshape(-1, 1, 1, 1)
        self.tiles.prepare(kernel.astype(dtype), training=True)

    def forward(self, images, target):
        """From the inlet of `images` to the inlet `target`; see `map_slices_together`."""
        moments = np.zeros((2, self.conv.filters))
        for group in images.groups:
            self.tiles.apply(self.tiles.load(group.patches), group.outputs)
            if self.norm:
                self.tiles.clear(group.outputs, group.is_last)
                moments += _sum(group.outputs), _sum_product(group.outputs, group.outputs)
            self.windows.largest(group.outputs, group.pooled, group.winners)
        rows, shift, (height, width) = images.pooled_rows, self._bias, self.output_shape[1:]
        if self.norm:
            scale, shift = yield self._normalize, moments  # after which this may be another thread
            rows = np.multiply(rows, scale, out=workspace("values", rows.shape, rows.dtype))
        rows = np.add(rows, shift, out=workspace("values", rows.shape, rows.dtype))
        values = rows.reshape(images.whole_pooled.shape)[:, :height, :width]
        if self.relu:
            np.greater(values, 0, out=images.live)
        finish(values, self.relu, target)

    def _normalize(self, moments):
        """Scale and shift of the normalization, from the sums of all values and squares; moves its averages.

        Float32 loses the more of the squares, the further the mean lies from zero: at a thousand times the spread,
        gradients are off by 5e-3, those of the plain layers by 1e-4.
        """
        mean, square = moments / self._n_values
        variance = np.maximum(square - mean * mean, 0)
        self.norm.follow(self._sign * mean + self.bias, variance)
        scale, shift = self.norm.line(mean, variance, np.abs(self.norm.params["gamma"]))
        self._statistics = mean, 1 / np.sqrt(variance + self.norm.epsilon), scale
        return [self.by_row(values, self._dtype) for values in (scale, shift)]

    def backward(self, images, inputs, output_gradient, sink):
        """From the gradient of the target to that of the inlet, in `sink` if there is one; see `map_slices_together`.

        Returns the slice's share of what `collect` takes.
        """
        line, whole, kernel_gradient = None, images.whole_gradient, None
        if self.relu:
            np.multiply(output_gradient, images.live, out=images.gradient)
        else:
            np.copyto(images.gradient, output_gradient)
        bias_gradient = _sum(whole)
        if self.norm:
            sums = np.array([bias_gradient, _sum_product(whole, images.whole_pooled)], np.float64)
            scale, *line = yield self._normalize_backward, sums
            np.multiply(images.gradient, scale, out=images.gradient)  # the rest of the whole stays zero
        if self.leading:
            enter(inputs, self.lines[1], images.inlet)
            total = np.zeros((*self.tiles.tile, *self.tiles.grid, self.conv.filters), whole.dtype)
        frame = None if sink is None else workspace("frame", images.frame.shape, whole.dtype)
        if sink is not None:
            frame.fill(0)
            places = list(self.tiles.patches(frame))
        for group in images.groups:
            gradient = self._unpooled(group, line)
            if self.leading:
                for number in range(gradient.shape[2]):
                    total[:, :, group.rows] += gradient[:, :, number]
            patches = None if sink is None else [each[:, :, group.part, group.rows] for each in places]
            share = self.tiles.backward(self.tiles.load(group.patches), gradient, patches)
            if kernel_gradient is None:
                kernel_gradient = share.copy()
            else:
                np.add(kernel_gradient, share, out=kernel_gradient)
        if sink is not None:
            for columns, values in self.tiles.inlet(frame):
                copy_pixels(values, sink[:, :, columns])
        return kernel_gradient, total if self.leading else bias_gradient

    def _unpooled(self, group, line):
        """The gradient of a group's outputs; with a `line`, slope and offset, in their place."""
        shares = workspace("outputs", group.outputs.shape, group.outputs.dtype)
        self.windows.share(group.gradient, group.winners, shares)
        if line is None:
            return shares
        (slope, offset), rows = line, group.outputs.reshape(-1, line[0].size)
        np.multiply(rows, slope, out=rows)
        np.add(rows, offset, out=rows)
        np.add(group.outputs, shares, out=group.outputs)
        self.tiles.clear(group.outputs, group.is_last)
        return group.outputs

    def _normalize_backward(self, sums):
        """Fill the normalization's `grads`; return scale, slope and offset of the gradient to the sums before it.

        That is `scale * unpooled gradient + slope * sums + offset`; the last two come through mean and variance.
        """
        (sum_gradient, sum_product), (mean, inverse_std, scale) = sums, self._statistics
        gamma_gradient = (sum_product - mean * sum_gradient) * inverse_std
        slope = -scale * inverse_std * gamma_gradient / self._n_values
        offset = -scale * sum_gradient / self._n_values - slope * mean
        dtype, width = self._dtype, self.tiles.grid[1]
        self.norm.grads = {"gamma": (self._sign * gamma_gradient).astype(dtype), "beta": sum_gradient.astype(dtype)}
        # One row of tiles at a time: NumPy has little to do for as few values as there are filters.
        return scale.astype(dtype), *(np.tile(values.astype(dtype), width) for values in (slope, offset))

    def collect(self, kernel_gradient, total):
        """Fill the layers' `grads` from the sums over all slices."""
        gradient, bias_gradient = self._contract(kernel_gradient), total
        if self.leading:
            # Inside the image the filters met gamma * normalized + beta, around it zeros.
            frame, total = self.tiles.frame(1, total.dtype), total[:, :, np.newaxis]
            for _, inlet in self.tiles.inlet(frame):
                inlet[...] = 1
            ones = self.tiles.load(list(self.tiles.patches(frame)))
            of_ones, kernel = self._contract(self.tiles.backward(ones, total)), self.conv.params["kernel"]
            for name, part in (("gamma", gradient), ("beta", of_ones)):
                self.leading.grads[name] = (kernel * part).sum(axis=(0, 2, 3))
            gamma, beta = (self.leading.params[name].reshape(-1, 1, 1) for name in ("gamma", "beta"))
            gradient = gamma * gradient + beta * of_ones
            bias_gradient = _sum(total)
        self.conv.grads = {"kernel": gradient}
        if self.conv.use_bias:
            self.conv.grads["bias"] = np.zeros_like(bias_gradient) if self.norm else bias_gradient

    def _contract(self, gradient):
        """The gradient of the kernel from that of the weights."""
        gradient = self.tiles.contract(gradient)
        return gradient * self._sign.reshape(-1, 1, 1, 1) if self.norm else gradient


class Images:
    """What one slice of a batch leaves behind for the backward pass: made once, used by every batch.

    Attributes
    ----------
    inlet : list
        Where the run before writes its output, inside of a frame of zeros: see `Tiles.inlet`.
    gradient : ndarray `(n, rows, columns, filters)`
        Of the run's own output.
    groups : list
        Views of a few images, or rows of tiles, each, which are worked on together.
    """

    def __init__(self, run, n_images, dtype):
        tiles, windows, filters = run.tiles, run.windows, run.conv.filters
        (rows, columns), self.frame = run.output_shape[1:], tiles.frame(n_images, dtype)
        self.inlet, patches = list(tiles.inlet(self.frame)), list(tiles.patches(self.frame))
        self.whole_pooled, pooled = windows.pooled(n_images, filters, dtype)
        self.whole_gradient, gradient = windows.pooled(n_images, filters, dtype)
        self.gradient = self.whole_gradient[:, :rows, :columns]
        self.pooled_rows = self.whole_pooled.reshape(*self.whole_pooled.shape[:2], -1)
        self.live = np.zeros(self.gradient.shape, bool)  # what the ReLU has let through
        self.groups = []
        for part, of_tiles in run.groups(n_images):
            group = SimpleNamespace(part=part, rows=of_tiles, is_last=of_tiles.stop == tiles.grid[0])
            group.patches = [each[:, :, part, of_tiles] for each in patches]
            of_windows = slice(of_tiles.start, of_tiles.stop // windows.across[0])
            group.pooled, group.gradient = pooled[:, :, part, of_windows], gradient[:, :, part, of_windows]
            group.outputs = np.zeros(tiles.outputs_shape(group.patches), dtype)
            group.winners = windows.winners(group.outputs, group.pooled)
            self.groups.append(group)


def _sum(values):
    """The sum of values `(..., filters)` for each filter, by a matrix product: faster than a sum over leading axes."""
    rows = values.reshape(-1, values.shape[-1])
    return np.matmul(_ones(len(rows), values.dtype), rows)


@cache
def _ones(size, dtype):
    return np.ones(size, dtype)


def _sum_product(values, others):
    return _sum(np.multiply(values, others, out=workspace("outputs", values.shape, values.dtype)))
