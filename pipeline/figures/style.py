"""One look for every figure, parts that several figures share, and how a figure is shown in a notebook and saved."""

import base64
import html
import io
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from PIL import Image

from pipeline import files

# Okabe and Ito, 2008: colours that differ for every kind of colour vision, and differ in lightness too.
CYCLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, _ = CYCLE
CLASS_COLORS = {"Piano": BLUE, "Other": ORANGE}
GREY, LIGHT, DARK = "#8c8c8c", "#e6e6e6", "#333333"

DASHED = {"color": DARK, "linewidth": 0.9, "linestyle": (0, (2, 2)), "zorder": 1}  # a line to compare others with

WIDTH = 7.0  # inches, the text width of a page
PRINT_DPI, SCREEN_DPI = 200, 130
FIGURES = Path(__file__).parents[2] / "figures"


def use():
    """Make this look the look of all figures that follow."""
    plt.style.use(Path(__file__).with_name("paper.mplstyle"))


def class_color(label):
    """The colour of a class; grey for one that has none."""
    return CLASS_COLORS.get(label, GREY)


def horizontal_bars(ax, names, values, color=BLUE, text=None):
    """A bar a name, the first at the bottom; `text` formats the number behind each bar."""
    places = np.arange(len(names))
    ax.barh(places, values, color=color, height=0.66)
    ax.set_yticks(places, names)
    ax.tick_params(axis="y", length=0)
    if text is not None:
        ax.bar_label(ax.containers[-1], [text.format(value) for value in values], padding=3, fontsize=7, color=DARK)
    ax.margins(y=0.02)


def publish(figure, alt, name=None, folder=FIGURES, caption=""):
    """Show a figure in a notebook and, if it has a name, write `figure-NAME.png` and `.svg` into `folder`.

    `alt` describes the figure in words, for those who cannot see it; `caption` is shown below it.
    """
    if name is not None:
        save(figure, name, folder)
    width, data = round(figure.get_figwidth() * figure.dpi), base64.b64encode(_png(figure, SCREEN_DPI)).decode()
    plt.close(figure)
    # As HTML, since Jupyter shows an output of type image/png without alternative text, whatever its metadata say.
    image = f'<img alt="{html.escape(alt)}" width="{width}" src="data:image/png;base64,{data}">'
    text = " ".join(filter(None, (f"<b>Figure {name}.</b>" if name else "", html.escape(caption))))
    below = f'<figcaption style="max-width: {width}px; text-align: left">{text}</figcaption>' if caption else ""
    page = f'<figure style="margin: 1em 0">{image}{below}</figure>'
    display({"text/html": page, "text/plain": caption or alt}, raw=True)


def save(figure, name, folder=FIGURES):
    """Write a figure as `figure-NAME.png` and `.svg` into `folder`."""
    with files.replacing(Path(folder, f"figure-{name}.png")) as temporary:
        temporary.write_bytes(_png(figure, PRINT_DPI))
    with files.replacing(Path(folder, f"figure-{name}.svg")) as temporary:
        figure.savefig(temporary, format="svg", dpi=PRINT_DPI, metadata={"Date": None})


def _png(figure, dpi):
    """A figure as PNG in 256 colours, a third of the size; a pixel's colours are off by some steps of 256 at most."""
    picture, file = io.BytesIO(), io.BytesIO()
    figure.savefig(picture, format="png", dpi=dpi)
    colours = Image.open(picture).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    colours.save(file, "png", optimize=True, dpi=(dpi, dpi))
    return file.getvalue()
