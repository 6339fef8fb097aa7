"""The scene "Piano": the grand piano plays the passage of `score`, key by key; each note rises as a glowing sign."""

import itertools
from functools import partial
from math import cos, pi, radians, sin

from . import keyboard, materials, piano_body, score, shapes, studio

HAND_COLOR = {"left": (0.06, 0.36, 1.0), "right": (1.0, 0.23, 0.07)}
WHITE, EBONY = (0.80, 0.77, 0.70), (0.008, 0.008, 0.009)
NOTE_LIFE = 56  # frames from a note's stroke until its sign is gone
FRAMES = score.FRAMES


def build():
    """Build the scene in an empty Blender; returns the number of frames of its loop."""
    studio.clear(FRAMES)
    studio.backdrop((0.020, 0.020, 0.030), (0.10, 0.07, 0.12), 9)
    studio.world((0.16, 0.18, 0.28), 0.30)
    right_pedal = piano_body.build()
    studio.animate(right_pedal, "rotation_euler.x", FRAMES, pedal_angle)
    keys()
    music_desk()
    signs()
    lights()
    studio.camera((0.36, -1.25, 1.53), (0.03, 0.25, 0.915), 37)
    return FRAMES


def lights():
    studio.light("softbox", (-0.3, 0.6, 3.6), (0, 0.5, 0.7), (2.6, 1.6), 80, (1.0, 0.95, 0.88))
    studio.light("key light", (-2.0, -0.5, 3.2), (0, 0.1, 0.75), (1.4, 1.2), 120, (1.0, 0.90, 0.78))
    studio.light("rim light", (2.8, 2.4, 2.0), (0, 0.8, 0.9), (0.8, 2.4), 110, (0.55, 0.65, 1.0))
    studio.light("backdrop light", (3.5, 6.0, 0.8), (1.5, 9, 2.6), (4, 1), 500, (0.85, 0.45, 0.75))
    studio.light("left backdrop light", (-4.5, 6.0, 0.8), (-3.0, 9, 2.0), (3, 1), 260, (0.35, 0.5, 1.0))
    sheen = studio.card("front card", (-1.4, -4.0, 0.9), (0, 0, 0.8), (8.0, 3.6), (0.62, 0.70, 1.0), 2.6)
    studio.animate(sheen, "location.x", FRAMES, lambda frame: -0.8 - 1.6 * cos(2 * pi * frame / FRAMES))
    studio.card("left card", (-4.0, 0.0, 2.2), (0, 0.2, 0.8), (4.0, 3.0), (1.0, 0.75, 0.5), 4.0)
    studio.card("lid card", (2.4, 0.6, 0.6), (-0.2, 0.8, 1.4), (3.0, 2.4), (0.9, 0.55, 0.8), 4.0)


