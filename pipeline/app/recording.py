"""What a person can see and hear of a song: its samples are kept while they pass to the network.

From them come the waveform, the mel spectrogram, a compact copy to play, and the clearest second of each class.
"""

import io

import numpy as np

from pipeline.song.audio import SAMPLE_RATE

LONGEST = 3600  # seconds that are kept; the rest is judged, but neither drawn nor played
COLUMNS = 1200  # of the waveform and of the spectrogram: sharp on a wide screen
LONG = 900  # seconds; the copy of a longer song has LOW_BIT_RATE
BIT_RATE, LOW_BIT_RATE = 32_000, 16_000  # bits a second
GLOW = np.array([1.0, 0.6, 0.05])  # red, green and blue
MINUTE = 60  # seconds made into a spectrogram at once


class Recording:
    """The samples of a song, kept as 16-bit integers while they pass to the network."""

    def __init__(self):
        self._blocks = []

    def tap(self, blocks):
        """Yield the float32 blocks (n,), return what their generator returns, and keep a copy, anew at each call."""
        self._blocks, n = [], 0
        while True:
            try:
                block = next(blocks)
            except StopIteration as end:
                return end.value
            if n < LONGEST * SAMPLE_RATE:
                self._blocks.append(np.round(block * 32767).astype(np.int16))
                n += len(block)
            yield block

    @property
    def samples(self):
        """All that was kept, at most an hour: int16 (n,)."""
        return np.concatenate([np.empty(0, np.int16), *self._blocks])[: LONGEST * SAMPLE_RATE]


def peaks(samples):
    """The largest |sample| in each of COLUMNS equal parts, relative to the largest of all: uint8 (COLUMNS,)."""
    starts = np.linspace(0, len(samples), COLUMNS, endpoint=False).astype(int)
    largest = np.maximum.reduceat(np.abs(samples), starts).astype(float)
    return np.round(255 * largest / max(largest.max(), 1)).astype(np.uint8)


def spectrogram(samples, progress):
    """The mel spectrogram of a whole song as a PNG, time to the right, pitch upwards; int16 (n,) -> bytes.

    The layer's 0 dB is the maximum of its input. A loud tone behind each minute makes it the same for all minutes.
    """
    from nn.spectrogram import MelSpectrogram

    layer, n = MelSpectrogram(top_db=200.0), MINUTE * SAMPLE_RATE
    clip = np.zeros((1, n + SAMPLE_RATE), np.float32)
    clip[0, -SAMPLE_RATE // 2 :] = 10 * np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE)
    layer.build(clip.shape[1:], np.random.default_rng(0))
    hop = layer.features.hop_length
    group = max(1, len(samples) // hop // COLUMNS)  # frames of a column
    columns = []
    for start in range(0, len(samples), n):
        part = samples[start : start + n]
        clip[0, :n] = 0
        clip[0, : len(part)] = part / np.float32(32768)
        frames = layer.forward(clip)[0, 0, : -(-len(part) // hop)]
        columns.append(np.maximum.reduceat(frames, np.arange(0, len(frames), group)))
        progress("drawing", start, len(samples))
    image = np.concatenate(columns).T[::-1]
    return _png(_magma((image - image.max()) / 80 + 1))


def encode(samples, progress):
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
            progress("drawing", start, len(samples))
        container.mux(stream.encode(None))
    return file.getvalue()


def clearest_seconds(samples, timeline, model):
    """The second in which each of two classes is most probable, as a list of dicts; empty without a timeline.

    Each dict holds `class_name`, `second`, `probability` and `picture`, a PNG.

    Parameters
    ----------
    samples : int16 array (n,)
    timeline : list of (float or None)
        Probability of piano by second.
    model : nn.Model
    """
    whole = (timeline or [])[: len(samples) // SAMPLE_RATE]
    judged = [(value, second) for second, value in enumerate(whole) if value is not None]
    if not judged or len(model.class_names) != 2:
        return []
    other = next(name for name in model.class_names if name != "Piano")
    found = []
    for name, (value, second) in [("Piano", max(judged)), (other, min(judged))]:
        clip = samples[second * SAMPLE_RATE : (second + 1) * SAMPLE_RATE].astype(np.float32) / 32768
        probability = value if name == "Piano" else 1 - value
        picture = _png(_glowing(model, clip))
        found.append({"class_name": name, "second": second, "probability": probability, "picture": picture})
    return found


def _glowing(model, clip):
    """The mel spectrogram of a clip in grey; it glows where a change would alter the decision most.

    That is where the gradient of the difference of the two scores is large (Simonyan et al., 2013).
    """
    from scipy.ndimage import gaussian_filter

    size = gaussian_filter(np.abs(model.saliency(clip, model.class_names[0])), 1.5).T[::-1]
    faint, strong = np.quantile(size, (0.8, 0.995))  # a fifth of the picture glows
    weight = np.clip((size - faint) / max(strong - faint, 1e-12), 0, 1)[..., np.newaxis] ** 0.7
    grey = 0.06 + 0.7 * (model.feature_maps(clip, model.layers[0].name)[0].T[::-1, :, np.newaxis] / 80 + 1)
    return grey * (1 - weight) + weight * GLOW * (0.4 + 0.9 * grey)


def _magma(image):
    """Colours (height, width, 3) of values in 0..1, (height, width)."""
    from matplotlib import colormaps

    return colormaps["magma"](np.clip(image, 0, 1))[..., :3]


def _png(image):
    """The bytes of a PNG of an image (height, width, 3) in 0..1."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
