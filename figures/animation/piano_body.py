"""The body of the grand piano: rim, plate and strings, lid, desk, fallboard, legs and pedals.

It stands where `keyboard` has put the keys: their front edge at y = 0, the middle of the keyboard at x = 0.
"""

from math import cos, radians, sin

from . import materials, shapes

KEY_TOP = 0.73  # height of the white keys
SIDE = 0.76  # half the width of the body
RIM_TOP, RIM_BOTTOM = 0.985, 0.66
LID_ANGLE = radians(42)

# Seen from above, counter-clockwise from the front right: bentside, tail, straight bass side.
OUTLINE = [
    (SIDE, 0.215),
    (SIDE, 0.4),
    *shapes.rounded(
        [
            (SIDE, 0.52),
            (0.73, 0.74),
            (0.58, 0.96),
            (0.34, 1.16),
            (0.14, 1.42),
            (-0.02, 1.72),
            (-0.2, 1.93),
            (-0.44, 2.0),
            (-0.66, 1.9),
            (-SIDE, 1.68),
        ],
        steps=6,
        closed=False,
    ),
    (-SIDE, 1.0),
    (-SIDE, 0.4),
    (-SIDE, 0.215),
]


def build():
    """The whole body; returns the right pedal, which the scene moves."""
    case()
    inside()
    lid()
    fallboard()
    legs()
    return pedals()


def case():
    black = materials.lacquer()
    shapes.wall("rim", OUTLINE, shapes.inset(OUTLINE, 0.045), RIM_BOTTOM, RIM_TOP, black, bevel=0.006)
    shapes.box("keybed", (-0.755, -0.075, 0.585), (0.755, 0.40, 0.66), black, bevel=0.008)
    shapes.box("key slip", (-0.70, -0.060, 0.66), (0.70, -0.022, 0.712), black, bevel=0.005)
    profile = [
        (-0.075, 0.64),
        (0.42, 0.64),
        (0.42, RIM_TOP),
        (0.25, RIM_TOP),
        (0.17, 0.965),
        (0.10, 0.905),
        (0.04, 0.85),
        (-0.02, 0.825),
        (-0.06, 0.81),
        (-0.075, 0.785),
    ]
    for side in (-1, 1):
        # The outline (y, z) of an arm is raised along x: turned so that its own x is y, its own y is z.
        shapes.prism(
            "arm",
            profile,
            -0.033,
            0.033,
            black,
            bevel=0.008,
            location=(side * 0.727, 0, 0),
            rotation=(radians(90), 0, radians(90)),
        )
        edge = side * 0.6145
        low, high = sorted((edge, side * 0.70))
        shapes.box("cheek", (low, -0.040, 0.66), (high, 0.17, 0.748), black, bevel=0.006)
    shapes.box(
        "key felt", (-0.62, 0.1525, 0.72), (0.62, 0.162, KEY_TOP + 0.003), materials.felt("red", (0.45, 0.02, 0.03))
    )
    shapes.box("under the keys", (-0.62, -0.02, 0.66), (0.62, 0.20, 0.68), materials.matt_black())


def inside():
    """Soundboard, iron plate with its struts, pin block."""
    inner = shapes.inset(OUTLINE, 0.046)
    wood = materials.wood("soundboard", (0.42, 0.22, 0.08), (0.60, 0.36, 0.15), roughness=0.4)
    gold = materials.plate_gold()
    shapes.prism("soundboard", inner, 0.80, 0.815, wood)
    shapes.wall("plate", inner, shapes.inset(inner, 0.075), 0.815, 0.855, gold, bevel=0.006)
    shapes.box("pin block", (-0.71, 0.27, 0.82), (0.71, 0.50, 0.868), gold, bevel=0.006)
    shapes.box("pin felt", (-0.68, 0.485, 0.868), (0.68, 0.50, 0.876), materials.felt("red", (0.45, 0.02, 0.03)))
    for start, end in (((0.22, 0.49), (0.13, 1.32)), ((-0.12, 0.49), (-0.27, 1.86)), ((0.50, 0.49), (0.50, 0.93))):
        shapes.rod("strut", (*start, 0.872), (*end, 0.862), 0.013, gold)
    strings(inner)


