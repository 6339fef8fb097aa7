"""Sounds: what a recording is made of. Each gives excerpts on demand.

A sound is a file, a score played by an instrument, a noise, or two of these together. An excerpt says which of its
seconds have the label: a piano with something else counts only where the other is audible.
"""

import hashlib
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfilt

from pipeline import files
from pipeline.corpus import noises
from pipeline.corpus.audibility import a_level, heard
from pipeline.corpus.render import RATE, Touch, render
from pipeline.corpus.scores import (
    PIANOS,
    RANGE,
    accompaniment,
    as_student,
    improvise,
    midi_in_wad,
    outermost,
    read_midi,
)
from pipeline.song import audio

DECODED = Path("data/generated/decoded")
AUDIBLE = 10 ** (-12 / 20)  # a sound counts as audible down to 12 dB below the rest
PEDALLED = 0.6  # the probability that a piece without a pedal is given one, as pianists do; the touch may not use it
ACCOMPANIED = (-30.0, 3.0)  # dB(A) of an accompanying instrument above the piano
MIDDLE_C = 60  # a bass plays below it


@dataclass(frozen=True)
class Excerpt:
    """Samples (float32, 16 kHz, mono), the second of the music where they begin, its name, and the seconds to keep."""

    samples: np.ndarray
    second: float
    music: str
    keep: np.ndarray | None = None


@dataclass(frozen=True)
class Piece:
    """A MIDI file, or one entry of a WAD archive."""

    path: str
    entry: str = ""

    @property
    def name(self):
        return "/".join(filter(None, (Path(self.path).stem, self.entry)))

    def score(self):
        return _score(self.path, self.entry)


@lru_cache(maxsize=256)
def _score(path, entry):
    return read_midi(midi_in_wad(path)[entry] if entry else path)


@dataclass(frozen=True)
class Recorded:
    """A sound file. It is decoded once, to a 16-bit array on disk; excerpts are windows of that array.

    `spans`: pairs of seconds; if there are any, excerpts lie within one of them, and may be shorter than asked for.
    """

    path: str
    spans: tuple = ()

    def samples(self):
        return decoded(self.path)

    def excerpt(self, rng, seconds):
        samples = self.samples()
        first, last = 0, len(samples)
        if self.spans:
            lengths = np.array([end - begin for begin, end in self.spans])
            span = self.spans[rng.choice(len(lengths), p=lengths / lengths.sum())]
            first, last = (int(second * RATE) for second in span)
        n = min(int(seconds * RATE), last - first)
        start = int(rng.integers(first, last - n + 1))
        window = samples[start : start + n].astype(np.float32) / 32768
        return Excerpt(window, start / RATE, files.as_text(Path(self.path).stem))


