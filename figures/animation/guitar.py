"""An acoustic guitar on its stand, with strings that swing when they are strummed."""

import itertools
from math import radians

from . import materials, rhythm, shapes, studio

BODY = [
    (0.0, 0.0),
    (0.10, 0.008),
    (0.168, 0.06),
    (0.186, 0.13),
    (0.165, 0.20),
    (0.122, 0.265),
    (0.118, 0.31),
    (0.140, 0.375),
    (0.132, 0.435),
    (0.085, 0.475),
    (0.0, 0.485),
]
NECK_START, NUT = 0.47, 0.86
BRIDGE, HOLE = 0.115, 0.305


def build(location, turn):
    """The guitar stands at a place, leaning back, turned about the vertical; its front looks to -y."""
    base = shapes.empty("guitar stand", location, (0, 0, turn))
    stand(base)
    guitar = shapes.empty("guitar", (0, 0, 0.13), (radians(90 - 12), 0, 0), parent=base)
    body(guitar)
    neck(guitar)
    strings(guitar)
    studio.animate(
        guitar, "rotation_euler.y", rhythm.FRAMES, lambda at: radians(1.3) * rhythm.swing("strum", at, 14, 9)
    )


def outline():
    right = shapes.rounded(BODY, 5, closed=False)
    return right + [(-x, y) for x, y in reversed(right[1:-1])]


def body(guitar):
    side = materials.surface("rosewood", (0.10, 0.025, 0.010), roughness=0.25, coat=1.0)
    top = materials.wood("spruce", (0.52, 0.22, 0.045), (0.75, 0.38, 0.10), scale=6, stretch=(14, 1, 1), coat=0.8)
    edge = materials.surface("binding", (0.75, 0.65, 0.45), roughness=0.4)
    dark = materials.matt_black()
    shape = outline()
    shapes.prism("guitar sides", shape, -0.100, -0.004, side, bevel=0.006, parent=guitar)
    shapes.wall("guitar binding", shape, shapes.inset(shape, 0.005), -0.004, 0.001, edge, parent=guitar)
    shapes.prism("guitar top", shapes.inset(shape, 0.005), -0.004, 0.0005, top, parent=guitar)
    shapes.turned("sound hole", shapes.disc_profile(0.048, 0.0, 0.0012), dark, parent=guitar, location=(0, HOLE, 0))
    for inner, outer, material in ((0.049, 0.053, edge), (0.053, 0.058, side), (0.058, 0.060, edge)):
        shapes.turned("rosette", [(inner, 0.0014), (outer, 0.0014)], material, parent=guitar, location=(0, HOLE, 0))
    shapes.box("bridge", (-0.085, BRIDGE - 0.016, 0), (0.085, BRIDGE + 0.016, 0.010), side, bevel=0.004, parent=guitar)
    shapes.box("saddle", (-0.040, BRIDGE - 0.002, 0.010), (0.040, BRIDGE + 0.002, 0.013), edge, parent=guitar)
    guard = shapes.rounded([(0.035, 0.265), (0.075, 0.19), (0.115, 0.20), (0.105, 0.27), (0.062, 0.315)], 5)
    tortoise = materials.surface("tortoise", (0.06, 0.015, 0.008), 0.15, coat=1.0)
    shapes.prism("pick guard", guard, 0.0006, 0.0016, tortoise, parent=guitar)


