"""What a person can see and hear of a song while it is judged: its samples, collected as they stream by.
From them come the waveform, the mel spectrogram, a compact copy to play, and what the network looked at.
"""

import io
from dataclasses import dataclass

import numpy as np

from nn.spectrogram import MelSpectrogram
from pipeline.song.audio import SAMPLE_RATE

LONGEST = 3600  # seconds that are kept; what comes later is judged, but neither drawn nor played
COLUMNS = 1200  # of the waveform and of the spectrogram: sharp on a wide screen
BIT_RATE, LOW_BIT_RATE, LONG = (
    32_000,
    16_000,
    900,
)  # of the copy to play, in bits a second; the low one beyond 15 minutes
GLOW = np.array([1.0, 0.6, 0.05])  # the colour of what the network looked at
BATCH = 64  # clips made into a spectrogram at once


class Recording:
    """The samples of a song, kept in 16 bits while they pass on to whoever judges them."""

    def __init__(self):
        self._blocks, self._n = [], 0

    def tap(self, blocks):
        """Yield the float32 blocks (n,) unchanged and keep a copy; starts anew when called again."""
        self._blocks, self._n = [], 0
        for block in blocks:
            if self._n < LONGEST * SAMPLE_RATE:
                self._blocks.append(np.round(block * 32767).astype(np.int16))
                self._n += len(block)
            yield block

    @property
    def samples(self):
        """All that was kept, int16 (n,), at most an hour."""
        if len(self._blocks) > 1:
            self._blocks = [np.concatenate(self._blocks)]
        return self._blocks[0][: LONGEST * SAMPLE_RATE] if self._blocks else np.empty(0, np.int16)

    @property
    def seconds(self):
        """Length of what was kept."""
        return min(self._n / SAMPLE_RATE, LONGEST)


@dataclass(frozen=True)
class Moment:
    """A second in which the network was most sure of a class, and where it looked.

    Attributes
    ----------
    class_name : str
    second : int
        Counted from the beginning of the song.
    probability : float
        Of the class, in that second.
    picture : bytes
        PNG: the mel spectrogram in grey, what the decision hung on in colour.
    """

    class_name: str
    second: int
    probability: float
    picture: bytes


def peaks(samples, columns=COLUMNS):
    """The loudest |sample| in each of `columns` equal stretches, relative to the loudest of all; int16 (n,) -> uint8 (columns,)."""
    edges = np.linspace(0, len(samples), columns + 1).astype(int)
    starts = np.minimum(edges[:-1], len(samples) - 1)
    loudest = np.maximum(
        np.maximum.reduceat(samples, starts).astype(np.int32), -np.minimum.reduceat(samples, starts).astype(np.int32)
    )
    return np.round(255 * loudest / max(int(loudest.max()), 1)).astype(np.uint8)


def spectrogram(samples, progress=None, columns=COLUMNS):
    """The mel spectrogram of a whole song as a PNG, time to the right, pitch upwards; int16 (n,) -> bytes.

    The level of each second is kept, so that soft passages look soft: 0 dB is the loudest of the song.
    """
    layer = MelSpectrogram(top_db=200.0)
    layer.build((SAMPLE_RATE,), np.random.default_rng(0))
    n_clips = -(-len(samples) // SAMPLE_RATE)
    bins = max(1, min(layer.features.clip_frames, -(-columns // n_clips)))  # columns drawn of a second
    decibels = np.empty((n_clips, bins, layer.features.n_mels), np.float32)
    for first in range(0, n_clips, BATCH):
        part = samples[first * SAMPLE_RATE : (first + BATCH) * SAMPLE_RATE]
        clips = np.pad(part, (0, -len(part) % SAMPLE_RATE)).reshape(-1, SAMPLE_RATE).astype(np.float32) / 32768
        pictures = layer.forward(clips)[:, 0] + 20 * np.log10(np.abs(clips).max(axis=1) + 1e-5)[:, None, None]
        edges = np.linspace(0, pictures.shape[1], bins + 1).astype(int)[:-1]
        decibels[first : first + BATCH] = np.maximum.reduceat(pictures, edges, axis=1)
        if progress:
            progress("drawing", first, n_clips)
    image = decibels.reshape(-1, layer.features.n_mels)[: -(-len(samples) * bins // SAMPLE_RATE)]
    image = np.maximum(image - image.max(), -80)
    if len(image) > columns:
        image = np.maximum.reduceat(image, np.linspace(0, len(image), columns + 1).astype(int)[:-1])
    return _png(image.T[::-1] / 80 + 1, "magma")


def encode(samples, progress=None):
    """A compact copy that every browser plays: mp3, mono at 16 kHz; int16 (n,) -> bytes."""
    import av

    file, block = io.BytesIO(), 10 * SAMPLE_RATE
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono", options={"compression_level": "7"})
        stream.bit_rate = BIT_RATE if len(samples) <= LONG * SAMPLE_RATE else LOW_BIT_RATE
        for start in range(0, len(samples), block):
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis, start : start + block], format="s16p", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            container.mux(stream.encode(frame))
            if progress:
                progress("drawing", start, len(samples))
        container.mux(stream.encode(None))
    return file.getvalue()


def moments(samples, timeline, model):
    """The clearest second of Piano and of the other class, as a list of Moment; empty without a timeline.

    Parameters
    ----------
    samples : int16 array (n,)
    timeline : list of (float or None)
        Probability of piano by second.
    model : nn.Model
    """
    heard = [(value, second) for second, value in enumerate(timeline or ()) if value is not None]
    heard = [(value, second) for value, second in heard if (second + 1) * SAMPLE_RATE <= len(samples)]
    if not heard or len(model.class_names) != 2:
        return []
    other = next(name for name in model.class_names if name != "Piano")
    found = []
    for name, (_, second) in (("Piano", max(heard)), (other, min(heard))):
        clip = samples[second * SAMPLE_RATE : (second + 1) * SAMPLE_RATE].astype(np.float32) / 32768
        probability = float(model.predict(clip[np.newaxis])[0, model.class_names.index(name)])
        found.append(Moment(name, second, probability, _looked_at(model, clip, name)))
    return found


def _looked_at(model, clip, class_name):
    """PNG of the clip's mel spectrogram in grey, with the saliency of a class glowing on it."""
    from scipy.ndimage import gaussian_filter

    saliency = gaussian_filter(np.abs(model.saliency(clip, class_name)), 1.5).T[::-1]
    faint, strong = np.quantile(saliency, (0.8, 0.995))  # a fifth of the picture glows
    weight = np.clip((saliency - faint) / max(strong - faint, 1e-12), 0, 1)[..., np.newaxis] ** 0.7
    grey = 0.06 + 0.7 * (model.feature_maps(clip, model.layers[0].name)[0].T[::-1, :, np.newaxis] / 80 + 1)
    return _png(grey * (1 - weight) + weight * GLOW * (0.4 + 0.9 * grey))


def _png(image, colours=None):
    """Floats in 0..1, (height, width) with the name of a colour map or (height, width, 3), as the bytes of a PNG."""
    from matplotlib import colormaps
    from PIL import Image

    pixels = colormaps[colours](np.clip(image, 0, 1))[..., :3] if colours else np.clip(image, 0, 1)
    file = io.BytesIO()
    Image.fromarray(np.round(pixels * 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
