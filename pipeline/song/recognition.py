"""From a link or a file to a label: every second of the song votes, and the majority decides.

The network sees one second at a time and gives a probability for each class. The confidence in the label is the mean
probability over the song: a geometric mean, in which loud seconds count for more.
"""

import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nn import Model, ModelFileError
from pipeline.errors import PipelineError
from pipeline.song import cleaning, download
from pipeline.song.audio import SAMPLE_RATE
from pipeline.song.links import Link
from pipeline.song.segments import segments
from pipeline.song.sources import expand

MODEL_PATH = Path(__file__).parents[2] / "data" / "model.npz"
PIANO = "Piano"
BATCH = 32  # clips judged at once
CERTAIN = 1e-4  # no clip counts as surer than this far from certainty


@dataclass(frozen=True)
class Recognition:
    """The answer for one song.

    Attributes
    ----------
    source, title : str
        The link or path as given, and the name of the video or file.
    label : str
        The class that most clips voted for.
    confidence : float
        The mean probability of that class over the clips; see `pooled`.
    probabilities : dict of str to float
        That mean for each class.
    votes : dict of str to int
        Clips that voted for each class.
    seconds : float
        Length of the song.
    timeline : list of (float or None), or None
        Probability of piano in each second of the song; None where there is silence or no clip was drawn. None
        altogether, as is `piano_probability`, for a model without the class Piano.
    segments : list of dict, or None
        Where the piano plays: ranges of the song with "from" and "to" in seconds, "class" (Piano or Other) and its mean
        "probability"; see `pipeline.song.segments`. None without a timeline, and where only some clips were drawn.
    cut_short : bool
        Whether the file ends before its header says, so that the answer is about a part of the song.
    """

    source: str
    title: str
    label: str
    confidence: float
    probabilities: dict
    votes: dict
    seconds: float
    timeline: list | None
    segments: list | None = None
    cut_short: bool = False

    @property
    def piano_probability(self):
        """Mean probability of the class Piano."""
        return self.probabilities.get(PIANO)

    @property
    def remarks(self):
        """What a person should know besides: a list of sentences, mostly empty."""
        likeliest, remarks = max(self.probabilities, key=self.probabilities.get), []
        if likeliest != self.label:
            remarks.append(f"Borderline: the majority vote says {self.label}, the mean probability says {likeliest}.")
        if self.cut_short:
            remarks.append("The file is cut short: only its beginning was judged.")
        return remarks

    def to_dict(self):
        """The answer as plain values, for JSON."""
        result = {
            "source": self.source,
            "label": self.label,
            "confidence": round(self.confidence, 4),
            "probabilities": {name: round(value, 4) for name, value in self.probabilities.items()},
            "votes": self.votes,
            "seconds": round(self.seconds, 2),
        }
        if self.timeline is not None:
            result["piano_probability"] = round(self.piano_probability, 4)
            result["timeline"] = [value if value is None else round(value, 4) for value in self.timeline]
        if self.segments is not None:
            result["segments"] = self.segments
        if self.cut_short:
            result["cut_short"] = True
        return result


@dataclass(frozen=True)
class Failure:
    """A song that could not be judged, and why."""

    source: str
    error: PipelineError

    def to_dict(self):
        """The failure as plain values, for JSON."""
        return {"source": self.source, "error": self.error.kind, "message": str(self.error)}


