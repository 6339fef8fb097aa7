"""Optimizers: how the parameters follow their gradients.

An optimizer sees named arrays only, never a layer. Its slots, the running averages it keeps for each parameter, are
saved with the model, so that training goes on exactly where it stopped.
"""

import numpy as np

__all__ = ["SGD", "Adam", "RMSprop"]


class Optimizer:
    """Base class: `update` walks over the parameters, a subclass says what one step is.

    Attributes
    ----------
    learning_rate : float
        May be set between steps, by a schedule for instance.
    slots : dict of str to ndarray
        "parameter/slot" -> running average, in the parameter's shape.
    steps : int
        Updates made so far.
    """

    def __init__(self, learning_rate):
        if not learning_rate > 0:
            raise ValueError(f"Expected a positive number. Received: learning_rate={learning_rate}")
        self.learning_rate, self.slots, self.steps = learning_rate, {}, 0

    def update(self, params, grads):
        """Change the arrays of `params` in place by one step along `grads`, both dicts with the same keys."""
        self.steps += 1
        for name, parameter in params.items():
            self._step(name, parameter, grads[name])

    def _slot(self, name, slot, like):
        key = f"{name}/{slot}"
        if key not in self.slots:
            self.slots[key] = np.zeros_like(like)
        return self.slots[key]

    def config(self):
        """The constructor's arguments, as plain values."""
        return {key: value for key, value in vars(self).items() if key not in ("slots", "steps")}


class SGD(Optimizer):
    """`velocity = momentum * velocity + gradient; parameter -= learning_rate * velocity`, as in PyTorch.

    Keras multiplies the gradient by the learning rate before it enters the velocity: the same while the rate is.
    """

    def __init__(self, learning_rate=0.01, momentum=0.0):
        super().__init__(learning_rate)
        self.momentum = momentum

    def _step(self, name, parameter, gradient):
        if self.momentum:
            velocity = self._slot(name, "velocity", parameter)
            velocity *= self.momentum
            velocity += gradient
            gradient = velocity
        parameter -= self.learning_rate * gradient


class RMSprop(Optimizer):
    """Each step divided by a running root mean square of its own gradient (Hinton, 2012, lecture 6e).

    `square = rho * square + (1 - rho) * gradient ** 2; parameter -= learning_rate * gradient / (sqrt(square) +
    epsilon)`. Epsilon stands outside the root, as in PyTorch (Keras: inside); the defaults are Keras'.
    """

    def __init__(self, learning_rate=0.001, rho=0.9, epsilon=1e-7):
        super().__init__(learning_rate)
        self.rho, self.epsilon = rho, epsilon

    def _step(self, name, parameter, gradient):
        square = self._slot(name, "square", parameter)
        step = np.square(gradient)  # one new array only: making them would take longer than computing with them
        step *= 1 - self.rho
        square *= self.rho
        square += step
        np.sqrt(square, out=step)
        step += self.epsilon
        np.divide(gradient, step, out=step)
        step *= self.learning_rate
        parameter -= step


class Adam(Optimizer):
    """Running averages of gradient and squared gradient, corrected for their start at zero (Kingma and Ba, 2015).

    Epsilon is added to the corrected root, as in PyTorch and in the paper's algorithm (Keras: to the uncorrected one).
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        super().__init__(learning_rate)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def _step(self, name, parameter, gradient):
        mean, square = self._slot(name, "mean", parameter), self._slot(name, "square", parameter)
        mean += (1 - self.beta_1) * (gradient - mean)
        square += (1 - self.beta_2) * (np.square(gradient) - square)
        root = np.sqrt(square / (1 - self.beta_2**self.steps)) + self.epsilon
        parameter -= self.learning_rate / (1 - self.beta_1**self.steps) * mean / root
