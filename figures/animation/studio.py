"""The studio both scenes are filmed in: an empty file, floor and backdrop, soft lights, a camera, the renderer.

Lights are hidden from the camera and light comes from few large areas: eight samples a pixel and a denoiser
then give a calm picture. Everything that moves goes back to where it began, so the loop has no seam.
"""

import itertools
from math import pi, sin

import bpy
from mathutils import Vector

from . import materials, score, shapes


def clear(frames):
    """Empty Blender and set the length of the loop; frames count from 0."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = score.FPS
    scene.frame_start, scene.frame_end = 0, frames - 1
    return scene


def renderer(width, height, samples):
    """Cycles on the processor, with the settings that make a frame cheap and neighbours alike (a fixed seed)."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.use_persistent_data = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.compression = 30
    cycles = scene.cycles
    cycles.samples, cycles.seed, cycles.use_animated_seed = samples, 7, False
    cycles.use_adaptive_sampling = False
    cycles.use_light_tree = False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_quality = cycles.denoising_prefilter = "FAST"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 1, 2
    cycles.transmission_bounces = cycles.volume_bounces = 0
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 3.0
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"


def backdrop(floor_color, wall_color, distance):
    """A floor that bends up into a wall far behind, wide enough to have no edge in any reflection."""
    profile = [(-8, 0)] + [(distance - 2 + 2 * sin(i * pi / 16), 2 - 2 * sin(pi / 2 - i * pi / 16)) for i in range(9)]
    profile.append((distance, 9))

    def build(solid):
        rows = [[solid.verts.new((x, y, z)) for x in (-24, 24)] for y, z in profile]
        for a, b in itertools.pairwise(rows):
            solid.faces.new((a[0], a[1], b[1], b[0]))

    material = materials.surface("backdrop", floor_color, roughness=0.28, specular=0.4)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    place, split = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeSeparateXYZ")
    ramp = nodes.new("ShaderNodeMapRange")
    mix = nodes.new("ShaderNodeMix")
    mix.data_type = "RGBA"
    ramp.inputs["From Min"].default_value, ramp.inputs["From Max"].default_value = 0.0, 3.0
    mix.inputs["A"].default_value, mix.inputs["B"].default_value = (*floor_color, 1), (*wall_color, 1)
    links.new(place.outputs["Object"], split.inputs["Vector"])
    links.new(split.outputs["Z"], ramp.inputs["Value"])
    links.new(ramp.outputs["Result"], mix.inputs["Factor"])
    links.new(mix.outputs["Result"], materials.shader_of(material).inputs["Base Color"])
    shapes.add_object("backdrop", shapes.mesh_of("backdrop", build), material)


def world(color, strength):
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    background = scene.world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (*color, 1)
    background.inputs["Strength"].default_value = strength


def light(name, location, target, size, power, color=(1, 1, 1)):
    """A soft rectangle of light, in watts, turned to a target; seen in reflections, not by the camera."""
    lamp = bpy.data.lights.new(name, "AREA")
    lamp.shape, (lamp.size, lamp.size_y) = "RECTANGLE", size
    lamp.energy, lamp.color = power, color
    thing = bpy.data.objects.new(name, lamp)
    thing.location = location
    thing.rotation_euler = (Vector(target) - Vector(location)).to_track_quat("-Z", "Y").to_euler()
    thing.visible_camera = False
    bpy.context.collection.objects.link(thing)
    return thing


def card(name, location, target, size, color, strength):
    """A glowing card that only polished surfaces see: bright along its middle, dark at its edges, so that
    lacquer shows a soft sheen instead of the hard edge of a lamp."""
    card_material = bpy.data.materials.new(name)
    card_material.use_nodes = True
    nodes, links = card_material.node_tree.nodes, card_material.node_tree.links
    nodes.clear()
    place, glow = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeEmission")
    gradient, output = nodes.new("ShaderNodeTexGradient"), nodes.new("ShaderNodeOutputMaterial")
    power = nodes.new("ShaderNodeMath")
    gradient.gradient_type = "QUADRATIC_SPHERE"
    power.operation, power.inputs[1].default_value = "MULTIPLY", strength
    glow.inputs["Color"].default_value = (*color, 1)
    links.new(place.outputs["Object"], gradient.inputs["Vector"])
    links.new(gradient.outputs["Fac"], power.inputs[0])
    links.new(power.outputs["Value"], glow.inputs["Strength"])
    links.new(glow.outputs["Emission"], output.inputs["Surface"])

    def build(solid):
        solid.faces.new([solid.verts.new(corner) for corner in ((-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0))])

    thing = shapes.add_object(name, shapes.mesh_of(name, build), card_material, location=location)
    thing.scale = (size[0] / 2, size[1] / 2, 1)
    thing.rotation_euler = (Vector(target) - Vector(location)).to_track_quat("-Z", "Y").to_euler()
    thing.visible_camera = thing.visible_diffuse = thing.visible_shadow = False
    card_material.cycles.emission_sampling = "NONE"
    return thing


def camera(position, target, lens):
    """A camera that stands still and looks at a target.

    It does not move: with eight samples a pixel the edges of polished things would crawl. Life comes from what plays,
    and from the sheen that glides over the lacquer.
    """
    eye = bpy.data.cameras.new("camera")
    eye.lens, eye.clip_end = lens, 100
    thing = bpy.data.objects.new("camera", eye)
    thing.location = position
    thing.rotation_euler = (Vector(target) - Vector(position)).to_track_quat("-Z", "Y").to_euler()
    bpy.context.collection.objects.link(thing)
    bpy.context.scene.camera = thing


def animate(thing, path, frames, value):
    """Key one property of an object at every frame: `value(frame)` gives a number or a tuple.

    `path` is a property such as "location", or one of its numbers such as "rotation_euler.x".
    """
    name, _, axis = path.partition(".")
    index = "xyz".index(axis) if axis else -1
    for frame in range(frames):
        if axis:
            getattr(thing, name)[index] = value(frame)
        else:
            setattr(thing, name, value(frame))
        thing.keyframe_insert(name, index=index, frame=frame)
