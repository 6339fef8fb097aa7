"""The few solids that everything in the scenes is built from: boxes, prisms, turned bodies, rods and tubes.

Each function makes one Blender object, puts a material on it and returns it. Lengths are metres.
"""

import itertools
from math import cos, pi, radians, sin

import bmesh
import bpy
from mathutils import Vector


def add_object(name, mesh, material, bevel=0.0, location=(0, 0, 0), rotation=(0, 0, 0), parent=None):
    """An object of a mesh, smooth where its faces meet at less than 35 degrees; `bevel` rounds its sharp edges."""
    for polygon in mesh.polygons:
        polygon.use_smooth = True
    mesh.set_sharp_from_angle(angle=radians(35))
    if not mesh.materials:
        mesh.materials.append(material)
    thing = bpy.data.objects.new(name, mesh)
    thing.location, thing.rotation_euler, thing.parent = location, rotation, parent
    bpy.context.collection.objects.link(thing)
    if bevel:
        # Hardened normals keep the flat faces flat, or polished ones would reflect crooked lights.
        edges = thing.modifiers.new("bevel", "BEVEL")
        edges.width, edges.segments, edges.limit_method, edges.harden_normals = bevel, 2, "ANGLE", True
        edges.angle_limit = radians(35)
    return thing


def mesh_of(name, build):
    """A mesh from a function that fills a bmesh."""
    mesh, solid = bpy.data.meshes.new(name), bmesh.new()
    build(solid)
    bmesh.ops.recalc_face_normals(solid, faces=solid.faces)
    solid.to_mesh(mesh)
    solid.free()
    return mesh


def box(name, low, high, material, bevel=0.0, **place):
    """A box between two corners."""
    corners = [(x, y) for x, y in ((low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1]))]
    return prism(name, corners, low[2], high[2], material, bevel, **place)


def prism(name, outline, bottom, top, material, bevel=0.0, **place):
    """A flat outline of (x, y) points, raised from z = `bottom` to z = `top`."""

    def build(solid):
        lower = [solid.verts.new((x, y, bottom)) for x, y in outline]
        upper = [solid.verts.new((x, y, top)) for x, y in outline]
        solid.faces.new(lower)
        solid.faces.new(upper)
        for i in range(len(outline)):
            j = (i + 1) % len(outline)
            solid.faces.new((lower[i], lower[j], upper[j], upper[i]))

    return add_object(name, mesh_of(name, build), material, bevel, **place)


def wall(name, outer, inner, bottom, top, material, bevel=0.0, **place):
    """The closed band between two outlines of as many points each, raised from `bottom` to `top`."""

    def build(solid):
        rings = [
            [solid.verts.new((x, y, z)) for x, y in ring]
            for ring, z in ((outer, bottom), (outer, top), (inner, top), (inner, bottom))
        ]
        for a, b in zip(rings, rings[1:] + rings[:1]):
            for i in range(len(outer)):
                j = (i + 1) % len(outer)
                solid.faces.new((a[i], a[j], b[j], b[i]))

    return add_object(name, mesh_of(name, build), material, bevel, **place)


def pierced(name, outline, holes, bottom, top, material, **place):
    """A flat outline with round holes (x, y, radius), raised from `bottom` to `top`."""
    board = bpy.data.curves.new(name, "CURVE")
    board.dimensions, board.fill_mode, board.extrude = "2D", "BOTH", (top - bottom) / 2
    circles = [[(x + r * cos(2 * pi * i / 64), y + r * sin(2 * pi * i / 64)) for i in range(64)] for x, y, r in holes]
    for points in (outline, *circles):
        line = board.splines.new("POLY")
        line.points.add(len(points) - 1)
        line.use_cyclic_u = True
        for point, (x, y) in zip(line.points, points):
            point.co = (x, y, 0, 1)
    board.materials.append(material)
    thing = bpy.data.objects.new(name, board)
    bpy.context.collection.objects.link(thing)
    thing.parent, thing.rotation_euler = place.get("parent"), place.get("rotation", (0, 0, 0))
    x, y, z = place.get("location", (0, 0, 0))
    thing.location = (x, y, z + (top + bottom) / 2)
    return thing


