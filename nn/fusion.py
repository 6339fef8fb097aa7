"""Convolution, normalization, ReLU and pooling in one go, image by image, while the image is in the cache.

Layer by layer, each step would write a whole batch to memory for the next one to read back. What comes out is what the
layers give one after the other, but for rounding; of theirs, only parameters, gradients and running averages are used.
"""

import itertools
import math

import numpy as np

from nn.activations import ReLU
from nn.convolution import Conv2D
from nn.correlation import Blocks, Correlation
from nn.normalization import BatchNormalization
from nn.parallel import SLICE, map_slices, reuse, workspace
from nn.pooling import MaxPooling2D

GROUP_BYTES = 4 << 20  # of images worked on together: more leave the cache, fewer make threads wait for Python
DEAD = 128  # the winner of a window whose maximum the ReLU has set to zero


def fuse(layers):
    """`layers` with each run of `[BatchNormalization] Conv2D [BatchNormalization] [ReLU] [MaxPooling2D]` as one step.

    A leading normalization is taken in only where nothing before it is trained.
    """
    steps, position = [], 0
    while position < len(layers):
        trained = any(layer.params for layer in layers[:position])
        kinds = iter([BatchNormalization] * (not trained) + [Conv2D, BatchNormalization, ReLU, MaxPooling2D])
        # `in` goes through the kinds up to the layer's own, so a run has each kind at most once and in this order.
        run = list(itertools.takewhile(lambda layer: _fits(layer) and type(layer) in kinds, layers[position:]))
        is_fused = Conv2D in map(type, run[:2])
        steps.append(FusedConvolution(run, trained) if is_fused else layers[position])
        position += len(run) if is_fused else 1
    return steps


def _fits(layer):
    if type(layer) is not MaxPooling2D:
        return True
    return layer.strides == layer.pool_size and layer.padding == "valid" and math.prod(layer.pool_size) < DEAD


