"""All layers by name."""

from nn.activations import ReLU, Softmax
from nn.augmentation import SpectrogramAugmentation
from nn.convolution import Conv2D
from nn.dense import Dense
from nn.dropout import Dropout
from nn.normalization import BatchNormalization
from nn.pooling import AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D, MaxPooling2D
from nn.reshaping import Flatten
from nn.spectrogram import MelSpectrogram

__all__ = [
    "AveragePooling2D",
    "BatchNormalization",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "MaxPooling2D",
    "MelSpectrogram",
    "ReLU",
    "Softmax",
    "SpectrogramAugmentation",
]