def strings(inner):
    """Copper bass strings that cross over the steel ones, as in every grand since the 1860s."""
    steel, copper = materials.steel(), materials.copper()
    count = 54
    for i in range(count):
        x = -0.40 + 1.06 * i / (count - 1)
        far = 0.62 + 1.12 * (1 - i / (count - 1)) ** 1.5
        shapes.rod("string", (x, 0.45, 0.886), (x - 0.16 * (far - 0.4), far, 0.872), 0.0013, steel, segments=6)
    for i in range(18):
        x = -0.66 + 0.26 * i / 17
        shapes.rod("bass string", (x, 0.45, 0.902), (x + 0.20, 1.80 - 0.012 * i, 0.892), 0.0030, copper, segments=6)
    for i in range(88):
        x = -0.67 + 1.34 * i / 87
        shapes.rod(
            "tuning pin", (x, 0.31 + 0.03 * (i % 4), 0.86), (x, 0.31 + 0.03 * (i % 4), 0.895), 0.0035, steel, segments=6
        )


def lid():
    """The main lid, open on its hinge at the bass side, its front flap folded back on it, and the prop."""
    black = materials.lacquer()
    hinge = shapes.empty("hinge", (-SIDE - 0.005, 0, RIM_TOP + 0.012), (0, -LID_ANGLE, 0))
    outer = [(x + SIDE, y) for x, y in shapes.inset(OUTLINE, -0.014) if y > 0.5]
    front = [(2 * SIDE + 0.014, 0.47), *outer, (0, 0.47)]
    shapes.prism("lid", front, 0.0, 0.020, black, bevel=0.004, parent=hinge)
    shapes.box("front flap", (0.0, 0.475, 0.024), (2 * SIDE + 0.01, 0.80, 0.042), black, bevel=0.004, parent=hinge)
    reach = 1.30  # from the hinge to where the prop meets the lid
    top = (-SIDE + reach * cos(LID_ANGLE), 0.60, RIM_TOP + 0.012 + reach * sin(LID_ANGLE))
    shapes.rod("prop", (SIDE - 0.022, 0.62, RIM_TOP - 0.02), top, 0.009, black)
    shapes.rod(
        "prop foot",
        (SIDE - 0.022, 0.62, RIM_TOP - 0.03),
        (SIDE - 0.022, 0.62, RIM_TOP + 0.02),
        0.012,
        materials.brass(),
    )


def fallboard():
    """The board behind the keys, leaning back, with the name in brass."""
    black = materials.lacquer()
    profile = [(0.163, 0.728), (0.172, 0.726), (0.235, 0.90), (0.235, 0.915), (0.218, 0.915), (0.205, 0.895)]
    shapes.prism("fallboard", profile, -0.692, 0.692, black, bevel=0.003, rotation=(radians(90), 0, radians(90)))
    lean = radians(90 - 14.5)
    gilt = materials.surface("gilt", (0.85, 0.55, 0.20), 0.4, emission=0.35)
    shapes.text("name", "PIANO", 0.042, gilt, location=(0, 0.1815, 0.815), rotation=(lean, 0, 0))


def legs():
    black = materials.lacquer()
    for x, y in ((-0.64, 0.12), (0.64, 0.12), (-0.40, 1.72)):
        shapes.prism(
            "leg",
            [(-0.062, -0.062), (0.062, -0.062), (0.062, 0.062), (-0.062, 0.062)],
            0.50,
            0.60,
            black,
            bevel=0.006,
            location=(x, y, 0),
        )
        shapes.turned(
            "leg shaft",
            [(0, 0.10), (0.036, 0.10), (0.040, 0.14), (0.062, 0.50), (0, 0.50)],
            black,
            segments=4,
            location=(x, y, 0),
            rotation=(0, 0, radians(45)),
        )
        shapes.turned(
            "caster cup", [(0, 0.055), (0.028, 0.055), (0.040, 0.10), (0, 0.10)], materials.brass(), location=(x, y, 0)
        )
        shapes.turned(
            "caster",
            shapes.disc_profile(0.032, -0.014, 0.014),
            materials.brass(),
            location=(x, y, 0.032),
            rotation=(radians(90), 0, radians(30)),
        )


def pedals():
    """The lyre with its three pedals; each turns about a pin inside the box."""
    black, brass = materials.lacquer(), materials.brass()
    for x in (-0.07, 0.07):
        shapes.rod("lyre post", (x, 0.22, 0.14), (x, 0.22, 0.60), 0.016, black)
    shapes.box("lyre box", (-0.15, 0.15, 0.07), (0.15, 0.30, 0.15), black, bevel=0.008)
    for x in (-0.085, 0.0, 0.085):
        pedal = shapes.empty("pedal", (x, 0.20, 0.095))
        shapes.prism(
            "pedal lever",
            [
                (-0.008, 0),
                (-0.012, -0.10),
                (-0.024, -0.15),
                (-0.020, -0.185),
                (0, -0.195),
                (0.020, -0.185),
                (0.024, -0.15),
                (0.012, -0.10),
                (0.008, 0),
            ],
            -0.006,
            0.006,
            brass,
            bevel=0.003,
            parent=pedal,
        )
    return pedal