class FusedConvolution:
    """A run of layers as one step, with `forward` and, after a forward pass in training, `backward`.

    Where channels are few, the places in a pooling window are phases of the convolution (see `Blocks`) and the largest
    is taken over phases; else over the pixels of the window.
    """

    def __init__(self, layers, needs_input_gradient):
        self.layers, kinds = layers, [type(layer) for layer in layers]
        at = kinds.index(Conv2D)
        self.leading, self.conv, self.needs_input_gradient = layers[0] if at else None, layers[at], needs_input_gradient
        self.norm, self.relu, pool = (
            layers[kinds.index(kind, at)] if kind in kinds[at:] else None
            for kind in (BatchNormalization, ReLU, MaxPooling2D)
        )
        self.output_shape, channels, filters = layers[-1].output_shape, self.conv.input_shape[0], self.conv.filters
        self.window, phases = pool.pool_size if pool else (1, 1), (1, 1)
        if channels < 4 and math.prod(self.window) < 10 and not np.any(np.mod(self.conv.output_shape[1:], self.window)):
            self.window, phases = phases, self.window
        self.blocks = Blocks(self.conv, phases)
        n_channels, self.n_filters = channels * math.prod(self.blocks.block), filters * math.prod(phases)
        self.correlation = Correlation(n_channels, self.blocks.taps, self.blocks.grid[1])
        self.transposed = Correlation(self.n_filters, self.blocks.taps, self.blocks.grid[1])
        rows = max(math.prod(self.correlation.inner) * n_channels, self.correlation.outer * self.n_filters)
        self.group = int(np.clip(GROUP_BYTES // (4 * rows * math.prod(self.blocks.grid)), 1, SLICE))

    def forward(self, inputs, training=False):
        """The output of the last layer, `(batch, *output_shape)`, in memory that the next call uses again."""
        self._inputs, n_images, dtype = inputs, len(inputs), inputs.dtype
        kernel, bias = self.conv.params["kernel"], self.conv.params["bias"]
        self._lines = self.leading.lines(inputs, training) if self.leading else (None, None)
        self.output = best = reuse(self, "output", (n_images, *self.output_shape), dtype)
        self._winner = winner = reuse(self, "winner", best.shape, np.uint8) if training else None
        if two_passes := training and self.norm is not None:
            # A filter whose channel will be scaled by a negative number is turned around, so that the largest value
            # before the normalization is the largest after it. The bias cancels out.
            self._sign = np.where(self.norm.params["gamma"] < 0, -1, 1).astype(dtype)
            kernel, bias = kernel * _spread(self._sign), None
            self._sums = reuse(self, "sums", (n_images, self.n_filters, *self.blocks.size), dtype)
            self._pooled = best = reuse(self, "pooled", best.shape, dtype)
        elif self.norm:
            scale, shift = self.norm.line(self.norm.buffers["mean"], self.norm.buffers["variance"])
            kernel, bias = kernel * _spread(scale), bias * scale + shift
        self._kernel = self.blocks.expand(kernel.astype(dtype))
        weights = self.correlation.weights(self._kernel)

        def convolve(part):
            moments = np.zeros((2, self.n_filters))
            for group in self._groups(part):
                values = self.correlation.apply(weights, self._columns(inputs[group], self._lines[0]))
                if two_passes:
                    kept = self._sums[group]
                    kept[...] = self.blocks.outputs(values).swapaxes(0, 1)
                    rows = kept.reshape(len(kept), self.n_filters, -1)
                    moments += rows.sum(axis=2).sum(axis=0), np.vecdot(rows, rows).sum(axis=0)
                    values = kept.swapaxes(0, 1)
                elif self.window == (1, 1):  # whole grids, since what is contiguous is faster
                    values = values.reshape(self.n_filters, -1, *self.blocks.grid)
                else:
                    values = self.blocks.outputs(values)
                self._pool(values, best[group], winner[group] if training else None, bias)
            return moments

        moments = sum(map_slices(convolve, n_images))
        if two_passes:
            self._normalize(moments, n_images)
        return self.output

    def _normalize(self, moments, n_images):
        """The second pass: scale and shift the pooled sums by the statistics of all sums, and rectify."""
        self._n_values = n_images * math.prod(self.conv.output_shape[1:])
        mean, square = moments.reshape(2, -1, self.conv.filters).sum(axis=1) / self._n_values
        variance = np.maximum(square - mean * mean, 0)
        self.norm.follow(self._sign * mean + self.conv.params["bias"], variance)
        scale, shift = self.norm.line(mean, variance, np.abs(self.norm.params["gamma"]))
        self._statistics = mean, 1 / np.sqrt(variance + self.norm.epsilon), scale
        scale, shift = (values.astype(self.output.dtype).reshape(-1, 1, 1) for values in (scale, shift))

        def apply(part):
            np.multiply(self._pooled[part], scale, out=self.output[part])
            self.output[part] += shift
            self._rectify(self.output[part], self._winner[part])

        map_slices(apply, n_images)

    def backward(self, output_gradient):
        """Fill the layers' `grads` and return the gradient with respect to the inputs, or None if nobody needs it."""
        dtype, blocks, kernel = output_gradient.dtype, self.blocks, self.conv.params["kernel"]
        line = self._normalize_backward(output_gradient) if self.norm else None
        turned = self.transposed.weights(self._kernel[:, :, ::-1, ::-1].swapaxes(0, 1))
        result = reuse(self, "gradient", self._inputs.shape, dtype) if self.needs_input_gradient else None
        # Seen from here, a grid's values are shifted, so that the turned filter meets them from the image's corner on.
        corner = [k - 1 - f for k, f in zip(blocks.taps, blocks.first)]
        start = corner[0] * blocks.grid[1] + corner[1]
        name = "gradient", self.window, line is None  # which values are written

        def propagate(part):
            kernel_gradient, total = 0, np.zeros((self.n_filters, math.prod(blocks.grid) if self.leading else 1), dtype)
            for group in self._groups(part):
                images = self._inputs[group]
                grid = blocks.zeros(name, self.n_filters, len(images), dtype)
                self._unpool(output_gradient[group], group, blocks.outputs(grid, corner), line)
                grid = grid.reshape(self.n_filters, -1)
                columns = self._columns(images, self._lines[1])
                kernel_gradient += self.correlation.kernel_gradient(columns, grid, start)
                total += grid.reshape(self.n_filters, -1, total.shape[1]).sum(axis=1)
                if result is not None:
                    inner = self.transposed.apply(turned, self.transposed.columns(grid))
                    result[group] = blocks.to_images(inner).swapaxes(0, 1)
            return kernel_gradient, total

        kernel_gradients, totals = zip(*map_slices(propagate, len(output_gradient)))
        total, gradient = sum(totals), self._contract(sum(kernel_gradients))
        if self.leading:
            # Inside the image the filters met gamma * normalized + beta, around it zeros.
            ones = self._columns(np.ones((1, *self.conv.input_shape), dtype), None)
            of_ones = self._contract(self.correlation.kernel_gradient(ones, total, start))
            for name, part in (("gamma", gradient), ("beta", of_ones)):
                self.leading.grads[name] = (kernel * part).sum(axis=(0, 2, 3))
            gamma, beta = (self.leading.params[name].reshape(-1, 1, 1) for name in ("gamma", "beta"))
            gradient = gamma * gradient + beta * of_ones
        bias_gradient = total.reshape(-1, self.conv.filters, total.shape[1]).sum(axis=(0, 2))
        self.conv.grads = {"kernel": gradient, "bias": np.zeros_like(bias_gradient) if self.norm else bias_gradient}
        return result

    def _normalize_backward(self, output_gradient):
        """Fill the normalization's `grads`; return scale, slope and offset of the gradient to the sums before it.

        That is `scale * unpooled gradient + slope * sums + offset`; the last two come through mean and variance.
        """

        def add_up(part):
            live = output_gradient[part] * (self._winner[part] < DEAD)
            rows, pooled = (x.reshape(*x.shape[:2], -1) for x in (live, self._pooled[part]))
            return np.array([rows.sum(axis=2).sum(axis=0), np.vecdot(rows, pooled).sum(axis=0)], np.float64)

        sum_gradient, sum_product = sum(map_slices(add_up, len(output_gradient)))
        mean, inverse_std, scale = self._statistics
        gamma_gradient = (sum_product - mean * sum_gradient) * inverse_std
        slope = -scale * inverse_std * gamma_gradient / self._n_values
        offset = -scale * sum_gradient / self._n_values - slope * mean
        dtype, n_phases = output_gradient.dtype, math.prod(self.blocks.phases)
        self.norm.grads = {"gamma": (self._sign * gamma_gradient).astype(dtype), "beta": sum_gradient.astype(dtype)}
        return _spread(scale, dtype), *(_spread(np.tile(values, n_phases), dtype) for values in (slope, offset))

    def _columns(self, images, line):
        """The columns of `images`, after scale and shift of their channels by `line` if there is one."""
        if line is not None:
            scale, shift = (values.reshape(-1, 1, 1) for values in line)
            images = np.multiply(images, scale, out=workspace("scaled", images.shape, images.dtype))
            images += shift
        return self.correlation.columns(self.blocks.to_grid(images))

    def _contract(self, gradient):
        """The gradient of the kernel from that of the weights on blocks."""
        gradient = self.blocks.contract(self.correlation.as_kernel(gradient, self.blocks.taps))
        gradient = gradient.reshape(self.conv.params["kernel"].shape)
        return gradient * _spread(self._sign) if self.norm else gradient

    def _pool(self, values, result, winner, bias):
        """Write the largest of each window to `result` `(n, filters, rows, columns)`, and to `winner` which it was.

        With a bias, it is added and the result rectified.
        """
        largest, *others = self._windows(values)
        target = workspace("largest", largest.shape, largest.dtype) if others else largest
        place = None if winner is None else workspace("place", largest.shape, np.uint8)
        if winner is not None:
            place.fill(0)
            higher = workspace("higher", largest.shape, np.uint8)
        for number, other in enumerate(others, 1):
            if winner is not None:
                np.greater(other, largest, out=higher.view(bool))
                np.multiply(higher, np.uint8(number), out=higher)
                np.maximum(place, higher, out=place)
            largest = np.maximum(largest, other, out=target)
        if bias is not None:
            largest += _spread(bias, largest.dtype)
            self._rectify(largest, place)
        _, _, rows, columns = result.shape
        result[...] = largest[:, :, :rows, :columns].swapaxes(0, 1)
        if winner is not None:
            winner[...] = place[:, :, :rows, :columns].swapaxes(0, 1)

    def _unpool(self, upstream, group, inside, line):
        """Write the gradient to the sums into `inside`: each of `upstream` goes to the winner of its window."""
        upstream, winner = upstream.swapaxes(0, 1), self._winner[group].swapaxes(0, 1)
        if line is not None:
            scale, slope, offset = line
            np.multiply(self._sums[group].swapaxes(0, 1), slope, out=inside)
            inside += offset
            upstream = upstream * scale
        won = workspace("won", winner.shape, bool)
        share = workspace("share", upstream.shape, upstream.dtype)
        for number, values in enumerate(self._windows(inside)):
            np.equal(winner, number, out=won)
            if line is None:
                np.multiply(upstream, won, out=values)
            else:
                values += np.multiply(upstream, won, out=share)

    def _windows(self, values):
        """For each place in a pooling window the view `(filters, n, rows, columns)` of what stands there."""
        (down, across), (rows, columns) = self.window, values.shape[2:]
        for phase in values.reshape(-1, self.conv.filters, *values.shape[1:]):
            for y, x in itertools.product(range(down), range(across)):
                yield phase[:, :, y : rows // down * down : down, x : columns // across * across : across]

    def _rectify(self, values, winner):
        if self.relu is not None:
            if winner is not None:
                dead = workspace("dead", values.shape, np.uint8)
                np.less_equal(values, 0, out=dead.view(bool))
                np.bitwise_or(winner, np.multiply(dead, np.uint8(DEAD), out=dead), out=winner)
            np.maximum(values, 0, out=values)

    def _groups(self, part):
        return (slice(i, min(i + self.group, part.stop)) for i in range(part.start, part.stop, self.group))


def _spread(values, dtype=None):
    """One value for each filter, to broadcast against arrays with the filters first and three more axes."""
    return values.astype(dtype or values.dtype, copy=False).reshape(-1, 1, 1, 1)
