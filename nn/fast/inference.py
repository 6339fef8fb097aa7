"""A run of layers at inference: forward alone, with the normalization as part of the kernel."""

import numpy as np

from nn.fast.parallel import of_thread
from nn.fast.run import Run, finish
from nn.parallel import workspace


class Inference(Run):
    """A run of layers at inference: from an array with a frame of zeros to the next one's."""

    def __init__(self, layers):
        super().__init__(layers)
        self._kernel = np.empty(0)

    def prepare(self, inputs):
        """Transform the weights for all slices, with the normalization behind them and the averages it keeps.

        Weights that are as they were need no second transform, which takes a quarter of the time of a single clip.
        """
        self.lines = self.lead(inputs, training=False)
        kernel, bias, norm = self.conv.params["kernel"], self.bias, self.norm
        if norm:
            scale, shift = norm.line(norm.buffers["mean"], norm.buffers["variance"])
            kernel, bias = kernel * scale.reshape(-1, 1, 1, 1), bias * scale + shift
        kernel = kernel.astype(inputs.dtype)
        if kernel.dtype != self._kernel.dtype or not np.array_equal(kernel, self._kernel):
            self.tiles.prepare(kernel)
            self._kernel = kernel.copy()
        self._bias = self.by_row(bias, inputs.dtype)

    def images(self, part, dtype):
        """The calling thread's `Padded` array for a slice of a batch."""
        n_images = part.stop - part.start
        return of_thread(self, (n_images, dtype), lambda: Padded(self, n_images, dtype))

    def forward(self, images, target):
        """From `images` to the inlet `target`; see `map_slices_together`: it waits for nobody."""
        for patches, pooled in images.groups:
            outputs = workspace("outputs", self.tiles.outputs_shape(patches), pooled.dtype)
            self.tiles.apply(self.tiles.load(patches), outputs)
            self.windows.largest(outputs, pooled)
        np.add(images.rows, self._bias, out=images.rows)
        finish(images.pooled, self.relu, target)
        return ()


class Padded:
    """Images inside of a frame of zeros; the `inlet` is where they are written."""

    def __init__(self, run, n_images, dtype):
        frame, (height, width) = run.tiles.frame(n_images, dtype), run.output_shape[1:]
        self.inlet, patches = list(run.tiles.inlet(frame)), list(run.tiles.patches(frame))
        pooled, windows = run.windows.pooled(n_images, run.conv.filters, dtype)
        self.pooled, self.rows = pooled[:, :height, :width], pooled.reshape(*pooled.shape[:2], -1)
        across = run.windows.across[0]
        self.groups = [
            ([each[:, :, part, rows] for each in patches], windows[:, :, part, rows.start : rows.stop // across])
            for part, rows in run.groups(n_images)
        ]
