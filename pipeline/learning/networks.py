"""The networks of this project by name, from samples to the probability of each class."""

from nn import (
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPooling2D,
    MelSpectrogram,
    Model,
    ReLU,
    Softmax,
    SpectrogramAugmentation,
)
from nn.spectrogram import FeatureConfig

CLASS_NAMES = ("Piano", "Other")
INPUT_SHAPE = (FeatureConfig().clip_samples,)
PICTURE_SHAPE = (1, FeatureConfig().clip_frames, FeatureConfig().n_mels)


def thesis_network(class_names=CLASS_NAMES, seed=0, sound="normalized"):
    """The thesis' network: five convolutions that become smaller and deeper, four poolings, two dense layers.

    `sound` is the input of the first convolution: "decibels" of the mel spectrogram, or those "normalized". A network
    of "pictures" takes mel spectrograms instead of samples, and normalizes them.
    """
    layers = _front(sound, momentum=0.9)
    for filters, size in ((8, 7), (16, 5), (16, 3), (32, 3)):
        layers += [Conv2D(filters, size), ReLU(), MaxPooling2D(2)]
    layers += [Conv2D(32, 3), ReLU(), Flatten(), Dropout(0.2), Dense(64), ReLU()]
    return _classifier(layers, class_names, seed, sound)


def dense_network(class_names=CLASS_NAMES, seed=0, units=(64, 64), sound="normalized"):
    """The thesis' first attempt: dense layers alone, without convolution.

    `sound` is the input of the first dense layer, as in `thesis_network`, or the "samples" themselves.
    """
    layers = _front(sound) + [Flatten()] * (sound != "samples")
    for width in units:
        layers += [Dense(width), ReLU()]
    return _classifier(layers, class_names, seed, sound)


def recognizer_network(class_names=CLASS_NAMES, seed=0, filters=(32, 64, 96, 96), last_pool=(12, 2), masked=False):
    """The released network: 3x3 convolutions, each with batch normalization and max pooling.

    `last_pool` is the last pooling window. (12, 2) spans the whole second, so that it does not matter when a sound
    begins. `masked` adds spectrogram augmentation.
    """
    layers = [MelSpectrogram(), *[SpectrogramAugmentation()] * masked, BatchNormalization(momentum=0.9)]
    for count, pool in zip(filters, [2] * (len(filters) - 1) + [last_pool]):
        layers += [Conv2D(count, 3), BatchNormalization(momentum=0.9), ReLU(), MaxPooling2D(pool)]
    layers += [Flatten(), Dropout(0.3), Dense(64), ReLU()]
    return _classifier(layers, class_names, seed)


def _front(sound, **options):
    """The layers in front of those that learn from `sound`."""
    mel = [MelSpectrogram()] * (sound in ("decibels", "normalized"))
    return mel + [BatchNormalization(**options)] * (sound in ("normalized", "pictures"))


def _classifier(layers, class_names, seed, sound=None):
    shape = PICTURE_SHAPE if sound == "pictures" else INPUT_SHAPE
    return Model([*layers, Dense(len(class_names)), Softmax()], shape, class_names, seed)