def pedal_angle(frame):
    """The right pedal goes down with the first note of each bar that has a left hand, and up before the next bar."""
    depth = 0.0
    for note in score.NOTES:
        if note.hand == "left" and (note.start // score.FRAMES_PER_SIXTEENTH) % 6 == 0:
            age = (frame - note.start) % FRAMES
            depth = max(depth, keyboard.smooth(age / 4) * keyboard.smooth((28 - age) / 4))
    return radians(7) * depth


def keys():
    """All 88 keys, each turning about its own pin and tinted by the hand that presses it."""
    played = {note.key for note in score.NOTES}
    white_material, black_material = materials.lit("white key", 0.16), materials.lit("black key", 0.22)
    for key in keyboard.KEYS:
        black = keyboard.is_black(key)
        name, color = f"key {key}", EBONY if black else WHITE
        pin = (keyboard.key_x(key), keyboard.PIVOT, piano_body.KEY_TOP)
        solid = black_key(name, black_material, pin) if black else white_key(name, key, white_material, pin)
        solid.color = (*color, 0)
        if key in played:
            studio.animate(solid, "rotation_euler.x", FRAMES, partial(keyboard.key_angle, key))
            studio.animate(solid, "color", FRAMES, lambda frame, key=key, color=color: key_color(key, frame, color))


def white_key(name, key, material, pin):
    """A white key with the notches that its black neighbours need; its origin is the pin."""
    half, gap = keyboard.WHITE_WIDTH / 2 - 0.0005, 0.0060
    front, notch, back = -keyboard.PIVOT, -keyboard.PIVOT + 0.050, -keyboard.PIVOT + 0.160
    left, right = -half, half
    if key - 1 >= keyboard.LOWEST and keyboard.is_black(key - 1):
        left = keyboard.key_x(key - 1) - keyboard.key_x(key) + gap
    if key + 1 <= keyboard.HIGHEST and keyboard.is_black(key + 1):
        right = keyboard.key_x(key + 1) - keyboard.key_x(key) - gap
    outline = [
        (-half, front),
        (half, front),
        (half, notch),
        (right, notch),
        (right, back),
        (left, back),
        (left, notch),
        (-half, notch),
    ]
    outline = [point for i, point in enumerate(outline) if point != outline[i - 1]]
    return shapes.prism(name, outline, -0.022, 0.0, material, bevel=0.0009, location=pin)


def black_key(name, material, pin):
    """A black key: narrower above than below, its front face slanting back."""
    front, back = -keyboard.PIVOT + 0.052, -keyboard.PIVOT + 0.160

    def fill(solid):
        rings = []
        for half, start, z in ((0.0056, front, -0.012), (0.0056, front, 0.003), (0.0047, front + 0.010, 0.0125)):
            rings.append(
                [
                    solid.verts.new(corner)
                    for corner in ((-half, start, z), (half, start, z), (half, back, z), (-half, back, z))
                ]
            )
        for a, b in itertools.pairwise(rings):
            for i in range(4):
                solid.faces.new((a[i], a[(i + 1) % 4], b[(i + 1) % 4], b[i]))
        solid.faces.new(rings[0])
        solid.faces.new(rings[-1])

    return shapes.add_object(name, shapes.mesh_of(name, fill), material, bevel=0.0012, location=pin)


def key_color(key, frame, rest):
    """The colour of a key and, last, its glow: the hand's colour as far as the key is down."""
    depth, hand = max((keyboard.note_depth(note, frame), note.hand) for note in score.NOTES if note.key == key)
    mixed = [a + (b - a) * 0.85 * depth for a, b in zip(rest, HAND_COLOR[hand])]
    return (*mixed, 0.75 * depth)


def music_desk():
    """The desk, and on it the passage itself: every note head at the pitch and time of the note list."""
    black = materials.lacquer()
    desk = shapes.empty("desk", (0, 0.36, piano_body.RIM_TOP - 0.02), (radians(68), 0, 0))
    board = shapes.rounded(
        [(-0.36, 0), (0.36, 0), (0.36, 0.12), (0.30, 0.25), (0, 0.275), (-0.30, 0.25), (-0.36, 0.12)], 6
    )
    shapes.prism("desk board", board, -0.012, 0.0, black, bevel=0.003, parent=desk)
    shapes.box("desk ledge", (-0.36, -0.005, -0.012), (0.36, 0.012, 0.03), black, bevel=0.003, parent=desk)
    for side in (-1, 1):
        page = shapes.empty("page", (side * 0.098, 0.014, 0.003), parent=desk)
        shapes.box("paper", (-0.095, 0, 0), (0.095, 0.235, 0.002), materials.paper(), parent=page)
        engrave(page, (0, 1) if side < 0 else (2, 3))


def engrave(page, bars):
    """Staves and note heads of two bars, one a system."""
    ink = materials.felt("ink", (0.01, 0.01, 0.012))
    for row, bar in enumerate(bars):
        base = 0.145 - 0.105 * row
        for line in range(10):
            y = base + 0.006 * (line if line < 5 else line + 3)
            shapes.box("staff line", (-0.085, y, 0.002), (0.085, y + 0.0009, 0.0025), ink, parent=page)
        for x in (-0.085, 0.0845):
            shapes.box("bar line", (x, base, 0.002), (x + 0.001, base + 0.073, 0.0025), ink, parent=page)
        for note in score.NOTES:
            place = note.start / score.FRAMES_PER_SIXTEENTH / 6 - bar
            if 0 <= place < 1:
                engrave_note(page, note, -0.072 + 0.168 * place, base, ink)


def engrave_note(page, note, x, base, ink):
    """One head and stem; the middle line of the treble staff is B4, that of the bass staff D3."""
    steps = sum(1 for key in range(min(note.key, 60), max(note.key, 60)) if not keyboard.is_black(key))
    steps = steps if note.key >= 60 else -steps
    y = base + (0.048 + 0.003 * (steps - 2) if note.hand == "right" else 0.024 + 0.003 * (steps + 2))
    shapes.turned(
        "note head", shapes.disc_profile(0.0034, 0.002, 0.0028), ink, segments=10, parent=page, location=(x, y, 0)
    )
    up = 0.020 if steps < 6 else -0.020
    low, high = sorted((y, y + up))
    side = 0.0028 if up > 0 else -0.0028
    shapes.box("stem", (x + side - 0.0005, low, 0.002), (x + side + 0.0005, high, 0.0026), ink, parent=page)


def signs():
    """A glowing quaver for each note: it leaves the key at the stroke, rises, sways and shrinks away."""
    meshes = {}
    for number, note in enumerate(score.NOTES):
        material = materials.lit("sign", 0.4)
        sign = quaver(f"sign {number}", material, meshes)
        sign.color = (*HAND_COLOR[note.hand], 0.9)
        sign.rotation_euler = (radians(90), 0, radians(18))
        studio.animate(sign, "location", FRAMES, partial(sign_place, note))
        studio.animate(sign, "scale", FRAMES, lambda frame, note=note: (sign_size(note, frame),) * 3)
        studio.animate(sign, "rotation_euler.y", FRAMES, partial(sign_sway, note))


def sign_age(note, frame):
    return (frame - note.start) % FRAMES


def sign_sway(note, frame):
    """The angle of a sign, in radians."""
    return 0.35 * sin(0.13 * sign_age(note, frame) + note.key)


def sign_place(note, frame):
    """Up from the key, then on towards the open side of the lid, each on a path of its own."""
    t = min(1.0, sign_age(note, frame) / NOTE_LIFE)
    rise = 1 - (1 - t) ** 1.6
    spread = sin(2.4 * note.key + note.start)
    return (
        keyboard.key_x(note.key) + 0.38 * t**1.6 + 0.10 * spread * t + 0.03 * sin(6 * t + note.key),
        0.12 + 0.30 * t**2 + 0.06 * spread * t,
        piano_body.KEY_TOP + 0.02 + (0.62 + 0.06 * spread) * rise,
    )


def sign_size(note, frame):
    age = sign_age(note, frame)
    size = keyboard.smooth(age / 7) * keyboard.smooth((NOTE_LIFE - age) / 26)
    return max(1e-4, size * (0.65 + 0.40 * note.velocity))


def quaver(name, material, meshes):
    """An eighth note of 8 cm: head, stem and flag in one mesh, shared by all."""
    if "quaver" not in meshes:

        def fill(solid):
            head = [
                (0.016 * cos(a) - 0.004 * sin(a), 0.006 * cos(a) + 0.011 * sin(a))  # an oblique ellipse
                for a in (2 * pi * i / 20 for i in range(20))
            ]
            stem = [(0.0125, 0.004), (0.0165, 0.004), (0.0165, 0.078), (0.0125, 0.078)]
            flag = shapes.rounded(
                [
                    (0.0150, 0.078),
                    (0.022, 0.062),
                    (0.036, 0.050),
                    (0.036, 0.030),
                    (0.031, 0.022),
                    (0.033, 0.036),
                    (0.029, 0.047),
                    (0.0150, 0.058),
                ],
                3,
            )
            for outline in (head, stem, flag):
                rows = [[solid.verts.new((x, y, z)) for x, y in outline] for z in (-0.0035, 0.0035)]
                solid.faces.new(rows[0])
                solid.faces.new(rows[1])
                for i in range(len(outline)):
                    j = (i + 1) % len(outline)
                    solid.faces.new((rows[0][i], rows[0][j], rows[1][j], rows[1][i]))

        meshes["quaver"] = shapes.mesh_of("quaver", fill)
    return shapes.add_object(name, meshes["quaver"], material, bevel=0.0012)
