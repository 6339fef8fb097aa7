"""Makes the clips of the rendered frames: `python -m figures.animation.encode piano other` (needs PyAV, not Blender).

Each loop becomes an mp4 (H.264) for every browser, a webm (VP9) that is smaller, and a still picture (JPEG).
"""

import argparse
import os
from fractions import Fraction
from pathlib import Path

import av

from . import rhythm, score

ROOT = Path(__file__).resolve().parents[2]
FRAMES_FOLDER = ROOT / "data" / "generated" / "frames"
LENGTH = {"piano": score.FRAMES, "other": rhythm.FRAMES}
STILL = {"piano": 62, "other": 1}  # the frame that stands for the clip
BT709 = 1  # the number of ITU-R BT.709 in H.264 and VP9 headers
CODECS = {
    "mp4": ("libx264", {"crf": "20", "preset": "veryslow"}, {"movflags": "+faststart"}),
    "webm": ("libvpx-vp9", {"crf": "30", "b": "0", "deadline": "good", "cpu-used": "1", "row-mt": "1"}, {}),
}


def read_frames(folder, count):
    """The frames 0000.png ... of a folder; an error if one is missing or differs in size."""
    missing = [number for number in range(count) if not (folder / f"{number:04d}.png").exists()]
    if missing:
        raise SystemExit(
            f"{folder} lacks {len(missing)} of {count} frames, {missing[0]:04d}.png the first: render them first."
        )
    size = None
    for number in range(count):
        with av.open(str(folder / f"{number:04d}.png")) as picture:
            frame = next(picture.decode(video=0))
        if size not in (None, (frame.width, frame.height)):
            raise SystemExit(f"{folder} holds frames of different sizes: delete it and render again.")
        size = (frame.width, frame.height)
        yield frame


def encode(folder, count, target):
    """Write a clip to the path `target`; its ending says how."""
    codec, quality, container_options = CODECS[target.suffix[1:]]
    partial = target.with_suffix(".tmp")
    with av.open(str(partial), "w", format=target.suffix[1:], options=container_options) as clip:
        stream = None
        for number, picture in enumerate(read_frames(folder, count)):
            if stream is None:
                stream = clip.add_stream(codec, rate=score.FPS, options=quality)
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuv420p"
                context = stream.codec_context
                context.colorspace = context.color_primaries = context.color_trc = context.color_range = BT709
            frame = picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = number, Fraction(1, score.FPS)
            frame.pict_type = av.video.frame.PictureType.NONE  # a PNG's frame asks to be a key frame
            clip.mux(stream.encode(frame))
        clip.mux(stream.encode())
    os.replace(partial, target)


def still(folder, number, target):
    """Write one frame as a JPEG picture."""
    partial = target.with_suffix(".tmp")
    with av.open(str(folder / f"{number:04d}.png")) as picture:
        frame = next(picture.decode(video=0)).reformat(format="yuvj420p", dst_color_range="JPEG")
    with av.open(str(partial), "w", format="mjpeg") as file:
        stream = file.add_stream("mjpeg", rate=1, options={"qmin": "3", "qmax": "3"})
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuvj420p"
        frame.pts = 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    os.replace(partial, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", choices=sorted(LENGTH))
    parser.add_argument("--folder", type=Path, default=FRAMES_FOLDER, help="where the frames are")
    parser.add_argument("--output", type=Path, default=ROOT / "figures", help="where the clips go")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for clip in options.clips:
        for ending in CODECS:
            encode(options.folder / clip, LENGTH[clip], options.output / f"{clip}.{ending}")
        still(options.folder / clip, STILL[clip], options.output / f"{clip}-poster.jpg")
        for path in sorted(options.output.glob(f"{clip}[.-]*")):
            print(f"{path.name} {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
