"""A convolutional network from scratch, in NumPy: layers, losses, optimizers, and the model that holds them together.

Read it in this order: `layer`, `dense`, `activations`, `losses`, `optimizers`, `model`, `training`; then `spectrogram`,
`convolution`, `pooling`, `normalization`, `dropout`. The rest of this folder is for data, files and threads. It needs
nothing else here; where the package `nn_fast` is found, that computes what the layers do one by one, several times faster.
"""

from importlib.util import find_spec

from nn.callbacks import CSVLogger, EarlyStopping, LearningRateSchedule, ModelCheckpoint, MovingAverage
from nn.data import ClipSequence
from nn.layers import *  # noqa: F403 - the layers, by the names in nn.layers.__all__
from nn.losses import CategoricalCrossentropy
from nn.metrics import categorical_accuracy
from nn.model import Model
from nn.model_file import ModelFileError
from nn.optimizers import SGD, Adam, RMSprop
from nn.spectrogram import FeatureConfig

if find_spec("nn_fast"):
    import nn_fast  # noqa: F401 - which puts its way to compute into Model
