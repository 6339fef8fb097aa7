"""Loudspeakers with pumping cones, the rings of sound that leave them, and the bars of an equalizer."""

from colorsys import hsv_to_rgb
from math import cos, pi, radians, sin

import bpy

from . import materials, rhythm, shapes, studio

WIDTH, DEPTH, HEIGHT = 0.46, 0.40, 1.22
BAFFLE = 0.09  # thickness of the front board, whose holes hold the cones
# name: (height of the middle, radius, what drives it, frames of one swing, travel in metres)
DRIVERS = {
    "woofer": (0.36, 0.180, "kick", 5.0, 0.030),
    "middle": (0.79, 0.120, "snare", 4.0, 0.016),
    "tweeter": (1.06, 0.055, "hihat", 3.0, 0.004),
}
BANDS = 44
RING_LIFE = 15  # frames


def tower(location, turn):
    """A loudspeaker of three ways, its front towards -y."""
    base = shapes.empty("speaker", location, (0, 0, turn))
    case = materials.surface("speaker case", (0.014, 0.014, 0.017), roughness=0.3, coat=0.5)
    shapes.box(
        "case", (-WIDTH / 2, -DEPTH / 2 + BAFFLE, 0.03), (WIDTH / 2, DEPTH / 2, HEIGHT), case, bevel=0.006, parent=base
    )
    corners = [(-WIDTH / 2, 0.03), (WIDTH / 2, 0.03), (WIDTH / 2, HEIGHT), (-WIDTH / 2, HEIGHT)]
    holes = [(0, height, radius) for height, radius, *_ in DRIVERS.values()]
    shapes.pierced(
        "baffle",
        corners,
        holes,
        -BAFFLE / 2,
        BAFFLE / 2,
        case,
        parent=base,
        rotation=(radians(90), 0, 0),
        location=(0, -DEPTH / 2 + BAFFLE / 2, 0),
    )
    shapes.box(
        "foot",
        (-WIDTH / 2 + 0.02, -DEPTH / 2 + 0.02, 0),
        (WIDTH / 2 - 0.02, DEPTH / 2 - 0.02, 0.03),
        materials.matt_black(),
        parent=base,
    )
    for name, (height, radius, source, period, travel) in DRIVERS.items():
        driver(name, (0, -DEPTH / 2 - 0.002, height), radius, source, period, travel, base)
    height, radius = DRIVERS["woofer"][:2]
    for number, (hit, loud) in enumerate(rhythm.hits("kick")):
        ring(f"ring {number}", hit, loud, (0, -DEPTH / 2 - 0.03, height), radius, base)


def driver(name, place, radius, source, period, travel, base):
    """One cone in its chrome frame; it moves to and fro with its source."""
    seat = shapes.empty(f"{name} seat", place, (radians(90), 0, 0), parent=base)
    rubber = materials.surface("rubber", (0.022, 0.022, 0.024), roughness=0.38)
    cone = materials.surface("cone", (0.16, 0.165, 0.18), roughness=0.42)
    shapes.turned(
        "frame",
        [(radius * 0.96, -0.004), (radius * 0.98, 0.010), (radius * 1.10, 0.010), (radius * 1.13, 0.0)],
        materials.chrome(),
        segments=64,
        parent=seat,
    )
    shapes.turned("well", [(0, -0.085), (radius, -0.085), (radius, 0.0)], materials.matt_black(), parent=seat)
    moving = shapes.empty(f"{name} cone", parent=seat)
    shapes.turned(
        "surround",
        [(radius * 0.97, -0.004), (radius * 0.92, 0.010), (radius * 0.86, 0.012), (radius * 0.80, 0.0)],
        rubber,
        segments=64,
        parent=moving,
    )
    shapes.turned(
        "paper cone",
        [(radius * 0.81, 0.0), (radius * 0.55, -0.018), (radius * 0.30, -0.040)],
        cone,
        segments=64,
        parent=moving,
    )
    cap = [(radius * 0.33 * cos(a), -0.040 + radius * 0.26 * sin(a)) for a in (pi / 2 * i / 8 for i in range(9))]
    shapes.turned("cap", [*cap[:-1], (0, cap[-1][1])], materials.brass(), segments=48, parent=moving)
    studio.animate(moving, "location.z", rhythm.FRAMES, lambda at: travel * rhythm.swing(source, at, period, 3.5))


def ring(name, hit, loud, place, radius, base):
    """A ring of light that leaves the woofer at a stroke of the kick, widens and fades."""
    profile = [(1 + 0.018 * cos(2 * pi * i / 8), 0.018 * sin(2 * pi * i / 8)) for i in range(9)]
    thing = shapes.turned(name, profile, glow_material(), segments=72, parent=base, rotation=(radians(90), 0, 0))
    x, y, z = place

    def age(frame):
        return min(1.0, rhythm.since(frame, hit) / RING_LIFE)

    def size(frame):
        return radius * (0.90 + 0.95 * age(frame))

    studio.animate(thing, "location", rhythm.FRAMES, lambda at: (x, y - 0.30 * age(at), z))
    studio.animate(thing, "scale", rhythm.FRAMES, lambda at: (size(at), size(at), radius))
    studio.animate(thing, "color", rhythm.FRAMES, lambda at: (0.15, 0.75, 1.0, 0.85 * loud * (1 - age(at)) ** 1.5))
    studio.animate(thing, "hide_render", rhythm.FRAMES, lambda at: age(at) == 1.0)


def glow_material():
    """Light of the object's colour, as opaque as the colour's fourth number."""
    if "glow" in bpy.data.materials:
        return bpy.data.materials["glow"]
    material = bpy.data.materials.new("glow")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    info, light = nodes.new("ShaderNodeObjectInfo"), nodes.new("ShaderNodeEmission")
    clear, mix = nodes.new("ShaderNodeBsdfTransparent"), nodes.new("ShaderNodeMixShader")
    output = nodes.new("ShaderNodeOutputMaterial")
    links.new(info.outputs["Color"], light.inputs["Color"])
    links.new(info.outputs["Alpha"], mix.inputs["Fac"])
    links.new(clear.outputs["BSDF"], mix.inputs[1])
    links.new(light.outputs["Emission"], mix.inputs[2])
    links.new(mix.outputs["Shader"], output.inputs["Surface"])
    return material


def equalizer(centre, radius, spread):
    """Bars in an arc before the band, from teal for the bass to pink for the treble."""
    material = materials.lit("equalizer", 0.25, coat=0.5)
    for band in range(BANDS):
        angle = spread * (band / (BANDS - 1) - 0.5)
        place = (centre[0] + radius * sin(angle), centre[1] - radius * cos(angle), 0.0)
        bar = shapes.box(
            f"bar {band}", (-0.019, -0.019, 0), (0.019, 0.019, 1), material, location=place, rotation=(0, 0, angle)
        )
        tint = hsv_to_rgb(0.48 + 0.44 * band / (BANDS - 1), 0.80, 0.95)
        bar.color = (*(channel**2.2 for channel in tint), 0.55)

        def scale(at, band=band):
            return 1, 1, 0.30 * rhythm.level(band, BANDS, at)

        studio.animate(bar, "scale", rhythm.FRAMES, scale)
