"""The loss: one number that says how wrong the network's outputs are, and its gradient."""

import numpy as np

from nn.activations import Softmax


class CategoricalCrossentropy:
    """Mean over the batch of `-sum(targets * log(probabilities))`, for one-hot targets of shape `(batch, classes)`.

    `forward` takes probabilities. Where a network ends in the activation named by `fused_activation`, the model hands
    the scores before it to `forward_scores` instead: log-softmax and its gradient, `probabilities - targets`, are then
    exact and stay finite however large the scores.

    Parameters
    ----------
    class_weight : sequence of float, optional
        A factor for the loss of each class; the mean is still over the number of clips, as in Keras.
    """

    fused_activation = Softmax

    def __init__(self, class_weight=None):
        self.class_weight = None if class_weight is None else np.asarray(class_weight, float)

    def forward(self, probabilities, targets):
        """The loss of `probabilities` `(batch, classes)`; zeros count as the smallest positive number."""
        self._weighted = self._weigh(targets, probabilities.dtype)
        self._safe = np.maximum(probabilities, np.finfo(probabilities.dtype).tiny)
        self._gradient = lambda: -self._weighted / self._safe / len(targets)
        return float(-(self._weighted * np.log(self._safe)).sum() / len(targets))

    def forward_scores(self, scores, targets):
        """The loss of the softmax of `scores` `(batch, classes)`."""
        weighted = self._weigh(targets, scores.dtype)
        shifted = scores - scores.max(axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        weight = weighted.sum(axis=1, keepdims=True)
        self._gradient = lambda: (np.exp(log_probabilities) * weight - weighted) / len(targets)
        return float(-(weighted * log_probabilities).sum() / len(targets))

    def backward(self):
        """The gradient of the last loss with respect to what it was computed from, `(batch, classes)`."""
        return self._gradient()

    def _weigh(self, targets, dtype):
        targets = targets.astype(dtype)
        if self.class_weight is None:
            return targets
        if self.class_weight.shape != targets.shape[1:]:
            raise ValueError(f"Expected a weight for each of {targets.shape[1]} classes. Received: {self.class_weight}")
        return targets * self.class_weight.astype(dtype)