def neck(guitar):
    wood = materials.surface("mahogany", (0.20, 0.07, 0.03), roughness=0.35, coat=0.5)
    ebony = materials.surface("ebony", (0.03, 0.018, 0.012), roughness=0.35)
    chrome, pearl = materials.chrome(), materials.surface("pearl", (0.8, 0.8, 0.75), 0.3)
    shapes.box(
        "neck", (-0.026, NECK_START - 0.02, -0.022), (0.026, NUT + 0.01, 0.004), wood, bevel=0.008, parent=guitar
    )
    shapes.box("fingerboard", (-0.028, HOLE + 0.052, 0.002), (0.028, NUT, 0.009), ebony, bevel=0.001, parent=guitar)
    scale = NUT - BRIDGE
    for fret in range(1, 19):
        y = NUT - scale * (1 - 2 ** (-fret / 12))
        shapes.box("fret", (-0.027, y - 0.001, 0.009), (0.027, y + 0.001, 0.0105), chrome, parent=guitar)
        if fret in (3, 5, 7, 9, 12):
            y += 0.5 * scale * (2 ** (-(fret - 1) / 12) - 2 ** (-fret / 12))
            shapes.turned(
                "inlay",
                shapes.disc_profile(0.004, 0.009, 0.0096),
                pearl,
                segments=12,
                parent=guitar,
                location=(0, y, 0),
            )
    shapes.box("nut", (-0.027, NUT, 0.002), (0.027, NUT + 0.006, 0.012), pearl, parent=guitar)
    head = [
        (-0.027, NUT),
        (0.027, NUT),
        (0.040, NUT + 0.04),
        (0.036, NUT + 0.16),
        (0.0, NUT + 0.175),
        (-0.036, NUT + 0.16),
        (-0.040, NUT + 0.04),
    ]
    shapes.prism("head", head, -0.016, 0.001, wood, bevel=0.003, parent=guitar)
    for i in range(3):
        for side in (-1, 1):
            y = NUT + 0.045 + 0.045 * i
            shapes.turned(
                "post",
                shapes.disc_profile(0.004, 0.0, 0.014),
                chrome,
                segments=10,
                parent=guitar,
                location=(side * 0.020, y, 0),
            )
            shapes.rod(
                "tuner",
                (side * 0.036, y, -0.008),
                (side * 0.062, y, -0.008),
                0.004,
                chrome,
                end_radius=0.008,
                parent=guitar,
            )


def strings(guitar):
    """Six strings; a strum reaches one after the other, and each swings as an arc between saddle and nut."""
    for number in range(6):
        x = -0.022 + 0.0088 * number
        material = materials.copper() if number < 3 else materials.steel()
        string = bow_string(f"guitar string {number}", x, 0.0013 - 0.00012 * number, material, guitar)

        def scale(at, number=number):
            return 1 + 240 * 0.030 * rhythm.swing("strum", at - 0.4 * number, 2.6, 6.0), 1, 1

        studio.animate(string, "scale", rhythm.FRAMES, scale)


def bow_string(name, x, radius, material, guitar):
    """A string bent by a hair's breadth to one side, so that stretching it along its own x makes it swing."""
    bend = 0.0006
    middle, half = (BRIDGE + NUT) / 2, (NUT - BRIDGE) / 2

    def fill(solid):
        rings = []
        for i in range(13):
            t = -1 + i / 6
            across = bend * (1 - t * t)
            rings.append(
                [
                    solid.verts.new((across + dx * radius, t * half, dz * radius))
                    for dx, dz in ((1, 0), (0.5, 0.87), (-0.5, 0.87), (-1, 0), (-0.5, -0.87), (0.5, -0.87))
                ]
            )
        for a, b in itertools.pairwise(rings):
            for i in range(6):
                solid.faces.new((a[i], a[(i + 1) % 6], b[(i + 1) % 6], b[i]))

    return shapes.add_object(name, shapes.mesh_of(name, fill), material, location=(x, middle, 0.0135), parent=guitar)


def stand(base):
    black = materials.satin_black()
    shapes.rod("guitar rest", (-0.13, -0.10, 0.115), (0.13, -0.10, 0.115), 0.010, black, parent=base)
    for side in (-1, 1):
        shapes.rod("guitar stand leg", (side * 0.04, 0.12, 0.42), (side * 0.20, -0.13, 0.0), 0.010, black, parent=base)
        shapes.rod(
            "guitar stand arm", (side * 0.13, -0.11, 0.115), (side * 0.13, -0.13, 0.15), 0.010, black, parent=base
        )
    shapes.rod("guitar stand back leg", (0, 0.12, 0.42), (0, 0.34, 0.0), 0.010, black, parent=base)
