"""The drum kit: kick, snare, three toms, three cymbals on their stands, and two sticks that play them."""

from math import cos, pi, radians, sin

from mathutils import Euler, Vector

from . import materials, rhythm, shapes, studio

# name: (centre of the top skin, radius, depth, tilt towards the camera)
DRUMS = {
    "snare": ((-0.46, -0.16, 0.64), 0.175, 0.14, 8),
    "tom 1": ((-0.20, -0.02, 0.90), 0.145, 0.19, 20),
    "tom 2": ((0.19, -0.02, 0.90), 0.160, 0.21, 20),
    "floor": ((0.56, -0.12, 0.60), 0.205, 0.36, 5),
}
CYMBALS = {
    "hihat": ((-0.86, -0.02, 0.86), 0.185),
    "crash": ((-0.54, 0.34, 1.26), 0.25),
    "ride": ((0.66, 0.34, 1.20), 0.285),
}
KICK, KICK_RADIUS, KICK_DEPTH = (0.0, -0.12, 0.325), 0.315, 0.42
HANDS = {"left": Vector((-0.36, 0.50, 1.45)), "right": Vector((0.06, 0.60, 1.48))}  # where the sticks point to
STICK_LENGTH = 0.41


def build():
    kick()
    for name, (top, radius, depth, tilt) in DRUMS.items():
        drum(name, top, radius, depth, radians(tilt))
    stands()
    for name, (place, radius) in CYMBALS.items():
        cymbal(name, place, radius)
    stick("left", rhythm.LEFT_HAND)
    stick("right", rhythm.RIGHT_HAND)


def shell():
    return materials.surface("red shell", (0.42, 0.008, 0.015), roughness=0.22, metallic=0.35, coat=1.0)


def drum(name, top, radius, depth, tilt):
    """A drum: shell, two chrome hoops, lugs, and a skin that swings where the stick hits."""
    frame = shapes.empty(f"{name} drum", top, (tilt, 0, 0))
    chrome = materials.chrome()
    shapes.turned("shell", [(radius, -depth), (radius, -0.004)], shell(), parent=frame)
    for z in (-depth, -0.012):
        hoop(radius, z, 0.022, chrome, frame)
    lugs(radius, -depth * 0.5, min(0.09, depth * 0.45), 8, chrome, frame)
    skin = shapes.turned(
        f"{name} skin", [(0, 0.003), (radius * 0.5, 0.002), (radius * 0.985, 0.0)], materials.drum_head(), parent=frame
    )
    studio.animate(skin, "scale", rhythm.FRAMES, lambda at: (1, 1, 1 - 6 * rhythm.swing(name, at, 4.0, 3.0)))
    studio.animate(
        frame, "location", rhythm.FRAMES, lambda at: (top[0], top[1], top[2] - 0.006 * rhythm.swing(name, at, 5.0, 4.0))
    )


def hoop(radius, z, height, material, parent):
    shapes.turned(
        "hoop",
        [
            (radius - 0.004, z),
            (radius + 0.010, z),
            (radius + 0.010, z + height),
            (radius - 0.004, z + height),
            (radius - 0.004, z),
        ],
        material,
        bevel=0.003,
        parent=parent,
    )


def lugs(radius, z, length, count, material, parent):
    for i in range(count):
        angle = 2 * pi * (i + 0.5) / count
        x, y = (radius + 0.008) * cos(angle), (radius + 0.008) * sin(angle)
        shapes.rod("lug", (x, y, z - length / 2), (x, y, z + length / 2), 0.008, material, segments=10, parent=parent)


def kick():
    """The bass drum lies on its side; its front skin bears a name and bulges with every stroke."""
    body = shapes.empty("kick drum", KICK, (radians(90), 0, 0))
    r, half, chrome = KICK_RADIUS, KICK_DEPTH / 2, materials.chrome()
    wooden = materials.surface("hoop red", (0.30, 0.006, 0.012), roughness=0.2, coat=1.0)
    shapes.turned("kick shell", [(r, -half), (r, half)], shell(), segments=64, parent=body)
    hoop(r, half - 0.02, 0.045, wooden, body)
    hoop(r, -half - 0.02, 0.045, wooden, body)
    lugs(r, 0, 0.16, 10, chrome, body)
    for i in range(10):
        angle = 2 * pi * (i + 0.5) / 10
        shapes.box(
            "claw",
            (r - 0.012, -0.014, half - 0.03),
            (r + 0.018, 0.014, half + 0.034),
            chrome,
            bevel=0.004,
            parent=body,
            rotation=(0, 0, angle),
        )
    front = shapes.empty("kick front", (0, 0, half - 0.004), parent=body)
    shapes.turned(
        "kick skin",
        [(0, 0.016), (r * 0.35, 0.014), (r * 0.7, 0.008), (r * 0.975, 0.0)],
        materials.drum_head(),
        segments=64,
        parent=front,
    )
    ring = materials.felt("ring", (0.02, 0.02, 0.024))
    shapes.turned("ring", [(r * 0.80, 0.0075), (r * 0.83, 0.0068)], ring, segments=64, parent=front)
    shapes.text("name", "OTHER", 0.115, ring, location=(0, 0, 0.019), parent=front)
    studio.animate(front, "scale", rhythm.FRAMES, lambda at: (1, 1, 1 + 1.6 * rhythm.swing("kick", at, 5.0, 3.5)))
    x, y, z = KICK
    studio.animate(body, "location", rhythm.FRAMES, lambda at: (x, y - 0.008 * rhythm.swing("kick", at, 6.0, 3.0), z))
    for side in (-1, 1):
        shapes.rod("spur", (side * 0.27, -0.24, 0.20), (side * 0.42, -0.40, 0.0), 0.009, chrome)


