"""Small drawings for the steps of a diagram: each function takes what a step gave and returns `draw(ax)`."""

import numpy as np

from pipeline.figures.sound import draw_samples
from pipeline.figures.style import BLUE, CLASS_COLORS, DARK, GREY, LIGHT

RATE = 16_000


def text(words):
    """Words in the middle."""
    return lambda ax: ax.text(
        0.5, 0.5, words, ha="center", va="center", fontsize=7, family="monospace", color=DARK, transform=ax.transAxes
    )


def waveform(samples, mask=None):
    """Samples as a line; where a mask is given, what it drops is grey."""

    def draw(ax):
        draw_samples(ax, samples, RATE, color=BLUE)
        if mask is not None:
            edges = np.flatnonzero(np.diff(np.r_[1, mask, 1].astype(int))).reshape(-1, 2)
            for start, stop in edges / RATE:
                ax.axvspan(start, stop, facecolor=GREY, alpha=0.6, linewidth=0, zorder=3)
        ax.margins(x=0)

    return draw


def stack(clips, count=5):
    """Some clips, one below the other."""

    def draw(ax):
        for row, clip in enumerate(clips[:count]):
            step = len(clip) // 300
            blocks = clip[: step * 300].reshape(300, step) / np.abs(clips[:count]).max()
            ax.fill_between(
                np.arange(300), blocks.min(1) * 0.5 - row, blocks.max(1) * 0.5 - row, color=BLUE, linewidth=0.2
            )
        ax.margins(x=0)

    return draw


def pictures(spectrograms, count=3):
    """Some spectrograms (n, frames, mels) beside each other."""

    def draw(ax):
        gap = np.full((spectrograms.shape[2], 6), np.nan)
        ax.imshow(
            np.hstack([part for picture in spectrograms[:count] for part in (picture.T, gap)][:-1]), origin="lower"
        )

    return draw


def bars(values):
    """A bar for each name of a dict, as shares of their sum."""

    def draw(ax):
        total = sum(values.values()) or 1
        for row, (name, value) in enumerate(values.items()):
            ax.barh(-row, 1, color=LIGHT, height=0.42)
            ax.barh(-row, value / total, color=CLASS_COLORS.get(name, GREY), height=0.42)
            ax.text(0, -row + 0.27, name, fontsize=6.5, va="bottom", color=DARK)
        ax.set(xlim=(0, 1), ylim=(-len(values) + 0.6, 0.7))

    return draw


def points(probabilities, color=BLUE):
    """One probability a clip, over the song."""

    def draw(ax):
        ax.axhline(0.5, color=GREY, linewidth=0.7, linestyle="--")
        ax.plot(probabilities, "o", color=color, markersize=2.2)
        ax.set_ylim(-0.1, 1.1)

    return draw
