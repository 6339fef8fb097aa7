"""The player of a song: the probability of piano by second, the waveform, the mel spectrogram, and the sound itself.

It is one anywidget for each song. It comes to the browser complete and is closed when the next song takes its place.
"""

import anywidget
import traitlets

from pipeline.app import recording
from pipeline.app.stage import web


class Player(anywidget.AnyWidget):
    """Plays a song while a line moves along its timeline.

    `timeline` is the probability of piano by second, or None. Pictures are PNG, the audio is mp3, `peaks` uint8.
    """

    _esm = web("common.js", "player.js")
    seconds = traitlets.Float().tag(sync=True)
    timeline = traitlets.List().tag(sync=True)
    threshold = traitlets.Float(0.5).tag(sync=True)
    peaks = traitlets.Bytes().tag(sync=True)
    spectrogram = traitlets.Bytes().tag(sync=True)
    audio = traitlets.Bytes().tag(sync=True)
    moments = traitlets.List().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)


def player_of(kept, recognition, recognizer, progress):
    """The Player of a song from its Recording and its Recognition, or None where nothing was kept.

    `progress("drawing", done, total)` may raise Cancelled.
    """
    samples = kept.samples
    if not len(samples):
        return None
    return Player(
        seconds=len(samples) / recording.SAMPLE_RATE,
        timeline=[value if value is None else round(value, 3) for value in recognition.timeline or []],
        threshold=float(recognizer.threshold),
        peaks=recording.peaks(samples).tobytes(),
        spectrogram=recording.spectrogram(samples, progress),
        audio=recording.encode(samples, progress),
        moments=recording.clearest_seconds(samples, recognition.timeline, recognizer.model),
        note="Only the first hour can be seen and played here." if recognition.seconds > recording.LONGEST else "",
    )