def stands():
    """Tripods of cymbals and snare, legs of the floor tom, and the tube that carries the toms."""
    chrome = materials.chrome()
    for (x, y, z), _ in CYMBALS.values():
        tripod(x, y, z + 0.03)
    (x, y, z), _, depth, _ = DRUMS["snare"]
    tripod(x, y, z - depth - 0.02, reach=0.22)
    (x, y, z), radius, _, _ = DRUMS["floor"]
    for angle in (radians(-100), radians(20), radians(140)):
        a, b = x + (radius + 0.02) * cos(angle), y + (radius + 0.02) * sin(angle)
        shapes.rod("leg", (a, b, 0), (a, b, z - 0.10), 0.008, chrome)
    for name in ("tom 1", "tom 2"):
        (x, y, z), _, depth, _ = DRUMS[name]
        shapes.rod("tom arm", (x * 0.2, 0.0, 0.60), (x * 0.6, 0.05, z - depth * 0.6), 0.012, chrome)


def tripod(x, y, height, reach=0.26):
    chrome = materials.chrome()
    shapes.rod("stand", (x, y, 0.10), (x, y, height * 0.6), 0.012, chrome)
    shapes.rod("stand top", (x, y, height * 0.6), (x, y, height), 0.007, chrome)
    for i in range(3):
        angle = radians(90 + 120 * i)
        shapes.rod("foot", (x, y, 0.28), (x + reach * cos(angle), y + reach * sin(angle), 0.008), 0.009, chrome)


def bronze():
    return materials.surface("bronze", (0.95, 0.68, 0.28), roughness=0.30, metallic=1.0)


def cymbal(name, place, radius):
    """A cymbal that tips when it is hit; the hi-hat is a pair that opens a little before each stroke."""
    profile = [
        (0.006, 0.030),
        (0.030, 0.027),
        (0.045, 0.014),
        (radius * 0.6, 0.006),
        (radius, -0.010),
        (radius, -0.012),
        (radius * 0.6, 0.003),
        (0.042, 0.010),
    ]
    frame = shapes.empty(f"{name} cymbal", place)
    shapes.turned(name, profile, bronze(), segments=64, parent=frame)
    shapes.turned(
        "felt", shapes.disc_profile(0.016, 0.03, 0.045), materials.felt("grey", (0.1, 0.1, 0.1)), parent=frame
    )
    shapes.turned("nut", shapes.disc_profile(0.008, 0.045, 0.062), materials.chrome(), segments=8, parent=frame)
    x, y, z = place
    if name == "hihat":
        shapes.turned(
            "lower hihat", [(r, -0.030 - height) for r, height in profile], bronze(), segments=64, location=place
        )
        studio.animate(frame, "location", rhythm.FRAMES, lambda at: (x, y, z + 0.022 * rhythm.pulse(name, at + 5, 2.5)))
        lean, tip, period = (radians(4), 0), radians(3), 5.0
    else:
        lean, tip, period = (radians(14), radians(-10 if x > 0 else 10)), radians(13), 11.0
    studio.animate(
        frame,
        "rotation_euler.x",
        rhythm.FRAMES,
        lambda at: lean[0] - tip * rhythm.swing(name, at, period, 1.6 * period),
    )
    studio.animate(
        frame,
        "rotation_euler.y",
        rhythm.FRAMES,
        lambda at: lean[1] + 0.5 * tip * rhythm.swing(name, at, 1.15 * period, 1.4 * period),
    )


def strike_points():
    """Where the sticks meet drums and cymbals: a little behind the middle of a skin, near the edge of a cymbal."""
    points = {}
    for name, (top, radius, _, tilt) in DRUMS.items():
        turn = Euler((radians(tilt), 0, 0)).to_matrix()
        points[name] = tuple(Vector(top) + turn @ Vector((0, 0.15 * radius, 0.012)))
    for name, ((x, y, z), radius) in CYMBALS.items():
        points[name] = (
            x + (0.55 if x < 0 else -0.55) * radius,
            y + 0.35 * radius,
            z + (0.025 if name == "hihat" else 0.02),
        )
    return points


def stick(hand, instruments):
    """A stick whose tip follows the rhythm and whose grip points to an unseen drummer."""
    wood = materials.surface("hickory", (0.85, 0.60, 0.32), roughness=0.4, coat=0.3)
    profile = [
        (0, -0.014),
        (0.0065, -0.009),
        (0.0078, 0.0),
        (0.006, 0.012),
        (0.0055, 0.02),
        (0.0115, 0.14),
        (0.0130, STICK_LENGTH),
        (0, STICK_LENGTH + 0.003),
    ]
    thing = shapes.turned(f"{hand} stick", profile, wood, segments=16)
    thing.rotation_mode = "QUATERNION"
    points = strike_points()
    last = None
    for frame in range(rhythm.FRAMES):
        tip = Vector(rhythm.stick_tip(instruments, points, frame))
        turn = (HANDS[hand] - tip).to_track_quat("Z", "Y")
        thing.location, thing.rotation_quaternion = tip, -turn if last and turn.dot(last) < 0 else turn
        last = thing.rotation_quaternion.copy()
        thing.keyframe_insert("location", frame=frame)
        thing.keyframe_insert("rotation_quaternion", frame=frame)
