"""Convolution, normalization, ReLU and pooling in one go, image by image, while the image is in the cache.

Layer by layer, each step would write a whole batch to memory for the next one to read back. What comes out is what the
layers give one after the other, but for rounding; of theirs, only parameters, gradients and running averages are used.
"""

from nn.fast.inference import Inference
from nn.fast.parallel import map_slices_together
from nn.fast.run import enter, find_run
from nn.fast.training import Training
from nn.parallel import reuse


def fuse(layers):
    """`layers` with all runs (see `find_run`) in a row as one step.

    A leading normalization is taken in only where nothing before it is trained.
    """
    steps, position = [], 0
    while position < len(layers):
        trained = any(layer.params for layer in layers[:position])
        runs = []
        while run := find_run(layers[position:], not trained and not runs):
            runs.append(run)
            position += len(run)
        steps.append(FusedStack(runs, trained) if runs else layers[position])
        position += not runs
    return steps


class FusedStack:
    """Runs of layers in a row as one step, with `forward` and, after a forward pass in training, `backward`.

    Each thread takes a slice of the batch through all of them, and waits for the others only where a normalization
    needs the statistics of the whole batch.
    """

    def __init__(self, runs, needs_input_gradient):
        self.runs, self.needs_input_gradient = runs, needs_input_gradient
        self._training, self._inference = list(map(Training, runs)), list(map(Inference, runs))

    def forward(self, inputs, training=False):
        """The output of the last layer, `(batch, *output_shape)`, in memory that the next call uses again."""
        stages = self._training if training else self._inference
        output = reuse(self, "output", (len(inputs), *stages[-1].output_shape), inputs.dtype)
        if training:
            self._inputs = inputs
        for stage in stages:
            stage.prepare(inputs)

        def propagate(part):
            images = [stage.images(part, inputs.dtype) for stage in stages]
            enter(inputs[part], stages[0].lines[0], images[0].inlet)
            targets = [each.inlet for each in images[1:]] + [[(slice(None), output[part].transpose(0, 2, 3, 1))]]
            for stage, own, target in zip(stages, images, targets):
                yield from stage.forward(own, target)

        map_slices_together(propagate, len(inputs))
        return output

    def backward(self, output_gradient):
        """Fill the layers' `grads` and return the gradient with respect to the inputs, or None if nobody needs it."""
        stages, dtype = self._training, self._inputs.dtype
        output_gradient = output_gradient.astype(dtype, copy=False)
        shape = len(output_gradient), *stages[0].input_shape
        result = reuse(self, "gradient", shape, dtype) if self.needs_input_gradient else None

        def propagate(part):
            images = [stage.images(part, dtype) for stage in stages]
            gradient, sums = output_gradient[part].transpose(0, 2, 3, 1), []
            first = None if result is None else result[part].transpose(0, 2, 3, 1)
            sinks = [first] + [each.gradient for each in images[:-1]]
            for stage, own, sink in reversed(list(zip(stages, images, sinks))):
                sums.append((yield from stage.backward(own, self._inputs[part], gradient, sink)))
                gradient = sink
            return sums

        for stage, *sums in zip(reversed(stages), *map_slices_together(propagate, len(output_gradient))):
            stage.collect(*map(sum, zip(*sums)))
        return result
