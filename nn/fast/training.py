"""A run of layers in training: forward, and back to its gradients."""

import math

import numpy as np

from nn.fast.correlation import Blocks, as_kernel, inner_taps, weights
from nn.fast.memory import Backward, Forward, Images, Ones
from nn.fast.parallel import of_thread
from nn.fast.run import Run, enter
from nn.parallel import SLICE

GROUP_BYTES = 1 << 20  # of images worked on together: more leave the cache, fewer make threads wait for Python


class Training(Run):
    """A run of layers in training: its geometry, and how one slice of a batch goes forward and back through it.

    Where channels are few, the places in a pooling window are phases of the convolution (see `Blocks`) and the largest
    is taken over phases; else over the pixels of the window.
    """

    def __init__(self, layers):
        super().__init__(layers)
        channels, filters, size = self.conv.input_shape[0], self.conv.filters, self.conv.output_shape[1:]
        self.by_phase = channels < 4 and math.prod(self.pool) < 10 and not np.any(np.mod(size, self.pool))
        self.blocks = blocks = Blocks(self.conv, self.pool if self.by_phase else (1, 1))
        self.n_channels, self.n_filters = channels * math.prod(blocks.block), filters * math.prod(blocks.phases)
        # Whole grids, with what is not looked at, are faster since they are contiguous; but they spoil statistics.
        self.pools_whole_grid = self.by_phase and self.norm is None
        self.pooled_size = blocks.grid if self.pools_whole_grid else self.output_shape[1:]
        self.corner = (blocks.taps[0] - 1 - blocks.first[0]) * blocks.grid[1] + blocks.taps[1] - 1 - blocks.first[1]
        inner = math.prod(inner_taps(self.n_channels, blocks.taps))
        rows = max(inner * self.n_channels, math.prod(blocks.taps) * self.n_filters // inner)
        self.group = int(np.clip(GROUP_BYTES // (4 * rows * math.prod(blocks.grid)), 1, SLICE))
        self._images = {}

    def images(self, part, dtype):
        """The memory of a slice."""
        key = part.start, part.stop, dtype
        if key not in self._images:
            self._images[key] = Images(self, part.stop - part.start, dtype)
        return self._images[key]

    def scratch(self, kind, n_images, dtype):
        """The calling thread's memory for a group of images: a `Forward`, a `Backward`, or `Ones`."""
        return of_thread(self, (kind, n_images, dtype), lambda: kind(self, n_images, dtype))

    def windows(self, values):
        """The view `(across, down, filters, n, rows, columns)` of values by their place in a pooling window."""
        down, across = self.pool
        if self.by_phase:
            return values.reshape(down, across, -1, *values.shape[1:]).swapaxes(0, 1)
        filters, n_images, rows, columns = values.shape
        whole = values[:, :, : rows // down * down, : columns // across * across]
        return whole.reshape(filters, n_images, rows // down, down, columns // across, across).transpose(
            5, 3, 0, 1, 2, 4
        )

    def rows(self, n_images, dtype, count=1):
        """Zeros for one pixel of each row of a pooling window, `count` times, in the same order as `windows`."""
        (down, _), filters, (rows, columns) = self.pool, self.conv.filters, self.pooled_size
        if self.by_phase:
            return np.zeros((count, down, filters, n_images, rows, columns), dtype)
        return np.zeros((count, filters, n_images, rows, down, columns), dtype).transpose(0, 4, 1, 2, 3, 5)

    def prepare(self, inputs):
        """Weights and bias for all slices of a batch."""
        dtype, self.lines = inputs.dtype, self.lead(inputs, training=True)
        self._n_values, kernel = len(inputs) * math.prod(self.conv.output_shape[1:]), self.conv.params["kernel"]
        if self.norm:
            # A filter whose channel will be scaled by a negative number is turned around, so that the largest value
            # before the normalization is the largest after it. The bias cancels out.
            self._sign = np.where(self.norm.params["gamma"] < 0, -1, 1).astype(dtype)
            kernel = kernel * _spread(self._sign)
        expanded = self.blocks.expand(kernel.astype(dtype))
        self._weights, self._bias = weights(expanded), _spread(self.conv.params["bias"], dtype)
        self._turned = weights(expanded[:, :, ::-1, ::-1].swapaxes(0, 1))

    def forward(self, images, target):
        """From the inlet of `images` to `target`, `(filters, n, rows, columns)`; see `map_slices_together`."""
        images.target, moments = target, np.zeros((2, self.n_filters))
        images.fill_grid()
        for group in images.groups:
            scratch = self.scratch(Forward, group.size, target.dtype)
            scratch.correlation.apply(group.taps, self._weights)
            if not self.norm:
                best = _largest(_largest(scratch.windows, group.right, scratch.rows), group.lower, scratch.best)
                self._finish(np.add(best, self._bias, out=best), target[:, group.part])
                continue
            np.copyto(group.sums, scratch.outputs)
            rows = group.sums.reshape(*group.sums.shape[:2], -1)
            moments += rows.sum(axis=2).sum(axis=1), np.vecdot(rows, rows).sum(axis=1)
            best = _largest(_largest(group.windows, group.right, scratch.rows), group.lower, group.pooled)
            if best is not group.pooled:
                np.copyto(group.pooled, best)
        if self.norm:
            scale, shift = yield self._normalize, moments
            np.multiply(images.pooled, scale, out=target)
            self._finish(np.add(target, shift, out=target), target)

    def _finish(self, values, target):
        inside = values[:, :, : target.shape[2], : target.shape[3]]
        np.maximum(inside, 0, out=target) if self.relu else np.copyto(target, inside)

    def _normalize(self, moments):
        """Scale and shift of the normalization, from the sums of all values and squares; moves its averages.

        Of the squares float32 loses the more, the further the mean lies from zero: at a thousand times the spread, gradients
        are off by 5e-3, those of the plain layers by 1e-4.
        """
        mean, square = moments.reshape(2, -1, self.conv.filters).sum(axis=1) / self._n_values
        variance = np.maximum(square - mean * mean, 0)
        self.norm.follow(self._sign * mean + self.conv.params["bias"], variance)
        scale, shift = self.norm.line(mean, variance, np.abs(self.norm.params["gamma"]))
        self._statistics = mean, 1 / np.sqrt(variance + self.norm.epsilon), scale
        return _spread(scale, self._weights.dtype), _spread(shift, self._weights.dtype)

    def backward(self, images, inputs, output_gradient, sink):
        """From the gradient of the target to that of the inlet, in `sink` if there is one; see `map_slices_together`.

        Returns the slice's share of what `collect` takes.
        """
        dtype, kernel_gradient, scale = output_gradient.dtype, 0, None
        live = np.greater(images.target, 0, out=images.live) if self.relu else 1
        gradient = np.multiply(output_gradient, live, out=images.gradient)
        if self.norm:
            rows, pooled = (array.reshape(*array.shape[:2], -1) for array in (gradient, images.pooled))
            sums = np.array([rows.sum(axis=2).sum(axis=1), np.vecdot(rows, pooled).sum(axis=1)], np.float64)
            scale, slope, offset = yield self._normalize_backward, sums
            gradient *= scale
        if self.leading:
            images.total.fill(0)
            enter(inputs, self.lines[1], images.inlet)
            images.fill_grid()
        for group in images.groups:
            scratch = self.scratch(Backward, group.size, dtype)
            _share(group.gradient, group.lower, scratch.rows)
            _share(scratch.rows, group.right, scratch.shares)
            if self.norm:
                np.multiply(group.sums, slope, out=scratch.outputs)
                np.add(scratch.outputs, offset, out=scratch.outputs)
                np.add(scratch.windows, scratch.shares, out=scratch.windows)
            scratch.correlation.load(group.taps)
            kernel_gradient = kernel_gradient + scratch.kernel_gradient.compute()
            if self.leading:
                for number in range(group.size):
                    np.add(images.total, scratch.grid[:, number], out=images.total)
            if sink is not None:
                scratch.turned.apply(scratch.taps, self._turned)
                np.copyto(sink[:, group.part], self.blocks.to_images(scratch.result))
        return kernel_gradient, images.total if self.leading else gradient.sum(axis=(1, 2, 3))

    def _normalize_backward(self, sums):
        """Fill the normalization's `grads`; return scale, slope and offset of the gradient to the sums before it.

        That is `scale * unpooled gradient + slope * sums + offset`; the last two come through mean and variance.
        """
        (sum_gradient, sum_product), (mean, inverse_std, scale) = sums, self._statistics
        gamma_gradient = (sum_product - mean * sum_gradient) * inverse_std
        slope = -scale * inverse_std * gamma_gradient / self._n_values
        offset = -scale * sum_gradient / self._n_values - slope * mean
        dtype, n_phases = self._weights.dtype, math.prod(self.blocks.phases)
        self.norm.grads = {"gamma": (self._sign * gamma_gradient).astype(dtype), "beta": sum_gradient.astype(dtype)}
        return _spread(scale, dtype), *(_spread(np.tile(values, n_phases), dtype) for values in (slope, offset))

    def collect(self, kernel_gradient, total):
        """Fill the layers' `grads` from the sums over all slices."""
        gradient, bias_gradient = self._contract(kernel_gradient), total
        if self.leading:
            # Inside the image the filters met gamma * normalized + beta, around it zeros.
            ones = self.scratch(Ones, 1, total.dtype)
            ones.gradient[...] = total
            of_ones, kernel = self._contract(ones.kernel_gradient.compute()), self.conv.params["kernel"]
            for name, part in (("gamma", gradient), ("beta", of_ones)):
                self.leading.grads[name] = (kernel * part).sum(axis=(0, 2, 3))
            gamma, beta = (self.leading.params[name].reshape(-1, 1, 1) for name in ("gamma", "beta"))
            gradient = gamma * gradient + beta * of_ones
            bias_gradient = total.reshape(-1, self.conv.filters, total[0].size).sum(axis=(0, 2))
        self.conv.grads = {"kernel": gradient, "bias": np.zeros_like(bias_gradient) if self.norm else bias_gradient}

    def _contract(self, gradient):
        """The gradient of the kernel from that of the weights on blocks."""
        gradient = self.blocks.contract(as_kernel(gradient, self.n_channels, self.blocks.taps))
        gradient = gradient.reshape(self.conv.params["kernel"].shape)
        return gradient * _spread(self._sign) if self.norm else gradient


def _largest(values, winners, out):
    """The largest of `values` along axis 0, in `out`; of a single value, itself.

    The `winners`, one fewer than values, are told where each value is larger than all before it.
    """
    largest = values[0]
    for number, value in enumerate(values[1:]):
        np.greater(value, largest, out=winners[number])
        largest = np.maximum(largest, value, out=out)
    return largest


def _share(gradient, winners, shares):
    """Give the gradient of the largest value to the value that won, the last of which a winner says so."""
    rest = gradient
    for number in reversed(range(len(winners))):
        np.multiply(rest, winners[number], out=shares[number + 1])
        rest = np.subtract(rest, shares[number + 1], out=shares[0])
    if rest is gradient:
        np.copyto(shares[0], gradient)


def _spread(values, dtype=None):
    """One value for each filter, to broadcast against arrays with the filters first and three more axes."""
    return values.astype(dtype or values.dtype, copy=False).reshape(-1, 1, 1, 1)
