"""The scene "Other": a drum kit, a guitar, a microphone and loudspeakers move to the rhythm of `rhythm`."""

from math import pi, radians, sin

from . import drums, guitar, materials, rhythm, shapes, speakers, studio

FRAMES = rhythm.FRAMES


def build():
    """Build the scene in an empty Blender; returns the number of frames of its loop."""
    studio.clear(FRAMES)
    studio.backdrop((0.020, 0.018, 0.028), (0.11, 0.06, 0.13), 6)
    studio.world((0.16, 0.17, 0.28), 0.30)
    drums.build()
    guitar.build((1.02, -0.66, 0), radians(-14))
    speakers.tower((-1.52, 0.25, 0), radians(20))
    speakers.tower((1.52, 0.25, 0), radians(-20))
    speakers.equalizer((0, 1.78), 2.75, radians(50))
    microphone((-1.04, -0.50, 0))
    tubes()
    lights()
    studio.camera((0.22, -4.35, 1.72), (0.0, 0.0, 0.585), 45)
    return FRAMES


def lights():
    studio.light("softbox", (0, -0.6, 4.0), (0, 0, 0.4), (3.4, 1.8), 130, (1.0, 0.95, 0.90))
    studio.light("key light", (-3.0, -2.6, 3.2), (0, 0, 0.6), (1.4, 1.4), 170, (1.0, 0.86, 0.70))
    studio.light("blue rim", (-3.2, 2.6, 2.4), (0, 0, 0.7), (0.8, 2.2), 110, (0.35, 0.55, 1.0))
    studio.light("pink rim", (3.2, 2.6, 2.4), (0, 0, 0.7), (0.8, 2.2), 120, (1.0, 0.35, 0.65))
    beat = studio.light("backdrop light", (0, 3.6, 0.3), (0, 6, 1.6), (5, 0.6), 300, (0.80, 0.40, 0.85))
    studio.animate(
        beat.data, "energy", FRAMES, lambda at: 190 + 150 * (rhythm.pulse("kick", at, 6) + rhythm.pulse("snare", at, 6))
    )
    studio.card("front card", (0.0, -6.0, 1.8), (0, 0, 0.6), (8.0, 3.6), (0.75, 0.82, 1.0), 3.0)
    studio.card("top card", (0, 4.5, 4.5), (0, 0, 1.0), (6.0, 3.5), (1.0, 0.85, 0.65), 2.5)
    studio.card("left card", (-5.0, -0.5, 2.0), (0, 0, 0.6), (4.0, 4.0), (1.0, 0.70, 0.5), 2.5)


def tubes():
    """Tubes of light behind the band, each flaring with one instrument."""
    sources = ("kick", "snare", "hihat", "bass")
    for number in range(8):
        x, source = -2.45 + 0.70 * number, sources[min(number, 7 - number)]
        tube = shapes.rod(f"tube {number}", (x, 2.3, 0.02), (x, 2.3, 2.6), 0.018, materials.lit("tube"))
        tint = [a + (b - a) * number / 7 for a, b in zip((0.03, 0.35, 1.0), (1.0, 0.10, 0.45))]

        def color(at, tint=tint, source=source):
            return *tint, 0.20 + 0.80 * rhythm.pulse(source, at, 6)

        studio.animate(tube, "color", FRAMES, color)


def microphone(place):
    """A microphone on a stand that nods with the snare."""
    chrome, black = materials.chrome(), materials.satin_black()
    foot = shapes.empty("microphone", place)
    shapes.turned(
        "mic foot", [(0, 0), (0.13, 0), (0.13, 0.012), (0.03, 0.03), (0, 0.03)], black, bevel=0.003, parent=foot
    )
    shapes.rod("mic stand", (0, 0, 0.02), (0, 0, 0.98), 0.010, chrome, parent=foot)
    head = shapes.empty("mic head", (0, 0, 0.98), (radians(-62), 0, radians(35)), parent=foot)
    shapes.turned(
        "mic body",
        [(0, -0.07), (0.014, -0.07), (0.022, 0.08), (0.027, 0.085), (0.027, 0.095), (0, 0.095)],
        black,
        parent=head,
    )
    grille = [(0.036 * sin(pi * i / 12), 0.118 - 0.036 * (1 - i / 6)) for i in range(13)]
    shapes.turned("mic grille", [(0, grille[0][1]), *grille[1:-1], (0, grille[-1][1])], materials.steel(), parent=head)
    studio.animate(head, "rotation_euler.x", FRAMES, lambda at: radians(-62 + 3 * rhythm.swing("snare", at, 8, 7)))
