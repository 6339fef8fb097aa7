"""The notebooks, top to bottom: `python -m pipeline.notebooks` runs them in order and keeps what they show.

`--fast` tries them on a tiny dataset and changes no file that is under version control.
"""

import argparse
import ast
import base64
import html
import importlib.metadata
import io
import platform
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from IPython.display import display

from pipeline import files

ROOT = Path(__file__).parents[1]
TIMEOUT = 3 * 3600  # seconds for one cell
CODE_LINK = re.compile(r"\[`([\w.]+)`\]\((\S+\.py)#L\d+\)")


@dataclass(frozen=True)
class Places:
    """Where a notebook reads and writes: folders of figures, of results, of training runs, and of the dataset."""

    figures: Path
    results: Path
    runs: Path
    clips: Path


def places(fast):
    """The Places of a run at full scale, or of a fast one: below folders that git ignores."""
    if fast:
        scratch = Path("data/generated/fast")
        return Places(Path("figures/generated"), scratch / "results", scratch / "runs", scratch / "clips")
    return Places(
        Path("figures"), Path("data/results"), Path("data/generated/runs"), Path("data/generated/clips-33602")
    )


def prepare_clips(fast, n_clips=33_602, seed=0):
    """Make the dataset of the notebooks, unless it is there; returns its report by split and class."""
    from pipeline import live
    from pipeline.corpus import dataset, tiny

    folder = places(fast).clips
    with live.line() as line:
        report = tiny.build(folder) if fast else dataset.build(folder, n_clips=n_clips, seed=seed)
        line.show(f"{sum(part['clips'] for part in report.values()):,} clips in {folder}")
    return report


def save_table(table, folder, name):
    """Write a DataFrame as `folder`/NAME.csv, four significant digits a number, and return the path."""
    path = folder / f"{name}.csv"
    files.write_table(path, table, float_format="%.4g")
    return path


def listen(sounds, rate=16_000):
    """Show a player for each sound, with its name below.

    `sounds`: dict of name to float samples (n,) in -1..1. They are kept in the notebook as Opus, some 3 kB a second.
    """
    players = []
    for name, samples in sounds.items():
        file = io.BytesIO()
        soundfile.write(file, np.clip(samples, -1, 1), rate, format="OGG", subtype="OPUS")
        source = f"data:audio/ogg;base64,{base64.b64encode(file.getvalue()).decode()}"
        caption = f'<figcaption style="font-size: smaller">{html.escape(name)}</figcaption>'
        audio = f'<audio controls preload="none" style="width: 220px; height: 36px" src="{source}"></audio>'
        players.append(f'<figure style="margin: 0; width: 220px">{audio}{caption}</figure>')
    page = f'<div style="display: flex; flex-wrap: wrap; gap: 12px 18px">{"".join(players)}</div>'
    display({"text/html": page, "text/plain": "Sounds: " + "; ".join(sounds)}, raw=True)


def versions(*packages):
    """One line with the version of Python and of the packages that a result depends on."""
    named = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    return ", ".join([f"Python {platform.python_version()}", *named])


def run(path, fast=False):
    """Execute one notebook; at full scale its outputs are kept in it, fast a copy goes to `data/generated/fast`.

    Raises nbclient's CellExecutionError, whose text shows the cell and its error.
    """
    import nbformat
    from nbclient import NotebookClient

    path = Path(path)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if fast and "parameters" in cell.metadata.get("tags", []):
            cell.source = cell.source.replace("FAST = False", "FAST = True")
    NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=40"],
    ).execute()
    target = ROOT / "data/generated/fast" / path.name if fast else path
    with files.replacing(target) as temporary:
        nbformat.write(_tidied(notebook), temporary)


def update_links(path):
    """Let every link such as [`Dense.forward`](../nn/dense.py#L42) in a notebook name the line of today."""

    def updated(link):
        name, file = link.groups()
        return f"[`{name}`]({file}#L{line_of(path.parent / file, name)})"

    text = path.read_text(encoding="utf-8")
    files.write_text(path, CODE_LINK.sub(updated, text))


def line_of(file, name):
    """The line on which a class, function or method such as "Dense.forward" is defined, counted from 1."""
    node = ast.parse(Path(file).read_text(encoding="utf-8"))
    for part in name.split("."):
        defined = (n for n in ast.walk(node) if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == part)
        node = next(defined)
    return node.lineno


def _tidied(notebook):
    """Without what differs from machine to machine and means nothing to a reader."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key in ("tags", "alt", "jupyter")}
    return notebook


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m pipeline.notebooks", description="Run the notebooks in order.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="which (default: all)")
    parser.add_argument("--links", action="store_true", help="update the links to lines of code, and run nothing")
    parser.add_argument("--fast", action="store_true", help="a small run that changes no file under version control")
    options = parser.parse_args(arguments)
    from nbclient.exceptions import CellExecutionError

    if wrong := [path for path in options.notebooks if path.suffix != ".ipynb" or not path.is_file()]:
        parser.error(f"{wrong[0]} is no notebook; give files such as notebooks/02_sound_to_image.ipynb")
    for path in options.notebooks or sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        if options.links:
            update_links(path)
            continue
        started = time.monotonic()
        try:
            run(path, options.fast)
        except CellExecutionError as error:
            print(f"{path.name} failed:\n{error}", file=sys.stderr)
            return 1
        print(f"{path.name}  {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
