"""The contract that every layer keeps.

A layer turns an array into another (`forward`). Given the gradient of a loss with respect to its output, it computes
the gradients with respect to its input and its parameters (`backward`). Model, optimizers and files walk over this
contract and never ask for a layer's type.
"""

import inspect


class Layer:
    """Base class of all layers, and by itself the identity.

    Attributes
    ----------
    name : str
        Unique in a model, which sets it ("conv2d_1").
    input_shape, output_shape : tuple of int
        Without the batch axis; known after `build`.
    params, grads : dict of str to ndarray
        Trained arrays and, under the same keys and in the same shapes, the gradient of the loss with respect to them.
    buffers : dict of str to ndarray
        Arrays that are saved with the model but not trained, such as running statistics.
    activation : str or None
        The activation that a Model has to put behind the layer.
    generator : numpy.random.Generator or None
        The layer's own source of randomness, if it has one; its state is saved with the model.
    output, input_gradient : ndarray
        What the last `forward` and the last `backward` returned. The memory is used again by the next call.

    Arrays have the batch first, then the channels: `(batch, channels, frames, mels)`, `(batch, features)`. A layer
    computes in the type of its input: float32 in use, float64 in gradient checks.
    """

    def __init__(self):
        self.name = type(self).__name__.lower()
        self.input_shape = self.output_shape = None
        self.params, self.grads, self.buffers = {}, {}, {}
        self.activation = self.generator = None
        self.output = self.input_gradient = None

    def build(self, input_shape, rng):
        """Make the parameters for inputs of `input_shape` (no batch axis) and return the shape of the outputs.

        `rng` is the numpy.random.Generator that draws the initial values. Raises ValueError for a shape that the
        layer cannot take.
        """
        if self.activation is not None:
            raise ValueError(f"Expected a Model, which makes a layer of the activation. Received: {self!r} by itself")
        self.input_shape = tuple(input_shape)
        self.output_shape = self.compute_output_shape(self.input_shape)
        return self.output_shape

    def compute_output_shape(self, input_shape):
        """The shape of the outputs for inputs of `input_shape`, both without the batch axis."""
        return input_shape

    def forward(self, inputs, training=False):
        """Return `output`, of shape `(batch, *output_shape)`, for `inputs` of shape `(batch, *input_shape)`."""
        self.output = inputs
        return inputs

    def backward(self, output_gradient):
        """Fill `grads` and return `input_gradient`, in the shape of the inputs of the last `forward`.

        `output_gradient` is the derivative of the loss with respect to each value of `output`.
        """
        self.input_gradient = output_gradient
        return output_gradient

    def config(self):
        """The constructor's arguments, as plain values: `type(layer)(**layer.config())` is the same layer, unbuilt."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @property
    def n_parameters(self):
        """Number of trained values."""
        return sum(array.size for array in self.params.values())

    def __repr__(self):
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.config().items())
        return f"{type(self).__name__}({arguments})"


def forward(steps, inputs, training=False):
    """The output of the last of `steps`, where each takes the output of the one before."""
    for step in steps:
        inputs = step.forward(inputs, training)
    return inputs


def backward(steps, output_gradient):
    """The gradient with respect to the inputs of the first of `steps`; None if a step lets none through."""
    for step in reversed(steps):
        output_gradient = step.backward(output_gradient)
        if output_gradient is None:
            break
    return output_gradient
