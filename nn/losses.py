"""The loss: one number that says how wrong the network's outputs are, and its gradient."""

import numpy as np

from nn.activations import Softmax
from nn.checks import items, number


class CategoricalCrossentropy:
    """Mean over the batch of `-sum(targets * log(probabilities))`, for one-hot targets of shape `(batch, classes)`.

    `forward` takes probabilities. Where a network ends in the activation named by `fused_activation`, the model hands
    the scores before it to `forward_scores` instead: log-softmax and its gradient, `probabilities - targets`, are then
    exact and stay finite however large the scores.

    Parameters
    ----------
    class_weight : sequence of float, or dict of class index to float, optional
        A factor for the loss of each class; the mean is still over the number of clips, as in Keras.
    label_smoothing : float
        This share of each target is spread evenly over all classes, before they are weighted.
    """

    fused_activation = Softmax

    def __init__(self, class_weight=None, label_smoothing=0.0):
        self.label_smoothing = number(label_smoothing, "label_smoothing", minimum=0, below=1)
        if isinstance(class_weight, dict):
            class_weight = [class_weight.get(index) for index in range(len(class_weight))]
        self.class_weight = class_weight
        if class_weight is not None:
            weights = items(class_weight, "class_weight")
            self.class_weight = np.array([number(weight, "class_weight", minimum=0) for weight in weights])

    def forward(self, probabilities, targets):
        """The loss of `probabilities` `(batch, classes)`; zeros count as the smallest positive number.

        Each row is divided by its sum first, as in Keras. Raises ValueError for negative ones.
        """
        if np.min(probabilities) < 0:
            raise ValueError("Expected probabilities, which are not negative; let the network end in a Softmax")
        weighted = self._weighted(targets, probabilities)
        safe = np.maximum(probabilities, np.finfo(probabilities.dtype).tiny)
        total = safe.sum(axis=1, keepdims=True)
        self._gradient = (weighted.sum(axis=1, keepdims=True) / total - weighted / safe) / len(targets)
        return float(-(weighted * np.log(safe / total)).sum() / len(targets))

    def forward_scores(self, scores, targets):
        """The loss of the softmax of `scores` `(batch, classes)`."""
        weighted = self._weighted(targets, scores)
        shifted = scores - scores.max(axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        self._gradient = np.exp(log_probabilities) * weighted.sum(axis=1, keepdims=True) - weighted
        self._gradient /= len(targets)
        return float(-(weighted * log_probabilities).sum() / len(targets))

    def backward(self):
        """The gradient of the last loss with respect to what it was computed from, `(batch, classes)`."""
        return self._gradient

    def _weighted(self, targets, outputs):
        """The targets, smoothed and weighted, in the type of the network's outputs."""
        if np.shape(targets) != outputs.shape:
            expected = f"Expected one-hot targets of the shape of the outputs, {outputs.shape}"
            raise ValueError(f"{expected}. Received: {np.shape(targets)}")
        n_classes, targets = outputs.shape[1], targets.astype(outputs.dtype)
        targets = targets * (1 - self.label_smoothing) + self.label_smoothing / n_classes
        if self.class_weight is None:
            return targets
        if len(self.class_weight) != n_classes:
            raise ValueError(f"Expected a weight for each of {n_classes} classes. Received: {self.class_weight}")
        return targets * self.class_weight.astype(outputs.dtype)
