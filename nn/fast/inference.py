"""A run of layers at inference: forward alone, with the normalization as part of the kernel."""

import numpy as np

from nn.fast.parallel import of_thread
from nn.fast.run import Run
from nn.parallel import workspace

GROUP_BYTES = 1 << 21  # of products or patches of images worked on together: more leave the cache


class Inference(Run):
    """A run of layers at inference: from an array with a frame of zeros to the next one's."""

    def __init__(self, layers):
        super().__init__(layers)
        self.group = self.group_of(GROUP_BYTES)

    def prepare(self, inputs):
        """Transform the weights for all slices, with the normalization behind them and the averages it keeps."""
        self.lines = self.lead(inputs, training=False)
        kernel, bias, norm = self.conv.params["kernel"], self.conv.params["bias"], self.norm
        if norm:
            scale, shift = norm.line(norm.buffers["mean"], norm.buffers["variance"])
            kernel, bias = kernel * scale.reshape(-1, 1, 1, 1), bias * scale + shift
        self.tiles.prepare(kernel.astype(inputs.dtype))
        self._bias = bias.astype(inputs.dtype)

    def images(self, part, dtype):
        """The calling thread's `Padded` array for a slice of a batch."""
        n_images = part.stop - part.start
        return of_thread(self, (n_images, dtype), lambda: Padded(self, n_images, dtype))

    def forward(self, images, target):
        """From `images` to `target` `(n, rows, columns, filters)`; see `map_slices_together`: it waits for nobody."""
        for start in range(0, len(target), self.group):
            part = slice(start, start + self.group)
            patches, pooled = images.patches[:, :, part], images.windows[:, :, part]
            outputs = workspace("outputs", self.tiles.outputs_shape(patches.shape[2]), target.dtype)
            self.tiles.apply(self.tiles.load(patches), outputs)
            self.windows.largest(outputs, pooled)
        np.add(images.pooled, self._bias, out=target)
        if self.relu:
            np.maximum(target, 0, out=target)
        return ()


class Padded:
    """Images inside of a frame of zeros; `inlet` `(n, height, width, channels)` is where they are written."""

    def __init__(self, run, n_images, dtype):
        frame, (rows, columns) = run.tiles.frame(n_images, dtype), run.output_shape[1:]
        self.inlet, self.patches = run.tiles.inlet(frame), run.tiles.patches(frame)
        pooled, self.windows = run.windows.pooled(n_images, run.conv.filters, dtype)
        self.pooled = pooled[:, :rows, :columns]
