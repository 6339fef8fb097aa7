"""Small drawings for the steps of a diagram: each function takes what a step gave and returns `draw(ax)`."""

import numpy as np

from pipeline.figures.sound import draw_samples, dropped
from pipeline.figures.style import BLUE, DARK, GREY, LIGHT, class_color

N_CLIPS, N_PICTURES = 5, 3  # that are drawn


def text(words):
    """Words in the middle."""
    look = {"ha": "center", "va": "center", "fontsize": 7, "family": "monospace", "color": DARK}
    return lambda ax: ax.text(0.5, 0.5, words, transform=ax.transAxes, **look)


def waveform(samples, mask=None):
    """Samples as a line; where a mask is given, what it drops is grey."""

    def draw(ax):
        draw_samples(ax, samples)
        for start, stop in dropped(mask) if mask is not None else ():
            ax.axvspan(start, stop, facecolor=GREY, alpha=0.6, linewidth=0, zorder=3)
        ax.margins(x=0)

    return draw


def stack(clips):
    """Some clips, one below the other."""

    def draw(ax):
        shown = 0.5 * clips[:N_CLIPS] / np.abs(clips[:N_CLIPS]).max()
        for row, clip in enumerate(shown):
            blocks = clip[: len(clip) // 300 * 300].reshape(300, -1) - row
            ax.fill_between(np.arange(300), blocks.min(axis=1), blocks.max(axis=1), color=BLUE, linewidth=0.2)
        ax.margins(x=0)

    return draw


def pictures(spectrograms):
    """Some spectrograms (n, frames, mels) side by side."""

    def draw(ax):
        gap = np.full((spectrograms.shape[2], 6), np.nan)
        parts = [part for picture in spectrograms[:N_PICTURES] for part in (picture.T, gap)]
        ax.imshow(np.hstack(parts[:-1]), origin="lower")

    return draw


def bars(values):
    """A bar for each name of a dict, as shares of their sum."""

    def draw(ax):
        total = sum(values.values()) or 1
        for row, (name, value) in enumerate(values.items()):
            ax.barh(-row, 1, color=LIGHT, height=0.42)
            ax.barh(-row, value / total, color=class_color(name), height=0.42)
            ax.text(0, -row + 0.27, name, fontsize=6.5, va="bottom", color=DARK)
        ax.set(xlim=(0, 1), ylim=(-len(values) + 0.6, 0.7))

    return draw


def points(probabilities):
    """One probability a clip, over the song."""

    def draw(ax):
        ax.axhline(0.5, color=GREY, linewidth=0.7, linestyle="--")
        ax.plot(probabilities, "o", color=BLUE, markersize=2.2)
        ax.set_ylim(-0.1, 1.1)

    return draw
