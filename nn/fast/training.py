"""A run of layers in training: forward, and back to its gradients."""

import math
from types import SimpleNamespace

import numpy as np

from nn.fast.run import Run, enter
from nn.parallel import SLICE, workspace

GROUP_BYTES = 1 << 21  # of products or patches of images worked on together: more leave the cache


class Training(Run):
    """A run of layers in training: how one slice of a batch goes forward and back through it."""

    def __init__(self, layers):
        super().__init__(layers)
        self.group = self.group_of(GROUP_BYTES)
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
        self._bias = self.conv.params["bias"].astype(dtype)
        if self.norm:
            # A filter whose channel will be scaled by a negative number is turned around, so that the largest value
            # before the normalization is the largest after it. The bias cancels out.
            self._sign = np.where(self.norm.params["gamma"] < 0, -1, 1).astype(dtype)
            kernel = kernel * self._sign.reshape(-1, 1, 1, 1)
        self.tiles.prepare(kernel.astype(dtype), training=True)

    def forward(self, images, target):
        """From the inlet of `images` to `target`, `(n, rows, columns, filters)`; see `map_slices_together`."""
        images.target, moments = target, np.zeros((2, self.conv.filters))
        for group in images.groups:
            self.tiles.apply(self.tiles.load(group.patches), group.outputs)
            if self.norm:
                self.tiles.clear(group.outputs)
                moments += _sum(group.outputs), _sum_product(group.outputs, group.outputs)
            self.windows.largest(group.outputs, group.pooled, group.winners)
        if self.norm:
            scale, shift = yield self._normalize, moments
            np.multiply(images.pooled, scale, out=target)
            np.add(target, shift, out=target)
        else:
            np.add(images.pooled, self._bias, out=target)
        if self.relu:
            np.maximum(target, 0, out=target)

    def _normalize(self, moments):
        """Scale and shift of the normalization, from the sums of all values and squares; moves its averages.

        Of the squares float32 loses the more, the further the mean lies from zero: at a thousand times the spread, gradients
        are off by 5e-3, those of the plain layers by 1e-4.
        """
        mean, square = moments / self._n_values
        variance = np.maximum(square - mean * mean, 0)
        self.norm.follow(self._sign * mean + self.conv.params["bias"], variance)
        scale, shift = self.norm.line(mean, variance, np.abs(self.norm.params["gamma"]))
        self._statistics = mean, 1 / np.sqrt(variance + self.norm.epsilon), scale
        return [values.astype(self._bias.dtype) for values in (scale, shift)]

    def backward(self, images, inputs, output_gradient, sink):
        """From the gradient of the target to that of the inlet, in `sink` if there is one; see `map_slices_together`.

        Returns the slice's share of what `collect` takes.
        """
        kernel_gradient, total, pooled_gradient = 0, 0, images.pooled_gradient
        gradient = images.gradient
        if self.relu:
            live = np.greater(images.target, 0, out=images.live)
            np.multiply(output_gradient, live, out=gradient)
        elif gradient is not output_gradient:
            np.copyto(gradient, output_gradient)
        bias_gradient = _sum(pooled_gradient)
        if self.norm:
            sums = np.array([bias_gradient, _sum_product(pooled_gradient, images.all_pooled)], np.float64)
            scale, slope, offset = yield self._normalize_backward, sums
            np.multiply(pooled_gradient, scale, out=pooled_gradient)
        if self.leading:
            enter(inputs, self.lines[1], images.inlet)
        for group in images.groups:
            gradient = group.outputs if self.norm else workspace("outputs", group.outputs.shape, inputs.dtype)
            if self.norm:
                shares = workspace("outputs", gradient.shape, inputs.dtype)
                self.windows.share(group.pooled_gradient, group.winners, shares)
                rows = gradient.reshape(-1, slope.size)
                np.multiply(rows, slope, out=rows)
                np.add(rows, offset, out=rows)
                np.add(gradient, shares, out=gradient)
                self.tiles.clear(gradient)
            else:
                self.windows.share(group.pooled_gradient, group.winners, gradient)
            if self.leading:
                total = total + gradient.sum(axis=2)
            frame = None if sink is None else workspace("frame", (group.size, *images.frame.shape[1:]), inputs.dtype)
            inputs_ = self.tiles.load(group.patches)
            kernel_gradient = kernel_gradient + self.tiles.backward(inputs_, gradient, frame)
            if sink is not None:
                np.copyto(sink[group.part], self.tiles.inlet(frame))
        return kernel_gradient, total if self.leading else bias_gradient

    def _normalize_backward(self, sums):
        """Fill the normalization's `grads`; return scale, slope and offset of the gradient to the sums before it.

        That is `scale * unpooled gradient + slope * sums + offset`; the last two come through mean and variance.
        """
        (sum_gradient, sum_product), (mean, inverse_std, scale) = sums, self._statistics
        gamma_gradient = (sum_product - mean * sum_gradient) * inverse_std
        slope = -scale * inverse_std * gamma_gradient / self._n_values
        offset = -scale * sum_gradient / self._n_values - slope * mean
        dtype, width = self._bias.dtype, self.tiles.grid[1]
        self.norm.grads = {"gamma": (self._sign * gamma_gradient).astype(dtype), "beta": sum_gradient.astype(dtype)}
        # One row of tiles at a time: NumPy has little to do for as few values as there are filters.
        return scale.astype(dtype), *(np.tile(values.astype(dtype), width) for values in (slope, offset))

    def collect(self, kernel_gradient, total):
        """Fill the layers' `grads` from the sums over all slices."""
        gradient, bias_gradient = self._contract(kernel_gradient), total
        if self.leading:
            # Inside the image the filters met gamma * normalized + beta, around it zeros.
            frame, total = self.tiles.frame(1, total.dtype), total[:, :, np.newaxis]
            self.tiles.inlet(frame)[...] = 1
            ones = self.tiles.load(self.tiles.patches(frame))
            of_ones, kernel = self._contract(self.tiles.backward(ones, total)), self.conv.params["kernel"]
            for name, part in (("gamma", gradient), ("beta", of_ones)):
                self.leading.grads[name] = (kernel * part).sum(axis=(0, 2, 3))
            gamma, beta = (self.leading.params[name].reshape(-1, 1, 1) for name in ("gamma", "beta"))
            gradient = gamma * gradient + beta * of_ones
            bias_gradient = _sum(total)
        self.conv.grads = {"kernel": gradient, "bias": np.zeros_like(bias_gradient) if self.norm else bias_gradient}

    def _contract(self, gradient):
        """The gradient of the kernel from that of the weights."""
        gradient = self.tiles.contract(gradient)
        return gradient * self._sign.reshape(-1, 1, 1, 1) if self.norm else gradient


