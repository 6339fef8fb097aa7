"""One look for every figure, and the way a figure leaves a notebook: shown with words for who cannot see it, and saved."""

import base64
import html
import io
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import display

from pipeline import files

# Okabe and Ito, 2008: colours that differ for every kind of colour vision, and differ in lightness too.
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"
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
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=SCREEN_DPI)
    plt.close(figure)
    width, data = round(figure.get_figwidth() * figure.dpi), base64.b64encode(picture.getvalue()).decode()
    # As HTML, since an output of type image/png is shown without its words, whatever its metadata say.
    image = f'<img alt="{html.escape(alt)}" width="{width}" src="data:image/png;base64,{data}">'
    display({"text/html": image, "text/plain": alt}, raw=True)


def save(figure, name, folder=FIGURES):
    """Write a figure as `figure-NAME.png` and `.svg` into `folder`."""
    for suffix, options in (("png", {}), ("svg", {"metadata": {"Date": None}})):
        with files.replacing(Path(folder, f"figure-{name}.{suffix}")) as temporary:
            figure.savefig(temporary, format=suffix, dpi=PRINT_DPI, **options)
