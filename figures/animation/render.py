"""Renders the loops: `python -m figures.animation.render piano other`.

Frames that exist are skipped, so an interrupted run goes on where it stopped.

Frames go to data/generated/frames/<clip>, which git ignores; `encode` makes the clips of them.
"""

import argparse
import contextlib
import os
import time
from pathlib import Path

import bpy

from . import band_scene, piano_scene, studio
from .encode import FRAMES_FOLDER

SCENES = {"piano": piano_scene, "other": band_scene}


@contextlib.contextmanager
def silence():
    """Blender reports every object of every frame on standard output, from C: the stream itself is turned away."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def render(clip, folder, size, samples, frames=None):
    """Write the frames of a clip as folder/0000.png ...; each appears under its name only when complete."""
    count = SCENES[clip].build()
    studio.renderer(*size, samples)
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames or range(count):
        target = folder / f"{frame:04d}.png"
        if target.exists():
            continue
        begin = time.perf_counter()
        bpy.context.scene.frame_set(frame)
        bpy.context.scene.render.filepath = str(folder / f"{frame:04d}.part.png")
        with silence():
            bpy.ops.render.render(write_still=True)
        os.replace(folder / f"{frame:04d}.part.png", target)
        print(f"{clip} {frame + 1} of {count}, {time.perf_counter() - begin:.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", choices=sorted(SCENES))
    parser.add_argument("--size", default="640x360", help="width x height in pixels")
    parser.add_argument("--samples", type=int, default=8, help="rays a pixel")
    parser.add_argument("--folder", type=Path, default=FRAMES_FOLDER)
    parser.add_argument("--frames", type=int, nargs="*", help="only these frames, for a look")
    options = parser.parse_args()
    size = [int(number) for number in options.size.split("x")]
    for clip in options.clips:
        render(clip, options.folder / clip, size, options.samples, options.frames)


if __name__ == "__main__":
    main()
