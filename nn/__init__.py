"""A convolutional network from scratch, in NumPy: layers, losses, optimizers, and the model that holds them together.

Read it in this order: `layer`, `dense`, `activations`, `losses`, `optimizers`, `model`, `training`; then `spectrogram`,
`convolution`, `pooling`, `normalization`, `dropout`. The rest is for checks, data, files and threads. The folder `fast`
computes the same in fewer, larger steps; a reader may skip it, and `Model(..., fast=False)` does without it.
"""

from nn import layers
from nn.callbacks import CSVLogger, EarlyStopping, LearningRateSchedule, ModelCheckpoint, MovingAverage
from nn.data import ClipSequence
from nn.layers import *  # noqa: F403 - all layers: nn.layers names them
from nn.losses import CategoricalCrossentropy
from nn.metrics import categorical_accuracy
from nn.model import Model
from nn.model_file import ModelFileError
from nn.optimizers import SGD, Adam, RMSprop
from nn.spectrogram import FeatureConfig

__all__ = [
    "SGD",
    "Adam",
    "CSVLogger",
    "CategoricalCrossentropy",
    "ClipSequence",
    "EarlyStopping",
    "FeatureConfig",
    "LearningRateSchedule",
    "Model",
    "ModelCheckpoint",
    "ModelFileError",
    "MovingAverage",
    "RMSprop",
    "categorical_accuracy",
]
__all__ += layers.__all__
