"""Checks of the scenes inside Blender: what moves there is what the note list and the rhythm say.

Run in the environment of requirements-render.txt: `python -m pytest figures/animation/check_scenes.py`.
"""

import itertools

import bpy
import pytest
from mathutils import Vector

from figures.animation import band_scene, drums, keyboard, piano_scene, rhythm, score

TOLERANCE = 1e-5  # Blender keeps 32-bit numbers


def angles(frame):
    """rotation_euler.x of all 88 keys, as Blender evaluates it at a frame."""
    bpy.context.scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    return {key: bpy.data.objects[f"key {key}"].evaluated_get(graph).rotation_euler.x for key in keyboard.KEYS}


@pytest.fixture(scope="module")
def piano():
    piano_scene.build()
    return [angles(frame) for frame in range(score.FRAMES)]


def worst_difference(piano, shift=0):
    return max(
        abs(piano[frame][key] - keyboard.key_angle(key, frame + shift))
        for frame in range(score.FRAMES)
        for key in keyboard.KEYS
    )


def test_every_key_follows_the_envelope_in_every_frame(piano):
    assert worst_difference(piano) < TOLERANCE


def test_the_comparison_can_fail(piano):
    assert worst_difference(piano, shift=1) > 0.1 * keyboard.FULL_ANGLE


def test_the_keys_that_move_are_the_notes(piano):
    moved = {key for key in keyboard.KEYS if max(frame[key] for frame in piano) > TOLERANCE}
    assert moved == {note.key for note in score.NOTES}


def test_no_white_key_runs_into_its_neighbour(piano):
    bpy.context.scene.frame_set(0)
    whites = [bpy.data.objects[f"key {key}"] for key in keyboard.WHITES]
    for left, right in itertools.pairwise(whites):
        assert left.location.x + left.dimensions.x / 2 < right.location.x - right.dimensions.x / 2 + TOLERANCE


def test_the_sticks_follow_the_rhythm():
    band_scene.build()
    points = drums.strike_points()
    for frame in range(0, rhythm.FRAMES, 3):
        bpy.context.scene.frame_set(frame)
        for hand, instruments in (("left", rhythm.LEFT_HAND), ("right", rhythm.RIGHT_HAND)):
            tip = bpy.data.objects[f"{hand} stick"].matrix_world.translation
            assert (tip - Vector(rhythm.stick_tip(instruments, points, frame))).length < TOLERANCE


def jumps(curve, start=0):
    """The step of an animated number over the seam, beside its largest step within the loop that begins at `start`."""
    values = [point.co[1] for point in curve.keyframe_points][start:]
    steps = [abs(b - a) for a, b in itertools.pairwise(values)]
    return abs(values[0] - values[-1]), max(steps)


def open_curves(start=0):
    """What does not come back to where it began. Signs and rings vanish and return by design: their size tells when."""
    found = []
    for action in bpy.data.actions:
        if action.name.startswith(("sign", "ring")):
            continue
        for curve in action.fcurves:
            seam, step = jumps(curve, start)
            if seam > 1.75 * step + 1e-6:  # the ride is struck on the seam alone
                found.append(f"{action.name} {curve.data_path}[{curve.array_index}]: {seam:.4f}, steps {step:.4f}")
    return found


@pytest.mark.parametrize("scene", [piano_scene, band_scene])
def test_everything_that_moves_closes_its_loop(scene):
    scene.build()
    assert open_curves() == []
    assert open_curves(start=40), "a piece of the loop must not pass"
