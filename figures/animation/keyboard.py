"""The 88 keys: where each lies, and how far each is pressed at every frame of the loop.

The scene moves its keys by `key_angle`, and the tests read the same function, so both tell one story.
Lengths are metres, angles radians; x grows to the treble, y away from the player, z upwards.
"""

from math import asin

from . import score

LOWEST, HIGHEST = 21, 108  # A0 and C8
WHITE_WIDTH = 0.0235
WHITE_LENGTH, BLACK_LENGTH = 0.150, 0.095
PIVOT = 0.240  # from the front edge of a white key to the pin it turns on
DIP = 0.013  # how deep a key's front edge goes: 3 mm more than life, to be seen from afar
FULL_ANGLE = asin(DIP / PIVOT)
RELEASE = 3.5  # frames a key takes to come back

BLACK = {1, 3, 6, 8, 10}
# Black keys do not sit right between their neighbours: outer ones of a group of two or three lean outwards.
LEAN = {1: -0.0030, 3: 0.0030, 6: -0.0035, 8: 0.0, 10: 0.0035}
WHITES = [key for key in range(LOWEST, HIGHEST + 1) if key % 12 not in BLACK]
KEYS = range(LOWEST, HIGHEST + 1)


def is_black(key: int) -> bool:
    return key % 12 in BLACK


def key_x(key: int) -> float:
    """The middle of a key, with the middle of the keyboard at 0."""
    if is_black(key):
        return (key_x(key - 1) + key_x(key + 1)) / 2 + LEAN[key % 12]
    return (WHITES.index(key) - (len(WHITES) - 1) / 2) * WHITE_WIDTH


def smooth(t: float) -> float:
    """0 before 0, 1 after 1, and a curve without a kink between."""
    t = min(1.0, max(0.0, t))
    return t * t * (3 - 2 * t)


def note_depth(note: score.Note, frame: float) -> float:
    """How far one note presses its key: 0 at rest, up to 1.

    A loud note goes down faster (1.2 frames, a soft one 3.2) and deeper than a soft one; the key reaches its depth
    at the note's start, where the hammer strikes.
    """
    attack = 3.2 - 2.0 * note.velocity
    depth = 0.80 + 0.20 * note.velocity
    age = (frame - note.start + attack) % score.FRAMES - attack
    if age < note.length:
        return depth * smooth(1 + age / attack)
    return depth * smooth(1 - (age - note.length) / RELEASE)


def key_depth(key: int, frame: float) -> float:
    """How far a key is pressed at a frame, 0..1; periodic in `score.FRAMES`."""
    return max((note_depth(note, frame) for note in score.NOTES if note.key == key), default=0.0)


def key_angle(key: int, frame: float) -> float:
    """The turn of a key about its pin; positive lowers the front edge."""
    return FULL_ANGLE * key_depth(key, frame)
