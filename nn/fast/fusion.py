"""Convolution, normalization, ReLU and pooling in one go, image by image, while the image is in the cache.

Layer by layer, each step would write a whole batch to memory for the next one to read back. What comes out is what the
layers give one after the other, but for rounding; of theirs, only parameters, gradients and running averages are used.
"""

import itertools
import math
import threading
from weakref import WeakKeyDictionary

import numpy as np

from nn.activations import ReLU
from nn.convolution import Conv2D
from nn.fast.correlation import Blocks, as_kernel, inner_taps, weights
from nn.fast.inference import Inference
from nn.fast.memory import Backward, Forward, Images, Ones
from nn.normalization import BatchNormalization
from nn.parallel import SLICE, map_slices, map_slices_together, reuse
from nn.pooling import MaxPooling2D

GROUP_BYTES = 1 << 20  # of images worked on together: more leave the cache, fewer make threads wait for Python

_local = threading.local()


def fuse(layers):
    """`layers` with all runs `[BatchNormalization] Conv2D [BatchNormalization] [ReLU] [MaxPooling2D]` in a row as one step.

    A leading normalization is taken in only where nothing before it is trained.
    """
    steps, position = [], 0
    while position < len(layers):
        trained = any(layer.params for layer in layers[:position])
        runs = []
        while run := _run(layers[position:], not trained and not runs):
            runs.append(FusedConvolution(run))
            position += len(run)
        steps.append(FusedStack(runs, trained) if runs else layers[position])
        position += not runs
    return steps


def _run(layers, may_lead):
    kinds = iter([BatchNormalization] * may_lead + [Conv2D, BatchNormalization, ReLU, MaxPooling2D])
    # `in` goes through the kinds up to the layer's own, so a run has each kind at most once and in this order.
    run = list(itertools.takewhile(lambda layer: _fits(layer) and type(layer) in kinds, layers))
    return run if Conv2D in map(type, run[:2]) else []


def _fits(layer):
    if type(layer) is not MaxPooling2D:
        return True
    return layer.strides == layer.pool_size and layer.padding == "valid" and layer.pool_size[1] <= 4


class FusedStack:
    """Fused convolutions in a row as one step, with `forward` and, after a forward pass in training, `backward`.

    Each thread takes a slice of the batch through all of them, and waits for the others only where a normalization
    needs the statistics of the whole batch.
    """

    def __init__(self, runs, needs_input_gradient):
        self.runs, self.needs_input_gradient = runs, needs_input_gradient

    def forward(self, inputs, training=False):
        """The output of the last layer, `(batch, *output_shape)`, in memory that the next call uses again."""
        output = reuse(self, "output", (len(inputs), *self.runs[-1].output_shape), inputs.dtype)
        if not training:
            self._infer(inputs, output)
            return output
        self._inputs = inputs
        for run in self.runs:
            run.prepare(inputs, training)

        def propagate(part):
            size = part.stop - part.start
            first, *others = [run.images(part, inputs.dtype, training) for run in self.runs]
            first.enter(inputs[part], self.runs[0].lines[0])
            targets = [images.inlet for images in others] + [output[part].swapaxes(0, 1)]
            for run, images, target in zip(self.runs, (first, *others), targets):
                yield from run.forward(images, target)

        map_slices_together(propagate, len(inputs))
        return output

    def _infer(self, inputs, output):
        stages = [run.inference for run in self.runs]
        for stage in stages:
            stage.prepare(inputs.dtype)
        leading = self.runs[0].leading
        line = leading.lines(inputs, False)[0] if leading else None

        def propagate(part):
            images = [stage.images(part.stop - part.start, inputs.dtype) for stage in stages]
            enter(inputs[part], line, images[0].inlet)
            targets = [each.inlet for each in images[1:]] + [output[part].swapaxes(0, 1)]
            for stage, own, target in zip(stages, images, targets):
                stage.forward(own, target)

        map_slices(propagate, len(inputs))

    def backward(self, output_gradient):
        """Fill the layers' `grads` and return the gradient with respect to the inputs, or None if nobody needs it."""
        dtype, shape = output_gradient.dtype, (len(output_gradient), *self.runs[0].input_shape)
        result = reuse(self, "gradient", shape, dtype) if self.needs_input_gradient else None

        def propagate(part):
            images = [run.images(part, dtype, True) for run in self.runs]
            gradient, sums = output_gradient[part].swapaxes(0, 1), []
            sinks = [None if result is None else result[part].swapaxes(0, 1)] + [each.gradient for each in images[:-1]]
            for run, own, sink in reversed(list(zip(self.runs, images, sinks))):
                sums.append((yield from run.backward(own, self._inputs[part], gradient, sink)))
                gradient = sink
            return sums

        for run, *sums in zip(reversed(self.runs), *map_slices_together(propagate, len(output_gradient))):
            run.collect(*map(sum, zip(*sums)))
        return result


