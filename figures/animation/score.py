"""The passage that the piano plays: Beethoven, "Für Elise" (WoO 59), bars 1 to 4.

Bar 5 is bar 1 again in the score itself, so bar 4 leads back to the beginning and the loop needs no seam.
Bars are written as six sixteenths a hand; the notes come out as a list with times in frames.
"""

from dataclasses import dataclass

FPS = 24
FRAMES_PER_SIXTEENTH = 6  # 120 eighths a minute: "poco moto"

# One bar a line: right hand, left hand, loudness 1-9 of each sixteenth. "-" holds the note before, "." is silence.
BARS = (
    ("E5 D#5 E5 B4 D5 C5", ".  .  .   . . .", "6 4 6 5 6 6"),
    ("A4 -   .  C4 E4 A4", "A2 E3 A3  . . .", "8 4 5 4 5 6"),
    ("B4 -   .  E4 G#4 B4", "E2 E3 G#3 . . .", "8 4 5 4 6 7"),
    ("C5 -   .  E4 E5 D#5", "A2 E3 A3  . . .", "9 5 5 4 6 4"),
)
SIXTEENTHS = 6 * len(BARS)
FRAMES = SIXTEENTHS * FRAMES_PER_SIXTEENTH

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True)
class Note:
    """A key (MIDI number) struck at the frame `start`, let go `length` frames later, with a velocity in 0..1."""

    key: int
    start: int
    length: int
    velocity: float
    hand: str


def midi_number(name: str) -> int:
    """The MIDI number of a name such as "A4" (69) or "G#3" (56)."""
    return 12 * (int(name[-1]) + 1) + SEMITONES[name[0]] + name.count("#")


def read_hand(hand: str, bars: list[str], loudness: list[str]) -> list[Note]:
    """The notes of one hand, from bars of six sixteenths each."""
    symbols = " ".join(bars).split()
    levels = " ".join(loudness).split()
    notes = []
    for i, symbol in enumerate(symbols):
        if symbol in ".-":
            continue
        held = 1
        while i + held < len(symbols) and symbols[i + held] == "-":
            held += 1
        notes.append(
            Note(midi_number(symbol), i * FRAMES_PER_SIXTEENTH, held * FRAMES_PER_SIXTEENTH, int(levels[i]) / 9, hand)
        )
    return notes


def read_score() -> list[Note]:
    """All notes of the passage, in the order of their start."""
    right, left, loudness = zip(*BARS)
    return sorted(
        read_hand("right", right, loudness) + read_hand("left", left, loudness), key=lambda note: (note.start, note.key)
    )


NOTES = read_score()
