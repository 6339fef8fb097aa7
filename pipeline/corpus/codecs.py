"""Lossy encoders: what samples sound like after they were encoded and decoded."""

import io

import av
import numpy as np
from scipy.signal import fftconvolve

from pipeline.song.audio import SAMPLE_RATE as RATE


def round_trip(samples, codec_name, container, bit_rate, options=None):
    """Float32 samples (n,) at 16 kHz after encoding and decoding, aligned with the input and of its length.

    `options` are those of the encoder, by name.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec_name, rate=RATE, layout="mono", options=options or {})
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(stream.codec_context.format, "mono", RATE, stream.codec_context.frame_size or 960)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    buffer.seek(0)
    resampler = av.AudioResampler("fltp", "mono", RATE)
    with av.open(buffer) as back:
        frames = [f for decoded in back.decode(audio=0) for f in resampler.resample(decoded)] + resampler.resample(None)
        decoded = np.concatenate([f.to_ndarray()[0] for f in frames])
    probe = slice(0, min(len(samples), len(decoded), 4 * RATE))
    delay = np.argmax(fftconvolve(decoded[probe], samples[probe][::-1])) - (probe.stop - 1)
    decoded = decoded[max(delay, 0) :][: len(samples)]
    return np.pad(decoded, (0, len(samples) - len(decoded))).astype(np.float32)
