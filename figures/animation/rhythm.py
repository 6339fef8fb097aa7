"""The rhythm of the band: two bars of a rock beat and one with a fill, and the curves that everything moves by.

Times are frames of a loop of `FRAMES`; every curve is periodic in it.
"""

from math import cos, exp, pi, sin

FRAMES_PER_STEP = 3  # a sixteenth; a quarter is 12 frames: 120 beats a minute at 24 frames a second
STEPS_PER_BAR = 16
BAR = STEPS_PER_BAR * FRAMES_PER_STEP

# One line an instrument, one string a bar, one character a sixteenth: "X" a loud hit, "x" a soft one.
PATTERN = {
    "ride": ("X...............", "................", "................"),
    "crash": ("................", "X...............", "................"),
    "hihat": ("....x.x.x.x.x.x.", "..x.x.x.x.x.x.x.", "X.x.x.x........."),
    "snare": ("....X.......X...", "....X.......X..x", "....X...xx......"),
    "tom 1": ("................", "................", "..........Xx...."),
    "tom 2": ("................", "................", "............Xx.."),
    "floor": ("................", "................", "..............X."),
    "kick": ("X.....X.X.......", "X.....X.X.X.....", "X.....X.X...X..."),
    "bass": ("X...x...X.x.X...", "X...x...X.x.X...", "X...x...X.x.X.x."),
    "strum": ("X...x.x.X..x..x.", "X...x.x.X..x..x.", "X...x.x.X......."),
}
BARS = len(PATTERN["kick"])
FRAMES = BARS * BAR
LOUDNESS = {"X": 1.0, "x": 0.55}

# Which hand plays what: the left one the snare and the first tom, the right one the rest.
LEFT_HAND = ("snare", "tom 1")
RIGHT_HAND = ("ride", "crash", "hihat", "tom 2", "floor")


def hits(instrument: str) -> list[tuple[int, float]]:
    """The hits of an instrument as (frame, loudness)."""
    steps = "".join(PATTERN[instrument])
    return [(i * FRAMES_PER_STEP, LOUDNESS[mark]) for i, mark in enumerate(steps) if mark != "."]


def hand_hits(instruments) -> list[tuple[int, float, str]]:
    """All hits of one hand in order, as (frame, loudness, instrument)."""
    return sorted((frame, loud, name) for name in instruments for frame, loud in hits(name))


def since(frame: float, hit: int) -> float:
    """Frames since a hit, going round the loop."""
    return (frame - hit) % FRAMES


def pulse(instrument: str, frame: float, fade: float = 5.0) -> float:
    """1 at a loud hit, then dying away to half in about `fade` * 0.7 frames."""
    return max(loud * exp(-since(frame, hit) / fade) for hit, loud in hits(instrument))


def swing(instrument: str, frame: float, period: float, fade: float) -> float:
    """A swing that starts at each hit and dies away, -1..1: a cymbal, a string, the skin of a drum."""
    total = 0.0
    for hit, loud in hits(instrument):
        age = since(frame, hit)
        total += loud * sin(2 * pi * age / period) * exp(-age / fade)
    return max(-1.0, min(1.0, total))


def level(band: int, bands: int, frame: float) -> float:
    """The height 0..1 of one bar of the equalizer: kick and bass at the left, cymbals at the right, never at rest."""
    place = band / (bands - 1)
    low = max(0.0, 1 - 2.6 * place) * max(pulse("kick", frame, 7), 0.8 * pulse("bass", frame, 9))
    middle = max(0.0, 1 - 2.8 * abs(place - 0.5)) * max(pulse("snare", frame, 6), 0.75 * pulse("strum", frame, 9))
    high = max(0.0, 2.6 * place - 1.6) * max(
        pulse("crash", frame, 16), pulse("ride", frame, 16), 0.8 * pulse("hihat", frame, 4)
    )
    wave = 0.5 + 0.5 * cos(2 * pi * (3 * place * 1.7 + (2 + band % 3) * frame / FRAMES * 2) + 2.4 * band)
    return 0.08 + 0.22 * wave + 0.70 * min(1.0, low + middle + high) * (0.72 + 0.28 * wave)


def stick_tip(instruments, places: dict, frame: float) -> tuple[float, float, float]:
    """Where the tip of a stick is: on its drum at each hit, and in an arc above between two hits.

    `places` gives the point of each instrument that is struck; the arc is higher the longer the way takes.
    """
    path = hand_hits(instruments)
    last = max((i for i, hit in enumerate(path) if hit[0] <= frame % FRAMES), default=len(path) - 1)
    here, there = path[last], path[(last + 1) % len(path)]
    gap = (there[0] - here[0]) % FRAMES or FRAMES
    t = since(frame, here[0]) / gap
    way = t * t * (3 - 2 * t)
    x, y, z = (a + (b - a) * way for a, b in zip(places[here[2]], places[there[2]]))
    # Up at once with the rebound, resting high, down late: as a drummer's wrist does.
    lift = sin(pi * t) ** 0.7 * min(0.34, 0.035 * gap) * (0.7 + 0.3 * there[1])
    return x, y - 0.2 * lift, z + lift