class Images:
    """What one slice of a batch leaves behind in a `Training` run for the backward pass: made once, used by every batch.

    Attributes
    ----------
    inlet : ndarray `(n, height, width, channels)`
        Where the run before writes its output: inside of a frame of zeros.
    target, gradient : ndarray `(n, rows, columns, filters)`
        Where the run writes its own, and the gradient with respect to it.
    groups : list
        Views of a few images each, which are worked on together.
    """

    def __init__(self, run, n_images, dtype):
        tiles, windows, filters = run.tiles, run.windows, run.conv.filters
        (rows, columns), self.frame = run.output_shape[1:], tiles.frame(n_images, dtype)
        self.inlet = tiles.inlet(self.frame)
        self.all_pooled, pooled = windows.pooled(n_images, filters, dtype)
        self.pooled_gradient, pooled_gradient = windows.pooled(n_images, filters, dtype)
        self.pooled, self.gradient = (array[:, :rows, :columns] for array in (self.all_pooled, self.pooled_gradient))
        self.live = np.zeros(self.gradient.shape, bool)  # what the ReLU has let through
        self.groups = []
        for start in range(0, n_images, run.group):
            part = slice(start, min(start + run.group, n_images))
            group = SimpleNamespace(part=part, size=part.stop - start, patches=tiles.patches(self.frame[part]))
            group.pooled, group.pooled_gradient = pooled[:, :, part], pooled_gradient[:, :, part]
            group.outputs = np.zeros(tiles.outputs_shape(group.size), dtype)
            group.winners = windows.winners(group.outputs, group.pooled)
            self.groups.append(group)


def _sum(values):
    """The sum of values `(..., filters)` for each filter, by a matrix product: faster than a sum over leading axes."""
    rows = values.reshape(-1, values.shape[-1])
    ones = workspace("ones", (len(rows),), values.dtype)
    ones.fill(1)
    return ones @ rows


def _sum_product(values, others):
    return _sum(np.multiply(values, others, out=workspace("outputs", values.shape, values.dtype)))
