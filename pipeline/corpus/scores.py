"""Scores: what is played, as an array of notes and the moves of the pedal, apart from the instrument that plays it.

They are read from MIDI files, found inside game archives, or improvised from a random generator.
"""

import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.errors import SourceError

PIANOS = (0, 1, 2, 3)  # General MIDI programs that a listener may call a piano
RANGE = (24, 103)  # the lowest and highest pitch of what is transposed or improvised
NOTE = np.dtype([("start", "f8"), ("end", "f8"), ("pitch", "i2"), ("velocity", "i2"), ("program", "i2"), ("drum", "?")])


@dataclass(frozen=True)
class Score:
    """Notes sorted by their start in seconds (dtype `NOTE`), and pedal moves, an array (n, 2) of (second, down)."""

    notes: np.ndarray
    pedal: np.ndarray

    @property
    def seconds(self):
        return float(self.notes["end"].max(initial=0.0))

    def where(self, keep):
        """The same score with only the notes that the mask keeps."""
        return replace(self, notes=self.notes[keep])

    def transposed(self, semitones, lowest, highest):
        """The same score, higher or lower; a note that would leave the range comes back by octaves."""
        notes = self.notes.copy()
        pitch = notes["pitch"] + np.where(notes["drum"], 0, semitones)
        pitch = np.where(pitch > highest, highest - 11 + (pitch - highest - 1) % 12, pitch)
        pitch = np.where(pitch < lowest, lowest + 11 - (lowest - 1 - pitch) % 12, pitch)
        notes["pitch"] = np.where(notes["drum"], notes["pitch"], pitch)
        return replace(self, notes=notes)

    def pedalled(self, period):
        """The same score with the pedal down, but for a moment every `period` seconds."""
        moves = np.arange(0, self.seconds, period)
        pedal = np.stack([np.repeat(moves, 2) + np.tile([0, 0.06], len(moves)), np.tile([0.0, 1.0], len(moves))], 1)
        return replace(self, pedal=pedal)

    def sustained(self):
        """The same score without a pedal: notes released while it is down end when it goes up."""
        if not len(self.pedal):
            return self
        notes = self.notes.copy()
        last = np.searchsorted(self.pedal[:, 0], notes["end"], "right") - 1  # the last move before each release
        down = (last >= 0) & (self.pedal[np.maximum(last, 0), 1] > 0)
        up = np.append(self.pedal[1:, 0], self.seconds)[np.maximum(last, 0)]
        notes["end"] = np.where(down, np.maximum(up, notes["end"]), notes["end"])
        return Score(notes, np.empty((0, 2)))

    def for_program(self, program):
        """The pitched notes, all for one General MIDI program."""
        notes = self.notes[~self.notes["drum"]].copy()
        notes["program"] = program
        return replace(self, notes=notes)


def outermost(notes, lowest=False):
    """Mask of the notes that sound above all others, or below them, at the moment they begin."""
    found = np.zeros(len(notes), bool)
    starts, ends, heights = notes["start"], notes["end"], notes["pitch"] * (-1 if lowest else 1)
    for i in range(len(notes)):  # only neighbours can sound together
        near = slice(max(i - 12, 0), i + 8)
        together = (starts[near] <= starts[i] + 0.04) & (ends[near] > starts[i] + 0.04)
        found[i] = heights[i] >= heights[near][together].max(initial=-128)
    return found


def as_student(score, rng):
    """The score as a beginner plays it: one hand alone, slower, with pauses, wrong notes and uneven loudness."""
    notes = score.notes[outermost(score.notes, lowest=rng.random() < 0.3)]
    slower, shift, played = rng.uniform(1.2, 2.4), 0.0, []
    begin = notes["start"][0] if len(notes) else 0.0
    for note in notes:
        shift += rng.uniform(0.4, 2.0) * (rng.random() < 0.12)
        at, length = begin + (note["start"] - begin) * slower + shift, min((note["end"] - note["start"]) * slower, 2.0)
        velocity = int(np.clip(note["velocity"] + rng.normal(0, 14), 15, 120))
        if rng.random() < 0.1:  # a wrong key, then the right one
            wrong = note["pitch"] + rng.choice([-2, -1, 1, 2])
            played.append((at, at + 0.4, wrong, velocity, note["program"], False))
            shift, at = shift + 0.5, at + 0.5
        played.append((at, at + length, note["pitch"], velocity, note["program"], False))
    return Score(np.array(played, NOTE), np.empty((0, 2)))


def accompaniment(score, part):
    """What another instrument plays under or over a score: its "bass", its "chords", held, or its "melody"."""
    notes = score.notes[~score.notes["drum"]]
    if part == "melody":
        return Score(notes[outermost(notes)], np.empty((0, 2)))
    first, last = (notes["start"][0], notes["start"][-1]) if len(notes) else (0.0, -1.0)
    step, played = (0.5 if part == "bass" else 2.0), []
    for at in np.arange(first, last + step, step):
        here = notes[(notes["start"] < at + step) & (notes["end"] > at)]
        if not len(here):
            continue
        if part == "bass":
            pitches = [28 + (int(here["pitch"].min()) - 28) % 12]
        else:
            pitches = sorted({52 + (int(pitch) - 52) % 12 for pitch in here["pitch"]})[:4]
        played += [(at, at + step * 0.98, pitch, 80, 0, False) for pitch in pitches]
    return Score(np.array(played, NOTE), np.empty((0, 2)))


