"""Convolution, normalization, ReLU and pooling in one go, image by image, while the image is in the cache.

Layer by layer, each step would write a whole batch to memory for the next one to read back. What comes out is what the
layers give one after the other, but for rounding; of theirs, only parameters, gradients and running averages are used.
"""

import itertools

import numpy as np

from nn.activations import ReLU
from nn.convolution import Conv2D, margins
from nn.correlation import Correlation
from nn.normalization import BatchNormalization
from nn.parallel import SLICE, map_slices, reuse, workspace
from nn.pooling import MaxPooling2D

GROUP_BYTES = 1 << 20  # of images that are worked on together: about half of a core's cache
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
    return type(layer) is not MaxPooling2D or (layer.strides == layer.pool_size and layer.padding == "valid")


class FusedConvolution:
    """A run of layers as one step, with `forward` and (in training only) `backward`.

    The image is cut into blocks of pixels, with each place in a block as a channel of its own (space-to-depth, Shi et
    al., 2016). So a stride becomes a smaller filter at stride one; and where channels are few, the places of a pooling
    window become filters of their own, the *phases*, and pooling a maximum over them.
    """

    def __init__(self, layers, needs_input_gradient):
        kinds = [type(layer) for layer in layers]
        at = kinds.index(Conv2D)
        self.leading, self.conv, self.needs_input_gradient = (layers[0] if at else None), layers[at], needs_input_gradient
        self.norm, self.relu, pool = (
            layers[kinds.index(kind, at)] if kind in kinds[at:] else None
            for kind in (BatchNormalization, ReLU, MaxPooling2D)
        )
        conv, self.output_shape = self.conv, layers[-1].output_shape
        (channels, *image), (_, *full) = conv.input_shape, conv.output_shape
        self.window, self.phases = pool.pool_size if pool else (1, 1), (1, 1)
        if channels < 4 and not np.any(np.mod(full, self.window)):
            self.phases, self.window = self.window, (1, 1)
        self.block = [s * p for s, p in zip(conv.strides, self.phases)]
        self.taps = [-(-(b - s + k) // b) for b, s, k in zip(self.block, conv.strides, conv.kernel_size)]
        self.before = [margins(*axis, conv.padding)[0] for axis in zip(image, conv.kernel_size, conv.strides)]
        self.first = [m // b for m, b in zip(self.before, self.block)]  # block with a pixel of the image in it
        blocks = [(n - 1 + m) // b + 1 - f for n, m, b, f in zip(image, self.before, self.block, self.first)]
        self.size = [n // p for n, p in zip(full, self.phases)]
        self.grid = [max(n, m) + k - 1 for n, m, k in zip(self.size, blocks, self.taps)]
        n_channels, self.n_filters = channels * np.prod(self.block), conv.filters * np.prod(self.phases)
        self.correlation = Correlation(n_channels, self.taps, self.grid[1])
        self.transposed = Correlation(self.n_filters, self.taps, self.grid[1])
        rows = max(len(self.correlation.inner) * n_channels, len(self.correlation.outer) * self.n_filters)
        self.group = int(np.clip(GROUP_BYTES // (4 * rows * np.prod(self.grid)), 1, SLICE))

    def forward(self, inputs, training=False):
        """The output of the last layer, `(batch, *output_shape)`, in memory that the next call uses again."""
        self._inputs, n_images, dtype = inputs, len(inputs), inputs.dtype
        kernel, bias = self.conv.params["kernel"], self.conv.params["bias"]
        self._lines = self.leading.lines(inputs, training) if self.leading else (None, None)
        self.output = best = reuse(self, "_output", (n_images, *self.output_shape), dtype)
        self._winner = reuse(self, "_winners", best.shape, np.uint8) if training else None
        if two_passes := training and self.norm is not None:
            # A filter whose channel will be scaled by a negative number is turned around, so that the largest value
            # before the normalization is the largest after it. The bias cancels out.
            self._sign = np.where(self.norm.params["gamma"] < 0, -1, 1).astype(dtype)
            kernel = kernel * _column(self._sign)
            self._sums = reuse(self, "_all_sums", (n_images, self.n_filters, *self.size), dtype)
            self._pooled = best = reuse(self, "_all_pooled", best.shape, dtype)
        elif self.norm:
            scale, shift = self.norm.line(self.norm.buffers["mean"], self.norm.buffers["variance"])
            kernel, bias = kernel * _column(scale), bias * scale + shift
        self._kernel = self._expand(kernel.astype(dtype, copy=False))
        weights = self.correlation.weights(self._kernel)

        def convolve(part):
            moments = np.zeros((2, self.n_filters))
            for group in self._groups(part):
                values = self.correlation.apply(weights, self._columns(inputs[group], self._lines[0]))
                values = self._inside(values, self.size)
                if two_passes:
                    kept = self._sums[group]
                    kept[...] = values.swapaxes(0, 1)
                    rows = kept.reshape(len(kept), self.n_filters, -1)
                    moments += rows.sum(axis=2).sum(axis=0), np.vecdot(rows, rows).sum(axis=0)
                    values = kept.swapaxes(0, 1)
                result, place = best[group].swapaxes(0, 1), None
                if training:
                    place = self._winner[group].swapaxes(0, 1)
                    place.fill(0)
                _maximum(self._windows(values), result, place)
                if not two_passes:
                    result += _column(bias, dtype)
                    self._rectify(result, place)
            return moments

        moments = sum(map_slices(convolve, n_images))
        if two_passes:
            self._normalize(moments, n_images)
        return self.output

    def _normalize(self, moments, n_images):
        """The second pass: scale and shift the pooled sums by the statistics of all sums, and rectify."""
        self._n_values = n_images * np.prod(self.conv.output_shape[1:])
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
        dtype, kernel = output_gradient.dtype, self.conv.params["kernel"]
        line = self._normalize_backward(output_gradient) if self.norm else None
        turned = self.transposed.weights(self._kernel[:, :, ::-1, ::-1].swapaxes(0, 1))
        inputs_gradient = reuse(self, "_gradient", self._inputs.shape, dtype) if self.needs_input_gradient else None
        corner = [k - 1 - f for k, f in zip(self.taps, self.first)]
        start = corner[0] * self.grid[1] + corner[1]

        def propagate(part):
            weights_gradient, total = 0, 0
            for group in self._groups(part):
                upstream, place = output_gradient[group].swapaxes(0, 1), self._winner[group].swapaxes(0, 1)
                grid = self._empty_grid("gradients", self.n_filters, upstream.shape[1], dtype)
                self._unpool(upstream, place, self._inside(grid, self.size, corner), group, line)
                columns = self._columns(self._inputs[group], self._lines[1])
                weights_gradient += self.correlation.weights_gradient(columns, grid[:, start:])
                total = total + grid.reshape(self.n_filters, -1, np.prod(self.grid)).sum(axis=1)
                if inputs_gradient is not None:
                    inner = self.transposed.apply(turned, self.transposed.columns(grid))
                    for values, pixels in self._pieces(inner, inputs_gradient[group], self.first):
                        pixels[...] = values
            return weights_gradient, total

        weights_gradients, totals = zip(*map_slices(propagate, len(output_gradient)))
        total, gradient = sum(totals), self._contract(sum(weights_gradients))
        if self.leading:
            # Inside the image the filters met gamma * normalized + beta, around it zeros.
            ones = self._columns(np.ones((1, *self.conv.input_shape), dtype), None)
            of_ones = self._contract(self.correlation.weights_gradient(ones, total[:, start:]))
            for name, part in (("gamma", gradient), ("beta", of_ones)):
                self.leading.grads[name] = (kernel * part).sum(axis=(0, 2, 3))
            gamma, beta = (self.leading.params[name].reshape(-1, 1, 1) for name in ("gamma", "beta"))
            gradient = gamma * gradient + beta * of_ones
        self.conv.grads["kernel"] = gradient
        bias_gradient = total.reshape(-1, self.conv.filters, total.shape[1]).sum(axis=(0, 2))
        self.conv.grads["bias"] = np.zeros_like(bias_gradient) if self.norm else bias_gradient
        return inputs_gradient

    def _normalize_backward(self, output_gradient):
        """Gradients of the normalization; scale, slope and offset so that the gradient to the sums before it is
        `scale * unpooled gradient + slope * sums + offset`, where the last two come from the statistics."""

        def add_up(part):
            live = output_gradient[part] * (self._winner[part] < DEAD)
            rows, pooled = (x.reshape(*x.shape[:2], -1) for x in (live, self._pooled[part]))
            return np.array([rows.sum(axis=2).sum(axis=0), np.vecdot(rows, pooled).sum(axis=0)], np.float64)

        sum_gradient, sum_product = sum(map_slices(add_up, len(output_gradient)))
        mean, inverse_std, scale = self._statistics
        gamma_gradient = (sum_product - mean * sum_gradient) * inverse_std
        slope = -scale * inverse_std * gamma_gradient / self._n_values
        offset = -scale * sum_gradient / self._n_values - slope * mean
        dtype = output_gradient.dtype
        self.norm.grads["gamma"] = (self._sign * gamma_gradient).astype(dtype)
        self.norm.grads["beta"] = sum_gradient.astype(dtype)
        n_phases = np.prod(self.phases)
        return _column(scale, dtype), *(_column(np.tile(values, n_phases), dtype) for values in (slope, offset))

    def _unpool(self, upstream, place, inside, group, line):
        """Write the gradient to the sums into `inside`: each of `upstream` goes to the winner of its window."""
        if line is not None:
            scale, slope, offset = line
            np.multiply(self._sums[group].swapaxes(0, 1), slope, out=inside)
            inside += offset
            upstream = upstream * scale
        for number, values in enumerate(self._windows(inside)):
            if line is None:
                np.multiply(upstream, place == number, out=values)
            else:
                values += upstream * (place == number)

    def _columns(self, images, line):
        """The columns of `images` `(n, channels, height, width)`, after scale and shift by `line` if there is one."""
        grid = self._empty_grid("images", self.correlation.channels, len(images), images.dtype)
        for values, pixels in self._pieces(grid, images, (0, 0)):
            values[...] = pixels
            if line is not None:
                values *= _column(line[0], values.dtype)
                values += _column(line[1], values.dtype)
        return self.correlation.columns(grid)

    def _empty_grid(self, name, channels, n_images, dtype):
        grid = workspace(name, (channels, n_images * np.prod(self.grid)), dtype)
        grid.fill(0)
        return grid

    def _pieces(self, grid, images, first):
        """For each place in a block: the view of `grid` and that of `images` with the pixels that stand there."""
        (down, across), channels = self.block, images.shape[1]
        grid = grid.reshape(channels, down, across, len(images), *self.grid)
        for y, x in itertools.product(range(down), range(across)):
            places = [(place - before) % step for place, before, step in zip((y, x), self.before, self.block)]
            pixels = images[:, :, places[0] :: down, places[1] :: across].swapaxes(0, 1)
            top, left = ((p + b) // s - f for p, b, s, f in zip(places, self.before, self.block, first))
            yield grid[:, y, x, :, top : top + pixels.shape[2], left : left + pixels.shape[3]], pixels

    def _inside(self, grid, size, corner=(0, 0)):
        """The view `(filters, n, *size)` of the part of `grid` that starts at `corner` of each image's place."""
        top, left = corner
        return grid.reshape(len(grid), -1, *self.grid)[:, :, top : top + size[0], left : left + size[1]]

    def _windows(self, values):
        """For each place in a pooling window the view `(filters, n, rows, columns)` of what stands there."""
        (down, across), (_, rows, columns) = self.window, self.output_shape
        for phase in values.reshape(-1, self.conv.filters, *values.shape[1:]):
            for y, x in itertools.product(range(down), range(across)):
                yield phase[:, :, y : rows * down : down, x : columns * across : across]

    def _groups(self, part):
        return (slice(i, min(i + self.group, part.stop)) for i in range(part.start, part.stop, self.group))

    def _rectify(self, values, place):
        if self.relu is None:
            return
        if place is not None:
            np.bitwise_or(place, (values <= 0).view(np.uint8) * np.uint8(DEAD), out=place)
        np.maximum(values, 0, out=values)

    def _expand(self, kernel):
        """The kernel on blocks: `(phases * filters, block * channels, *taps)`."""
        big = self._big(kernel.dtype)
        for corner in self._corners():
            big[corner] = kernel
        blocks = big.reshape(*big.shape[:4], self.taps[0], self.block[0], self.taps[1], self.block[1])
        return blocks.transpose(0, 1, 2, 3, 5, 7, 4, 6).reshape(self.n_filters, -1, *self.taps)

    def _contract(self, weights_gradient):
        """The gradient of the kernel from that of the weights: `_expand` the other way round."""
        blocks = self.correlation.as_kernel(weights_gradient, self._kernel.shape)
        blocks = blocks.reshape(*self.phases, self.conv.filters, -1, *self.block, *self.taps)
        big = blocks.transpose(0, 1, 2, 3, 6, 4, 7, 5).reshape(self._big(blocks.dtype).shape)
        gradient = sum(big[corner] for corner in self._corners())
        return gradient * _column(self._sign) if self.norm else gradient

    def _big(self, dtype):
        size = [taps * step for taps, step in zip(self.taps, self.block)]
        return np.zeros((*self.phases, *self.conv.params["kernel"].shape[:2], *size), dtype)

    def _corners(self):
        """For each phase the place of the kernel among the taps on all pixels of the blocks."""
        (down, across), (height, width) = self.conv.strides, self.conv.kernel_size
        for y, x in itertools.product(*map(range, self.phases)):
            yield y, x, ..., slice(y * down, y * down + height), slice(x * across, x * across + width)


def _column(values, dtype=None):
    """One value for each filter, to broadcast against arrays with the filters first and three more axes."""
    return values.reshape(-1, 1, 1, 1) if dtype is None else values.astype(dtype).reshape(-1, 1, 1, 1)


def _maximum(windows, best, place):
    """Write the largest of `windows` to `best` and the number of the first that has it to `place` (None: nowhere)."""
    for number, values in enumerate(windows):
        if number == 0:
            best[...] = values
            continue
        if place is not None:
            higher = (values > best).view(np.uint8)
            np.maximum(place, higher * np.uint8(number), out=place)
        np.maximum(best, values, out=best)
