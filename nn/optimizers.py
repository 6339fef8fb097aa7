"""Optimizers: how the parameters follow their gradients.

An optimizer sees named arrays only, never a layer. Its slots, the running averages it keeps for each parameter, are
saved with the model, so that training goes on exactly where it stopped.
"""

import inspect
import math

import numpy as np

from nn.checks import number

__all__ = ["SGD", "Adam", "RMSprop"]


class Optimizer:
    """Base class: `update` walks over the parameters, a subclass says what one step is.

    Parameters
    ----------
    learning_rate : float
        May be set between steps, by a schedule for instance.
    clipnorm : float, optional
        Longest gradient of one parameter; a longer one is scaled down to it.
    global_clipnorm : float, optional
        The same for the gradients of all parameters together. Only one of both can be given, as in Keras.

    Attributes
    ----------
    slots : dict of str to ndarray
        "parameter/slot" -> running average, in the parameter's shape.
    steps : int
        Updates made so far.
    """

    def __init__(self, learning_rate, clipnorm, global_clipnorm):
        if clipnorm is not None and global_clipnorm is not None:
            raise ValueError(f"Expected one of both. Received: {clipnorm=}, {global_clipnorm=}")
        self.learning_rate, self.slots, self.steps = learning_rate, {}, 0
        self.clipnorm = None if clipnorm is None else number(clipnorm, "clipnorm", above=0)
        self.global_clipnorm = None if global_clipnorm is None else number(global_clipnorm, "global_clipnorm", above=0)

    @property
    def learning_rate(self):
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._learning_rate = number(value, "learning_rate", minimum=0)

    def update(self, params, grads):
        """Change the arrays of `params` in place by one step along `grads`, both dicts with the same keys."""
        if missing := sorted(params.keys() - grads.keys()):
            raise ValueError(f"Expected no trained layer before one that stops the gradient. None for: {missing}")
        self.steps += 1
        if self.clipnorm is not None:
            grads = {name: _clipped([gradient], self.clipnorm)[0] for name, gradient in grads.items()}
        if self.global_clipnorm is not None:
            grads = dict(zip(grads, _clipped(list(grads.values()), self.global_clipnorm)))
        for name, parameter in params.items():
            self._step(name, parameter, grads[name])

    def _slot(self, name, slot, like):
        key = f"{name}/{slot}"
        if key not in self.slots:
            self.slots[key] = np.zeros_like(like)
        return self.slots[key]

    def config(self):
        """The constructor's arguments, as plain values."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}


class SGD(Optimizer):
    """`velocity = momentum * velocity + gradient; parameter -= learning_rate * velocity`, as in PyTorch.

    Keras multiplies the gradient by the learning rate before it enters the velocity: the same while the rate is.
    """

    def __init__(self, learning_rate=0.01, momentum=0.0, clipnorm=None, global_clipnorm=None):
        super().__init__(learning_rate, clipnorm, global_clipnorm)
        self.momentum = number(momentum, "momentum", minimum=0, below=1)

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
    epsilon)`. The defaults are those of Keras, which adds epsilon inside the root; ours is added outside, as in
    PyTorch. For gradients below 3e-4, the root of epsilon, our steps are larger: at 1e-4 the first is ten times Keras'.
    """

    def __init__(self, learning_rate=0.001, rho=0.9, epsilon=1e-7, clipnorm=None, global_clipnorm=None):
        super().__init__(learning_rate, clipnorm, global_clipnorm)
        self.rho = number(rho, "rho", minimum=0, below=1)
        self.epsilon = number(epsilon, "epsilon", above=0)

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

    The defaults are those of Keras, which adds epsilon to the root before its correction. Ours is added after it, as in
    PyTorch and in the paper's algorithm: at the first step, Keras' counts as 32 times as much.
    """

    def __init__(
        self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, clipnorm=None, global_clipnorm=None
    ):
        super().__init__(learning_rate, clipnorm, global_clipnorm)
        self.beta_1 = number(beta_1, "beta_1", minimum=0, below=1)
        self.beta_2 = number(beta_2, "beta_2", minimum=0, below=1)
        self.epsilon = number(epsilon, "epsilon", above=0)

    def _step(self, name, parameter, gradient):
        mean, square = self._slot(name, "mean", parameter), self._slot(name, "square", parameter)
        mean += (1 - self.beta_1) * (gradient - mean)
        square += (1 - self.beta_2) * (np.square(gradient) - square)
        root = np.sqrt(square / (1 - self.beta_2**self.steps)) + self.epsilon
        parameter -= self.learning_rate / (1 - self.beta_1**self.steps) * mean / root


def _clipped(gradients, longest):
    """`gradients`, scaled down together if the vector of all their values is longer than `longest`."""
    length = math.sqrt(sum(np.square(gradient, dtype=np.float64).sum() for gradient in gradients))
    return gradients if length <= longest else [gradient * (longest / length) for gradient in gradients]
