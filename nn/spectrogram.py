"""The first layer: one second of sound becomes a picture of it, the mel spectrogram in decibels.

Because it is a layer of the model, the model file carries its own preprocessing, and training and inference cannot
differ in it.
"""

from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

from nn.checks import integer, number
from nn.layer import Layer
from nn.parallel import map_slices, reuse, workspace

BAND = 32  # mel filters in a product: with fewer, the products become too small


@dataclass(frozen=True)
class FeatureConfig:
    """Every constant of the way from sound to picture, shared by training, inference and figures."""

    sample_rate: int = 16_000  # Hz
    n_fft: int = 512  # samples, the window padded with zeros
    win_length: int = 400  # samples: 25 ms
    hop_length: int = 160  # samples: 10 ms
    n_mels: int = 128
    f_min: float = 0.0  # Hz
    f_max: float = 8_000.0  # Hz
    top_db: float = 80.0  # what is softer than this below the loudest is taken as this soft

    def __post_init__(self):
        for field in fields(self):
            check = integer if field.type is int else number
            check(getattr(self, field.name), field.name, minimum=0)
        if not 2 <= self.win_length <= self.n_fft or not 0 < self.n_mels <= self.n_fft or not self.hop_length:
            raise ValueError(f"Expected 2 <= win_length <= n_fft, 0 < n_mels <= n_fft and a hop. Received: {self}")
        if self.n_fft > 1 << 16 or self.n_fft * self.n_mels > 1 << 22:  # the values in the matrix of filters
            raise ValueError(f"Expected n_fft <= 65536 and n_fft * n_mels <= 4194304. Received: {self}")
        if not (self.f_min < self.f_max and 2 * self.f_max <= self.sample_rate) or not self.top_db:
            raise ValueError(f"Expected 0 <= f_min < f_max <= sample_rate / 2, and top_db > 0. Received: {self}")

    @property
    def clip_samples(self):
        """Samples in a clip of one second."""
        return self.sample_rate

    @property
    def clip_frames(self):
        """Columns of the spectrogram of a clip."""
        return -(-self.clip_samples // self.hop_length)


class MelSpectrogram(Layer):
    """Samples `(batch, samples)` in -1..1 -> decibels `(batch, 1, frames, mels)` from `-top_db` to 0.

    A frame starts every `hop_length` samples; the last ones are filled up with zeros. Each is weighted by a Hann
    window, its magnitude spectrum is summed up by triangular mel filters, and 0 dB is the clip's own maximum. The same
    as `librosa.feature.melspectrogram(power=1, center=False)` and `librosa.amplitude_to_db(ref=np.max)` on samples
    padded alike. A fixed layer: the gradient stops at its output, and `backward` returns None.
    """

    amin = 1e-5  # magnitudes below are not told apart, as in librosa

    def __init__(self, **constants):
        super().__init__()
        self.features = FeatureConfig(**constants)

    def config(self):
        return asdict(self.features)

    def compute_output_shape(self, input_shape):
        if len(input_shape) != 1:
            raise ValueError(f"MelSpectrogram takes vectors of samples. Received: input_shape={input_shape}")
        n_frames = -(-input_shape[0] // self.features.hop_length)
        if n_frames * self.features.n_fft > 1 << 28:  # a gigabyte for each clip
            raise ValueError(f"Expected shorter clips, or a longer hop. Received: {n_frames} frames, {self.features}")
        return 1, n_frames, self.features.n_mels

    def build(self, input_shape, rng):
        self._window = np.hanning(self.features.win_length + 1)[:-1]
        self._bands = list(_bands(mel_filters(self.features).T))
        return super().build(input_shape, rng)

    def forward(self, inputs, training=False):
        features, n_frames, dtype = self.features, self.output_shape[1], inputs.dtype
        n_fft, width, hop = features.n_fft, features.win_length, features.hop_length
        self.output = output = reuse(self, "_pictures", (len(inputs), *self.output_shape), dtype)
        window = self._window.astype(dtype)
        bands = [(bins, mels, filters.astype(dtype)) for bins, mels, filters in self._bands]
        # As many samples as the frames cover: the last frames reach into zeros.
        padded = reuse(self, "padded", (len(inputs), (n_frames - 1) * hop + width), dtype)
        padded[:, : inputs.shape[1]] = inputs[:, : padded.shape[1]]
        padded[:, inputs.shape[1] :] = 0

        def transform(part):
            frames = workspace("frames", (n_frames, n_fft), dtype)
            frames[:, width:] = 0
            magnitudes = workspace("magnitudes", (n_frames, n_fft // 2 + 1), dtype)
            for samples, picture in zip(padded[part], output[part, 0]):
                np.multiply(sliding_window_view(samples, width)[::hop], window, out=frames[:, :width])
                np.abs(fft.rfft(frames), out=magnitudes)
                for bins, mels, filters in bands:
                    np.matmul(magnitudes[:, bins], filters, out=picture[:, mels])
                np.maximum(picture, self.amin, out=picture)
                picture /= picture.max()
                np.log10(picture, out=picture)
                picture *= 20
                np.maximum(picture, -features.top_db, out=picture)

        map_slices(transform, len(inputs))
        return output

    def backward(self, output_gradient):
        self.input_gradient = None
        return None


def _bands(filters):
    """Filters `(bins, mels)` by neighbours: slices of the bins that some of them meet, of the mels, and that part.

    A filter meets a few bins only. The product with all bins takes four times as long, and is the same bit by bit.
    """
    for start in range(0, filters.shape[1], BAND):
        mels = slice(start, start + BAND)
        met = filters[:, mels].any(axis=1).nonzero()[0]
        bins = slice(met[0], met[-1] + 1) if len(met) else slice(1)
        yield bins, mels, np.ascontiguousarray(filters[bins, mels])


def mel_filters(features):
    """Triangular filters `(n_mels, n_fft // 2 + 1)` of equal area, evenly spaced on Slaney's mel scale.

    The scale is linear up to 1 kHz and logarithmic above (Slaney, Auditory Toolbox, 1998): librosa's default.
    """
    frequencies = np.arange(features.n_fft // 2 + 1) * features.sample_rate / features.n_fft
    edges = _mel_to_hz(np.linspace(_hz_to_mel(features.f_min), _hz_to_mel(features.f_max), features.n_mels + 2))
    lower, centre, upper = edges[:-2, np.newaxis], edges[1:-1, np.newaxis], edges[2:, np.newaxis]
    rising, falling = (frequencies - lower) / (centre - lower), (upper - frequencies) / (upper - centre)
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (upper - lower)


_LINEAR = 200 / 3  # Hz a mel below 1 kHz
_STEP = np.log(6.4) / 27  # of the logarithm, a mel above


def _hz_to_mel(frequency):
    return frequency / _LINEAR if frequency < 1000 else 1000 / _LINEAR + np.log(frequency / 1000) / _STEP


def _mel_to_hz(mels):
    knee = 1000 / _LINEAR
    return np.where(mels < knee, mels * _LINEAR, 1000 * np.exp(_STEP * (mels - knee)))
