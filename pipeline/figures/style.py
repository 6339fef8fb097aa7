"""One look for every figure, and the way a figure leaves a notebook: shown with words for who cannot see it, and saved."""

import base64
import html
import io
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import display
from PIL import Image

from pipeline import files

# Okabe and Ito, 2008: colours that differ for every kind of colour vision, and differ in lightness too.
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)
CYCLE = (BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK)
CLASS_COLORS = {"Piano": BLUE, "Other": ORANGE}
GREY, LIGHT, DARK = "#8c8c8c", "#e6e6e6", "#333333"

WIDTH = 7.0  # inches, the text width of a page
PRINT_DPI, SCREEN_DPI = 200, 130
FIGURES = Path(__file__).parents[2] / "figures"


def use():
    """Make this look the look of all figures that follow."""
    plt.style.use(Path(__file__).with_name("paper.mplstyle"))


def publish(figure, alt, name=None, folder=FIGURES):
    """Show a figure in a notebook and, if it has a name, write `figure-NAME.png` and `.svg` into `folder`.

    `alt` says in words what the figure shows; it goes with the picture into the notebook and into its HTML.
    """
    if name is not None:
        save(figure, name, folder)
    width, data = round(figure.get_figwidth() * figure.dpi), base64.b64encode(_png(figure, SCREEN_DPI)).decode()
    plt.close(figure)
    # As HTML, since an output of type image/png is shown without its words, whatever its metadata say.
    image = f'<img alt="{html.escape(alt)}" width="{width}" src="data:image/png;base64,{data}">'
    display({"text/html": image, "text/plain": alt}, raw=True)


def save(figure, name, folder=FIGURES):
    """Write a figure as `figure-NAME.png` and `.svg` into `folder`."""
    with files.replacing(Path(folder, f"figure-{name}.png")) as temporary:
        temporary.write_bytes(_png(figure, PRINT_DPI))
    with files.replacing(Path(folder, f"figure-{name}.svg")) as temporary:
        figure.savefig(temporary, format="svg", dpi=PRINT_DPI, metadata={"Date": None})


def _png(figure, dpi):
    """A figure as PNG in 256 colours: a third of the size, and none of a pixel's colours off by more than some steps of 256."""
    picture, file = io.BytesIO(), io.BytesIO()
    figure.savefig(picture, format="png", dpi=dpi)
    colours = Image.open(picture).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    colours.save(file, "png", optimize=True, dpi=(dpi, dpi))
    return file.getvalue()