def read_midi(path):
    """Read a MIDI file (path or bytes). Raises SourceError if it is damaged."""
    import pretty_midi

    try:
        with warnings.catch_warnings():  # tempo changes in odd places are common, and read all the same
            warnings.simplefilter("ignore", RuntimeWarning)
            midi = pretty_midi.PrettyMIDI(io.BytesIO(path) if isinstance(path, bytes) else str(path))
    except Exception as error:  # mido raises half a dozen types for damaged files
        name = "MIDI data" if isinstance(path, bytes) else Path(path).name
        raise SourceError("midi", f"{name} is not a MIDI file that can be read ({error}).") from error
    notes, pedal = [], []
    for instrument in midi.instruments:
        program, drums = instrument.program, instrument.is_drum
        notes += [(n.start, n.end, n.pitch, n.velocity, program, drums) for n in instrument.notes]
        pedal += [(c.time, c.value >= 64) for c in instrument.control_changes if c.number == 64 and not drums]
    notes = np.array(notes, NOTE)
    notes.sort(order=["start", "pitch"])
    pedal = np.array(sorted(pedal), float).reshape(-1, 2)
    if len(pedal):  # half-pedalling sends hundreds of moves; only changes matter
        pedal = pedal[np.r_[True, np.diff(pedal[:, 1]) != 0]]
    return Score(notes, pedal)


def midi_in_wad(path):
    """The MIDI files inside a WAD archive of the Doom family: a header, then a directory of (offset, size, name)."""
    data = Path(path).read_bytes()
    if data[:4] not in (b"IWAD", b"PWAD"):
        raise SourceError("midi", f"{Path(path).name} is not a WAD archive.")
    count, start = np.frombuffer(data, "<i4", 2, 4)
    found = {}
    for entry in range(count):
        offset, size = np.frombuffer(data, "<i4", 2, start + 16 * entry)
        if data[offset : offset + 4] == b"MThd":
            name = data[start + 16 * entry + 8 : start + 16 * entry + 16].split(b"\0")[0].decode("ascii", "replace")
            found[name] = data[offset : offset + size]
    return found


SCALES = np.array(  # major, minor, harmonic minor, pentatonic: semitones above the root
    [[0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10], [0, 2, 3, 5, 7, 8, 11], [0, 2, 4, 7, 9, 12, 14]]
)
STYLES = ("single", "melody", "chords", "arpeggio", "hands", "dense")  # "octaves" is played on demand


def improvise(rng, seconds, style=None):
    """A score of `seconds` of simple keyboard music in one of `STYLES`, which is drawn if it is not given.

    Sparse playing is as frequent as busy playing, over the whole keyboard. Performances are rarely so sparse or wide.
    """
    style = style or rng.choice(STYLES)
    scale = SCALES[rng.integers(4)]
    root, beat = rng.integers(36, 72), rng.uniform(0.16, 1.1)
    loud = rng.uniform(25, 115)
    lowest, highest = RANGE
    ladder = np.array([p for octave in range(-4, 5) for p in root + 12 * octave + scale if lowest <= p <= highest])
    place, time, notes = rng.integers(len(ladder)), rng.uniform(0, 0.3), []

    def on_ladder(place):
        return int(np.clip(place, 0, len(ladder) - 1))

    def strike(place, start, length, softer=0.0):
        velocity = int(np.clip(loud + rng.normal(0, 9) - softer, 8, 127))
        notes.append((start, start + length, int(ladder[on_ladder(place)]), velocity, 0, False))

    while time < seconds:
        step = beat * rng.choice([0.5, 1, 1, 1, 2])
        place = on_ladder(place + rng.integers(-3, 4))
        if style == "single":
            place, step = rng.integers(len(ladder)), rng.uniform(0.7, 4)
            strike(place, time, step * rng.uniform(0.3, 1))
        elif style in ("melody", "dense", "octaves"):
            strike(place, time, step * rng.uniform(0.5, 1.2))
        if style == "octaves":
            start, end, pitch, velocity, *_ = notes[-1]
            notes.append((start, end, pitch - 12 if pitch > 59 else pitch + 12, velocity, 0, False))
        if style in ("chords", "hands", "dense"):
            low = on_ladder(place - 7 * (style != "chords") - rng.integers(3))
            for k in range(rng.integers(2, 5)):
                strike(low + 2 * k, time + rng.uniform(0, 0.02), step, 6)
        if style in ("arpeggio", "hands"):
            count = rng.integers(3, 7)
            for k in range(count):
                strike(place + 2 * k - 4, time + step * k / count, step * rng.uniform(0.4, 1))
        time += step
    notes = np.array(notes, NOTE)
    notes.sort(order=["start", "pitch"])
    score = Score(notes, np.empty((0, 2)))
    return score.pedalled(beat * rng.integers(2, 6)) if rng.random() < 0.5 else score