@dataclass(frozen=True)
class Scattered:
    """Short files (words, drums, effects) one after another, with random pauses between them."""

    paths: tuple

    def excerpt(self, rng, seconds):
        n, first = int(seconds * RATE), int(rng.integers(len(self.paths)))
        out, at, pause, pick = np.zeros(n, np.float32), int(rng.integers(RATE // 4)), rng.uniform(0.02, 0.5), first
        while at < n:
            window = Recorded(self.paths[pick]).excerpt(rng, 4.0).samples[: n - at]
            out[at : at + len(window)] += window / max(np.abs(window).max(initial=0), 1e-3) * rng.uniform(0.3, 1)
            at += max(int((len(window) / RATE * rng.uniform(0.7, 1) + rng.uniform(0, 2 * pause)) * RATE), RATE // 10)
            pick = int(rng.integers(len(self.paths)))
        return Excerpt(out, 0.0, Path(self.paths[first]).stem)


@lru_cache(maxsize=512)
def decoded(path):
    """The samples of a sound file as an int16 array, mapped where it can be from a file that is made the first time."""
    stat = os.stat(path)
    version = f"{os.path.abspath(path)} {stat.st_size} {stat.st_mtime_ns}".encode("utf-8", "surrogateescape")
    target = DECODED / f"{hashlib.sha256(version).hexdigest()[:24]}.npy"
    if not target.exists():
        samples = np.clip(np.rint(audio.load(path) * 32767), -32768, 32767).astype(np.int16)
        try:
            files.write_array(target, samples)
        except OSError:  # a disk that is full, or may not be written
            return samples
    return np.load(target, mmap_mode="r")


@dataclass(frozen=True)
class Solo:
    """One instrument (a FontPlayer or a SamplePlayer) playing a piece, or an improvisation if there is no piece.

    `melody`: only its highest voice, for instruments that play one note at a time. `style`: that of the improvisation.
    `manner`: "soft" is soft and slow, "student" is a beginner with one hand.
    """

    player: object
    piece: Piece | None = None
    melody: bool = False
    style: str | None = None
    manner: str = ""

    def excerpt(self, rng, seconds):
        score, start, touch, music = _performance(rng, seconds, self.piece, self.style)
        score = score.transposed(int(rng.integers(-6, 7)), *RANGE)
        if self.melody:  # its notes do not ring on into the next
            score, touch = score.where(outermost(score.notes)), replace(touch, pedal=False)
        if self.manner == "soft":
            quiet = {"loudness": float(rng.uniform(0.1, 0.35)), "tempo": float(rng.uniform(0.45, 0.85))}
            touch = replace(touch, **quiet)
            start = min(start, max(score.seconds / touch.tempo - seconds, 0))
        if self.manner == "student":
            first = start * touch.tempo
            notes = score.notes
            window = (notes["start"] >= first) & (notes["start"] < first + seconds * touch.tempo)
            score = as_student(score.where(window), rng)
        return Excerpt(self.player.render(score, start, seconds, touch), start * touch.tempo, music)


def _performance(rng, seconds, piece, style=None):
    """A score, the start of a window in it, a touch, and the name of the music."""
    touch = Touch.random(rng)
    if piece is None:
        seed = int(rng.integers(2**31))
        return improvise(np.random.default_rng(seed), seconds * touch.tempo, style), 0.0, touch, f"improvised-{seed}"
    score = piece.score()
    if not len(score.pedal) and rng.random() < PEDALLED:
        score = score.pedalled(rng.uniform(0.6, 2.4))
    start = rng.uniform(0, max(score.seconds / touch.tempo - seconds, 0))
    return score, start, touch, piece.name


@dataclass(frozen=True)
class Duo:
    """A piano and another instrument, which takes or doubles the highest voice of a piece; a bass takes the lowest."""

    piano: object
    other: object
    piece: Piece | None = None
    bass: bool = False

    def excerpt(self, rng, seconds):
        score, start, touch, music = _performance(rng, seconds, self.piece)
        score = score.transposed(int(rng.integers(-5, 6)), *RANGE)
        part = outermost(score.notes, lowest=self.bass)
        if self.bass:
            part &= score.notes["pitch"] < MIDDLE_C
        accompaniment = score.where(~part) if rng.random() < 0.6 else score
        piano = self.piano.render(accompaniment, start, seconds, touch)
        other = self.other.render(score.where(part), start, seconds, replace(touch, pedal=False))
        return _mixed(rng, Excerpt(piano, start * touch.tempo, music), other, (-6, 9))


@dataclass(frozen=True)
class Accompanied:
    """A piano that plays a piece, and another instrument, often soft, that plays a part of it.

    `part` is "bass", "chords" or "melody", as in `scores.accompaniment`, or "brushes", for which there is no `other`.
    """

    piano: object
    other: object
    part: str
    piece: Piece | None = None

    def excerpt(self, rng, seconds):
        piano, other, music, second = self.parts(rng, seconds)
        return at_ratio(Excerpt(piano, second, music), other, rng.uniform(*ACCOMPANIED))

    def parts(self, rng, seconds):
        """The piano and the other apart, float32 samples, the name of the music and the second where it begins."""
        score, start, touch, music = _performance(rng, seconds, self.piece)
        score = score.transposed(int(rng.integers(-5, 6)), *RANGE)
        piano = self.piano.render(score, start, seconds, touch)
        if self.part == "brushes":
            other = noises.brushes(rng, len(piano))
        else:
            first, last = start * touch.tempo - 8, (start + seconds) * touch.tempo
            near = score.where((score.notes["end"] > first) & (score.notes["start"] < last))
            part = replace(touch, pedal=False, loudness=float(rng.uniform(0.4, 1.0)))
            other = self.other.render(accompaniment(near, self.part), start, seconds, part)
        return piano, other, music, start * touch.tempo


def at_ratio(piano, other, decibels):
    """An Excerpt of a piano with another sound so many dB(A) louder; it counts where the other is heard."""
    if not other.any() or not piano.samples.any():
        return replace(piano, keep=np.zeros(len(piano.samples) // RATE, bool))
    gain = np.float32(10 ** ((a_level(piano.samples) - a_level(other) + decibels) / 20))
    return replace(piano, samples=piano.samples + gain * other, keep=heard(gain * other, piano.samples))


@dataclass(frozen=True)
class Loop:
    """Slices of another sound, cut on a beat and repeated: chopped, backwards, filtered, at another speed."""

    sound: object

    def excerpt(self, rng, seconds):
        source = self.sound.excerpt(rng, seconds)
        samples, beat = source.samples, int(rng.uniform(0.18, 0.6) * RATE)
        slices = [self._slice(samples, beat * int(rng.choice([1, 1, 2, 4])), rng) for _ in range(rng.integers(1, 5))]
        bar = np.concatenate([slices[rng.integers(len(slices))] for _ in range(rng.integers(2, 7))])
        out = np.resize(bar, int(seconds * RATE)).astype(np.float32)
        if rng.random() < 0.4:
            out = sosfilt(butter(2, rng.uniform(1500, 6000), fs=RATE, output="sos"), out).astype(np.float32)
        return replace(source, samples=out)

    @staticmethod
    def _slice(samples, n, rng):
        """`n` samples from a random place, where the sound is loud, with soft edges; some backwards or cut short."""
        starts = rng.integers(0, max(len(samples) - n, 1), 4)
        part = max((samples[start : start + n] for start in starts), key=audio.rms)
        part = np.pad(part, (0, n - len(part)))
        if rng.random() < 0.3:
            part = part[::-1]
        if rng.random() < 0.3:
            part = np.where(np.arange(n) < rng.uniform(0.3, 0.8) * n, part, 0)
        edge = np.minimum(np.arange(n), np.arange(n)[::-1]) / (0.004 * RATE)
        return part * np.clip(edge, 0, 1)


@dataclass(frozen=True)
class Drums:
    """The drums of a piece, alone."""

    font: str
    piece: Piece

    def excerpt(self, rng, seconds):
        touch = replace(Touch.random(rng), loudness=1.0)
        score = self.piece.score()
        score = score.where(score.notes["drum"])
        start = rng.uniform(0, max(score.seconds / touch.tempo - seconds, 0))
        return Excerpt(render(score, self.font, start, seconds, touch), start * touch.tempo, self.piece.name)


@dataclass(frozen=True)
class Band:
    """A piece as it was written, all its instruments; seconds where pianos alone are heard do not count."""

    font: str
    piece: Piece

    def excerpt(self, rng, seconds):
        touch = replace(Touch.random(rng), pedal=True)
        score = self.piece.score()
        start = rng.uniform(0, max(score.seconds / touch.tempo - seconds, 0))
        piano = np.isin(score.notes["program"], PIANOS) & ~score.notes["drum"]
        others = render(score.where(~piano), self.font, start, seconds, replace(touch, pedal=False))
        pianos = render(score.where(piano), self.font, start, seconds, touch) if piano.any() else np.zeros_like(others)
        return Excerpt(others + pianos, start * touch.tempo, self.piece.name, _audible(others, pianos))


@dataclass(frozen=True)
class Together:
    """A piano, and any other sound at the same time: speech, singing, applause, a record playing."""

    piano: object
    other: object

    def excerpt(self, rng, seconds):
        piano, other = self.piano.excerpt(rng, seconds), self.other.excerpt(rng, seconds)
        return _mixed(rng, piano, other.samples, (-8, 10))


@dataclass(frozen=True)
class Noise:
    """One of the kinds of pipeline.corpus.noises."""

    kind: str

    def excerpt(self, rng, seconds):
        seed = int(rng.integers(2**31))
        samples = noises.KINDS[self.kind](np.random.default_rng(seed), int(seconds * RATE))
        return Excerpt(samples, 0.0, f"{self.kind}-{seed}")


def _mixed(rng, piano, other, decibels):
    """Piano and other at a random balance (decibels of the other above the piano); kept where the other is audible."""
    n = min(len(piano.samples), len(other))
    first, second = piano.samples[:n], other[:n]
    gain = audio.rms(first) / max(audio.rms(second), 1e-6) * 10 ** (rng.uniform(*decibels) / 20)
    second = second * np.float32(gain)
    return replace(piano, samples=first + second, keep=_audible(second, first))


def _audible(wanted, rest):
    """Whether the wanted sound is audible in each second: there, and not masked by the rest. A bool array."""
    n = min(len(wanted), len(rest)) // RATE * RATE
    a, b = (np.array([audio.rms(second) for second in sound[:n].reshape(-1, RATE)]) for sound in (wanted, rest))
    return (a > 1e-4) & (a >= AUDIBLE * b)
