"""What the notebook of the network by hand uses twice: differences, finite differences, and paths of optimizers."""

import numpy as np

from nn.layer import forward


def difference(*pairs):
    """The largest absolute difference between the arrays of each pair, over all pairs."""
    return max(float(np.abs(np.asarray(one) - np.asarray(other)).max()) for one, other in pairs)


def finite_differences(function, array, step=1e-6):
    """The gradient of `function()` with respect to each value of `array`, by central differences: `array.shape`.

    `(f(x + step) - f(x - step)) / (2 step)` for one value at a time; `function` must look at `array` itself.
    """
    gradient = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        before, values = array[place], []
        for sign in (1, -1):
            array[place] = before + sign * step
            values.append(function())
        array[place] = before
        gradient[place] = (values[0] - values[1]) / (2 * step)
    return gradient


def path(optimizer, loss_and_gradient, start, steps):
    """Where an optimizer goes on a surface of two weights: float (steps + 1, 2).

    `loss_and_gradient(weights)` returns the loss and its gradient (2,).
    """
    weights, places = np.array(start, float), [np.array(start, float)]
    for _ in range(steps):
        optimizer.update({"weights": weights}, {"weights": loss_and_gradient(weights)[1]})
        places.append(weights.copy())
    return np.array(places)


def spread(layers, inputs, output_gradient):
    """The standard deviation of the output of each of `layers`, and of the gradient with respect to it.

    Returns two lists, in the order of the layers.
    """
    forward(layers, inputs)
    gradients = []
    for layer in reversed(layers):
        gradients.append(float(output_gradient.std()))
        output_gradient = layer.backward(output_gradient)
    return [float(layer.output.std()) for layer in layers], gradients[::-1]