def turned(name, profile, material, segments=48, bevel=0.0, **place):
    """A body of revolution about z, as from a lathe; `profile` is a list of (radius, z)."""

    def build(solid):
        rings = []
        for radius, z in profile:
            if radius == 0:
                rings.append([solid.verts.new((0, 0, z))] * segments)
            else:
                rings.append(
                    [
                        solid.verts.new((radius * cos(2 * pi * i / segments), radius * sin(2 * pi * i / segments), z))
                        for i in range(segments)
                    ]
                )
        for a, b in itertools.pairwise(rings):
            for i in range(segments):
                j = (i + 1) % segments
                corners = list(dict.fromkeys((a[i], a[j], b[j], b[i])))
                if len(corners) > 2:
                    solid.faces.new(corners)

    return add_object(name, mesh_of(name, build), material, bevel, **place)


def disc_profile(radius, bottom, top):
    """The profile of a plain cylinder with both ends closed."""
    return [(0, bottom), (radius, bottom), (radius, top), (0, top)]


def rod(name, start, end, radius, material, end_radius=None, segments=12, **place):
    """A straight rod from one point to another, tapered if `end_radius` is given."""
    start, end = Vector(start), Vector(end)
    length = (end - start).length
    tip = radius if end_radius is None else end_radius
    thing = turned(name, [(0, 0), (radius, 0), (tip, length), (0, length)], material, segments, **place)
    thing.location = start
    thing.rotation_euler = (end - start).to_track_quat("Z", "Y").to_euler()
    return thing


def tube(name, points, radius, material, smooth=True, **place):
    """A round tube through points."""
    curve = bpy.data.curves.new(name, "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution, curve.use_fill_caps = "3D", radius, 3, True
    line = curve.splines.new("NURBS" if smooth else "POLY")
    line.points.add(len(points) - 1)
    for point, place_at in zip(line.points, points):
        point.co = (*place_at, 1)
    if smooth:
        line.use_endpoint_u, line.order_u = True, 3
    curve.materials.append(material)
    thing = bpy.data.objects.new(name, curve)
    thing.parent = place.get("parent")
    thing.location = place.get("location", (0, 0, 0))
    bpy.context.collection.objects.link(thing)
    return thing


def text(name, words, size, material, **place):
    """Flat letters in the xy plane, centred, slightly raised."""
    letters = bpy.data.curves.new(name, "FONT")
    letters.font = bpy.data.fonts.load("<builtin>", check_existing=True)
    letters.body, letters.size, letters.extrude = words, size, size * 0.02
    letters.align_x = letters.align_y = "CENTER"
    letters.space_character = 1.15
    letters.materials.append(material)
    thing = bpy.data.objects.new(name, letters)
    thing.location, thing.rotation_euler = place.get("location", (0, 0, 0)), place.get("rotation", (0, 0, 0))
    thing.parent = place.get("parent")
    bpy.context.collection.objects.link(thing)
    return thing


def empty(name, location=(0, 0, 0), rotation=(0, 0, 0), parent=None):
    """A point to hang other objects on."""
    point = bpy.data.objects.new(name, None)
    point.location, point.rotation_euler, point.parent = location, rotation, parent
    bpy.context.collection.objects.link(point)
    return point


def rounded(points, steps=8, closed=True):
    """A smooth outline through (x, y) points: Catmull-Rom, `steps` points from each to the next."""
    count, outline = len(points), []
    for i in range(count if closed else count - 1):
        pick = [points[(i + k) % count] if closed else points[min(max(i + k, 0), count - 1)] for k in (-1, 0, 1, 2)]
        for step in range(steps):
            t = step / steps
            outline.append(
                tuple(
                    0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3)
                    for a, b, c, d in zip(*pick)
                )
            )
    return outline if closed else [*outline, points[-1]]


def inset(outline, distance):
    """A counter-clockwise outline moved inwards by a distance."""
    moved = []
    for i, (x, y) in enumerate(outline):
        (x0, y0), (x1, y1) = outline[i - 1], outline[(i + 1) % len(outline)]
        along = Vector((x1 - x0, y1 - y0)).normalized()
        moved.append((x - along.y * distance, y + along.x * distance))
    return moved