class FusedConvolution:
    """A run of layers: its geometry, and how one slice of a batch goes forward and back through it.

    Where channels are few, the places in a pooling window are phases of the convolution (see `Blocks`) and the largest
    is taken over phases; else over the pixels of the window.
    """

    def __init__(self, layers):
        self.layers, kinds = layers, [type(layer) for layer in layers]
        at = kinds.index(Conv2D)
        self.leading, self.conv = layers[0] if at else None, layers[at]
        self.norm, self.relu, pool = (
            layers[kinds.index(kind, at)] if kind in kinds[at:] else None
            for kind in (BatchNormalization, ReLU, MaxPooling2D)
        )
        self.input_shape, self.output_shape = self.conv.input_shape, layers[-1].output_shape
        channels, filters, size = self.conv.input_shape[0], self.conv.filters, self.conv.output_shape[1:]
        self.pool = pool.pool_size if pool else (1, 1)
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
        self.inference = Inference(self)

    def images(self, part, dtype, training):
        """The memory of a slice; at inference the thread's own, which all of its slices use."""
        memory, key = (self._images, part.start) if training else (self._of_thread(), Images)
        key = key, part.stop - part.start, dtype
        if key not in memory:
            memory[key] = Images(self, part.stop - part.start, dtype, training)
        return memory[key]

    def scratch(self, kind, n_images, dtype):
        """The calling thread's memory for a group of images: a `Forward`, a `Backward`, or `Ones`."""
        memory, key = self._of_thread(), (kind, n_images, dtype)
        if key not in memory:
            memory[key] = kind(self, n_images, dtype)
        return memory[key]

    def _of_thread(self):
        """What the calling thread keeps for this run, for as long as there are both."""
        runs = _local.__dict__.setdefault("runs", WeakKeyDictionary())
        return runs.setdefault(self, {})

    def windows(self, values):
        """The view `(across, down, filters, n, rows, columns)` of values by their place in a pooling window."""
        down, across = self.pool
        if self.by_phase:
            return values.reshape(down, across, -1, *values.shape[1:]).swapaxes(0, 1)
        filters, n_images, rows, columns = values.shape
        whole = values[:, :, : rows // down * down, : columns // across * across]
        return whole.reshape(filters, n_images, rows // down, down, columns // across, across).transpose(5, 3, 0, 1, 2, 4)

    def rows(self, n_images, dtype, count=1):
        """Zeros for one pixel of each row of a pooling window, `count` times, in the same order as `windows`."""
        (down, _), filters, (rows, columns) = self.pool, self.conv.filters, self.pooled_size
        if self.by_phase:
            return np.zeros((count, down, filters, n_images, rows, columns), dtype)
        return np.zeros((count, filters, n_images, rows, down, columns), dtype).transpose(0, 4, 1, 2, 3, 5)

    def prepare(self, inputs, training):
        """Weights and bias for all slices, with the normalization in them at inference."""
        dtype, kernel, bias = inputs.dtype, self.conv.params["kernel"], self.conv.params["bias"]
        self.lines = self.leading.lines(inputs, training) if self.leading else (None, None)
        self._n_values, self._two_passes = len(inputs) * math.prod(self.conv.output_shape[1:]), training and self.norm
        if self._two_passes:
            # A filter whose channel will be scaled by a negative number is turned around, so that the largest value
            # before the normalization is the largest after it. The bias cancels out.
            self._sign = np.where(self.norm.params["gamma"] < 0, -1, 1).astype(dtype)
            kernel = kernel * _spread(self._sign)
        elif self.norm:
            scale, shift = self.norm.line(self.norm.buffers["mean"], self.norm.buffers["variance"])
            kernel, bias = kernel * _spread(scale), bias * scale + shift
        expanded = self.blocks.expand(kernel.astype(dtype))
        self._weights, self._bias = weights(expanded), _spread(bias, dtype)
        self._turned = weights(expanded[:, :, ::-1, ::-1].swapaxes(0, 1)) if training else None

    def forward(self, images, target):
        """From the inlet of `images` to `target`, `(filters, n, rows, columns)`; see `map_slices_together`."""
        images.target, moments = target, np.zeros((2, self.n_filters))
        images.fill_grid()
        for group in images.groups:
            scratch = self.scratch(Forward, group.size, target.dtype)
            scratch.correlation.apply(group.taps, self._weights)
            if not self._two_passes:
                best = _largest(_largest(scratch.windows, group.right, scratch.rows), group.lower, scratch.best)
                self._finish(np.add(best, self._bias, out=best), target[:, group.part])
                continue
            np.copyto(group.sums, scratch.outputs)
            rows = group.sums.reshape(*group.sums.shape[:2], -1)
            moments += rows.sum(axis=2).sum(axis=1), np.vecdot(rows, rows).sum(axis=1)
            best = _largest(_largest(group.windows, group.right, scratch.rows), group.lower, group.pooled)
            if best is not group.pooled:
                np.copyto(group.pooled, best)
        if self._two_passes:
            scale, shift = yield self._normalize, moments
            np.multiply(images.pooled, scale, out=target)
            self._finish(np.add(target, shift, out=target), target)

    def _finish(self, values, target):
        inside = values[:, :, : target.shape[2], : target.shape[3]]
        np.maximum(inside, 0, out=target) if self.relu else np.copyto(target, inside)

    def _normalize(self, moments):
        """Scale and shift of the normalization, from the sums of all values and squares; moves its averages."""
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
            images.enter(inputs, self.lines[1])
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


def enter(inputs, line, inlet):
    """Write inputs `(n, channels, height, width)` to an inlet, scaled and shifted by channel if there is a line."""
    if line is None:
        np.copyto(inlet, inputs.swapaxes(0, 1))
    else:
        scale, shift = (values.reshape(-1, 1, 1, 1) for values in line)
        np.multiply(inputs.swapaxes(0, 1), scale, out=inlet)
        np.add(inlet, shift, out=inlet)


def _largest(values, winners, out):
    """The largest of `values` along axis 0, in `out`; of a single value, itself.

    If there are `winners`, one fewer than values, they are told where each value is larger than all before it.
    """
    largest = values[0]
    for number, value in enumerate(values[1:]):
        if winners is not None:
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
