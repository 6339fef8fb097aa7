"""Initial values of the weights. Each keeps the variance of the signal from layer to layer."""

import numpy as np


def he_normal(rng, shape, fan_in):
    """Normal values with standard deviation sqrt(2 / fan_in), for layers that a ReLU follows (He et al., 2015)."""
    return rng.normal(0.0, np.sqrt(2.0 / fan_in), shape).astype(np.float32, copy=False)


def glorot_uniform(rng, shape, fan_in, fan_out):
    """Uniform values within +-sqrt(6 / (fan_in + fan_out)), Keras' default (Glorot and Bengio, 2010)."""
    limit = np.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape).astype(np.float32, copy=False)
