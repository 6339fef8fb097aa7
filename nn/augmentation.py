"""Augmentation of spectrograms in training, so that the network learns the notes and not the microphone."""

import numpy as np

from nn.checks import integer, number
from nn.layer import Layer


class SpectrogramAugmentation(Layer):
    """Each training picture changed as by another microphone, another room, a gap; the identity at inference.

    Inputs and outputs are decibels `(batch, 1, frames, mels)` with 0 as the loudest. Each picture gets a smooth random
    gain over frequency (`gain_db`: standard deviation in dB), a noise floor drawn between -80 dB and `floor_db`, and
    with probability one half each a masked band of at most `mask_mels` mels and a gap of at most `mask_frames` frames
    (Park et al., SpecAugment, 2019). The gradient stops here in training, so every trained layer has to come after it.
    """

    n_waves = 5  # cosines over frequency that make up the gain

    def __init__(self, gain_db=4.0, floor_db=-50.0, mask_mels=12, mask_frames=10):
        super().__init__()
        self.gain_db = number(gain_db, "gain_db", minimum=0)
        self.floor_db = number(floor_db, "floor_db", minimum=-80, below=0)
        self.mask_mels = integer(mask_mels, "mask_mels", minimum=0)
        self.mask_frames = integer(mask_frames, "mask_frames", minimum=0)

    def build(self, input_shape, rng):
        self.generator = rng.spawn(1)[0]
        return super().build(input_shape, rng)

    def forward(self, inputs, training=False):
        self._training = training
        self.output = self._augment(inputs) if training else inputs
        return self.output

    def backward(self, output_gradient):
        self.input_gradient = None if self._training else output_gradient
        return self.input_gradient

    def _augment(self, inputs):
        rng, (batch, _, frames, mels) = self.generator, inputs.shape
        waves = np.cos(np.pi * np.outer(np.arange(1, self.n_waves + 1), np.arange(mels) + 0.5) / mels)
        strengths = rng.normal(0, self.gain_db, (batch, self.n_waves)) / np.sqrt(np.arange(1, self.n_waves + 1))
        output = inputs + (strengths @ waves).astype(inputs.dtype)[:, np.newaxis, np.newaxis]
        output -= output.max(axis=(2, 3), keepdims=True)
        floor = rng.uniform(-80, self.floor_db, (batch, 1, 1, 1)).astype(inputs.dtype)
        np.maximum(output, floor, out=output)
        for picture, lowest in zip(output[:, 0], floor[:, 0, 0, 0]):
            if rng.random() < 0.5:
                picture[:, _stretch(rng, self.mask_mels, mels)] = lowest
            if rng.random() < 0.5:
                picture[_stretch(rng, self.mask_frames, frames)] = lowest
        return output


def _stretch(rng, longest, size):
    length = rng.integers(min(longest, size) + 1)
    start = rng.integers(size - length + 1)
    return slice(start, start + length)
