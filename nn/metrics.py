"""Metrics: what people read; the optimizer follows the loss."""

import numpy as np


def categorical_accuracy(outputs, targets):
    """Share of rows whose largest output is at the place of the largest target; both `(batch, classes)`."""
    if outputs.shape != targets.shape:
        raise ValueError(f"Expected outputs and targets of one shape. Received: {outputs.shape}, {targets.shape}")
    return float(np.mean(outputs.argmax(axis=1) == targets.argmax(axis=1)))