class Recognizer:
    """A trained model that answers for songs.

    Parameters
    ----------
    model_path : str or Path, optional
        By default the released model. Raises nn.ModelFileError, also for a model that takes other clips.
    """

    def __init__(self, model_path=None):
        path = MODEL_PATH if model_path is None else model_path
        self.model = Model.load(path)
        if self.model.input_shape != (SAMPLE_RATE,):
            shape = self.model.input_shape
            raise ModelFileError(
                f"{path} takes clips of shape {shape}; give a model for one second, {SAMPLE_RATE:,} samples"
            )
        if self.model.sample_rate not in (SAMPLE_RATE, None):
            raise ModelFileError(
                f"{path} takes sound of {self.model.sample_rate:,} Hz; give a model for {SAMPLE_RATE:,}"
            )
        self.class_names = self.model.class_names
        self.threshold = self.model.metadata.get("threshold", 0.5)

    def recognize(self, source, **options):
        """The Recognition of one link or file; of the first song, where the source stands for several.

        Options as in `recognize_each`. Raises PipelineError.
        """
        result = next(self.recognize_each([source], **options))
        if isinstance(result, Failure):
            raise result.error
        return result

    def recognize_each(self, sources, n_clips=None, seed=0, progress=None, **access):
        """Yield a Recognition or a Failure for every song, in order.

        Parameters
        ----------
        sources : iterable of str
            Links of videos and playlists, files, folders, and lists of these (.txt, .m3u, .m3u8, .csv).
        n_clips : int, optional
            How many random clips of each song vote; all by default.
        seed : int
            Fixes which ones.
        progress : callable, optional
            `progress(step, done, total)`; may raise Cancelled.
        access
            `cookies`, `cookies_from_browser` and `ydl_factory`, as in `pipeline.song.download.download`.
        """
        for source, target in expand(sources):
            try:
                if isinstance(target, PipelineError):
                    raise target
                if isinstance(target, Link):
                    access["cookies"] = download.cookie_stream(access.get("cookies"))  # a stream can be read once
                if isinstance(target, Link) and target.kind == "playlist":
                    for entry in download.playlist(target, progress=progress, **access).entries:
                        yield from self.recognize_each([entry.url], n_clips, seed, progress, **access)
                elif isinstance(target, Link):
                    with download.download(target, progress=progress, **access) as song:
                        clips = cleaning.clean(song.path, song.seconds, _as_listening(progress))
                        yield self.judge(clips, n_clips, seed, source=source, title=song.title)
                else:
                    clips = cleaning.clean(target, progress=_as_listening(progress))
                    yield self.judge(clips, n_clips, seed, source=source, title=target.name)
            except PipelineError as error:
                yield Failure(source, error)

    def judge(self, clips, n_clips=None, seed=0, progress=None, source="", title=""):
        """The Recognition of a song given as `pipeline.song.cleaning.Clips`. Raises AudioError.

        `progress("listening", seconds, None)` tells how far in the song the clips judged so far reach.
        """
        drawn = enumerate(clips) if n_clips is None else _draw(clips, n_clips, seed)
        indices, probabilities, weights = [], [], []
        for batch in _batches(drawn):
            indices += [index for index, _ in batch]
            samples = np.stack([clip.samples for _, clip in batch])
            probabilities.append(self.model.predict(samples))
            weights.append(levels(samples))
            if progress:
                progress("listening", batch[-1][1].stop, None)
        probabilities = np.concatenate(probabilities)
        if not np.isfinite(probabilities).all():
            raise ModelFileError("The probabilities of this model are no numbers: its weights are too large.")
        mean = dict(zip(self.class_names, pooled(probabilities, np.concatenate(weights)).tolist()))
        votes = Counter(self.class_names[vote] for vote in self._votes(probabilities))
        votes = {name: votes[name] for name in self.class_names}
        label = max(self.class_names, key=lambda name: (votes[name], mean[name]))
        seconds, timeline = clips.n_samples / SAMPLE_RATE, self._timeline(clips, indices, probabilities)
        ranges = segments(timeline, seconds) if timeline is not None and n_clips is None else None
        return Recognition(source, title, label, mean[label], mean, votes, seconds, timeline, ranges, clips.cut_short)

    def _votes(self, probabilities):
        """The index of the class that each clip votes for: Piano above the threshold, else the most probable other."""
        if PIANO not in self.class_names:
            return probabilities.argmax(axis=1)
        piano = self.class_names.index(PIANO)
        others = probabilities.copy()
        others[:, piano] = -1
        return np.where(probabilities[:, piano] > self.threshold, piano, others.argmax(axis=1))

    def _timeline(self, clips, indices, probabilities):
        if PIANO not in self.class_names:
            return None
        piano = dict(zip(indices, probabilities[:, self.class_names.index(PIANO)].tolist()))
        return [piano.get(int(index)) for index in clips.timeline()]


def levels(clips):
    """The effective value of each clip (n, samples), the weight of its probability in the mean: float array (n,)."""
    return np.sqrt(np.mean(np.square(clips, dtype=np.float64), axis=1))


def pooled(probabilities, weights):
    """The probabilities of a song from those of its clips, (n, classes) with weights (n,): float array (classes,).

    The geometric mean, scaled to a sum of one; for two classes, the probability at the mean of the log odds. On unseen
    songs it is better calibrated than the arithmetic mean (`pipeline.learning.voting`).
    """
    mean = np.exp(np.average(np.log(np.clip(probabilities, CERTAIN, 1 - CERTAIN)), axis=0, weights=weights))
    return mean / mean.sum()


def _as_listening(progress):
    """`progress` for a decoder whose blocks are judged as they come: to a person, decoding and listening are one."""
    return progress and (lambda _, done, total: progress("listening", done, total))


def _batches(items):
    items = iter(items)
    while batch := list(itertools.islice(items, BATCH)):
        yield batch


def _draw(clips, n_clips, seed):
    """`n_clips` of the clips with their indices, each as likely as any other, in their order.

    Reservoir sampling (Vitter's algorithm R, 1985): the song need not be in memory, nor its length be known.
    """
    rng, drawn = np.random.default_rng(seed), []
    for index, clip in enumerate(clips):
        if len(drawn) < n_clips:
            drawn.append((index, clip))
        elif (place := rng.integers(index + 1)) < n_clips:
            drawn[place] = (index, clip)
    return sorted(drawn, key=lambda item: item[0])
