"""Material to try many classes on: solos of eleven instruments, rendered from four families of sound fonts and samples.

`python -m pipeline.studies.instruments FOLDER` writes a folder for each instrument, and `groups.csv`, which tells whose notes
each file is made of; with `--train` also the model, results and figure of docs/many-classes.md. Fetches packages through
pip, npm and apt.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from tqdm import tqdm

from pipeline import files, parsing
from pipeline.corpus import catalogue
from pipeline.corpus.packages import fetch
from pipeline.corpus.render import RATE, FontPlayer, Touch
from pipeline.corpus.sampler import SamplePlayer
from pipeline.corpus.sounds import Piece, Solo
from pipeline.errors import PipelineError
from pipeline.song.recognition import MODEL_PATH
from pipeline.workers import Pool

SPLITS = {"family": True, "file": False}  # by what the solos are divided: whether groups.csv says so
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
    """A player to whom a score is brought, octave by octave, into the range of the instrument."""

    def __init__(self, player, lowest, highest):
        self.player, self.range = player, (lowest, highest)

    def render(self, score, start, seconds, touch=Touch()):
        """As the player does."""
        return self.player.render(score.moved(0, *self.range), start, seconds, touch)


def write(folder, n_solos=8, seed=0):
    """Render `n_solos` solos of each instrument and family into `folder`; what is there already stays."""
    pieces, rows, tasks = _pieces(), [], []
    for number, (name, (program, samples, lowest, highest, one_note)) in enumerate(INSTRUMENTS.items()):
        for family, player in _players(program, samples).items():
            rng = np.random.default_rng([seed, number, *family.encode()])
            for i, place in enumerate(rng.choice(len(pieces), n_solos, replace=False)):
                path = Path(folder, name, f"{family}-{i}-{pieces[place].name}.flac".replace(" ", "_"))
                rows.append((path.relative_to(folder).as_posix(), family))
                if not path.exists():
                    tasks.append(
                        (
                            Solo(InRange(player, lowest, highest), pieces[place], one_note),
                            [seed, number, i, *family.encode()],
                            path,
                        )
                    )
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
    fonts = {font.name: font for font in catalogue.FONTS}
    players = {}
    for family, name in FONTS.items():
        path = next(fetch(fonts[name].package).glob(fonts[name].path))
        players[family] = FontPlayer(str(path), program)
    notes = next(entry for entry in catalogue.SAMPLES if entry.name == samples)
    players["tonejs"] = SamplePlayer(tuple(str(fetch(package) / notes.path) for package in notes.packages))
    return players


def _pieces():
    """The piano performances of the packages that pip fetches."""
    found = [entry for entry in catalogue.PIECES if entry.kind == "performance" and entry.source == catalogue.DEFAULT]
    return [Piece(str(path)) for entry in found for path in sorted(fetch(entry.package).glob(entry.path))]


def study(folder, out, into, splits=tuple(SPLITS), n_clips=6600, epochs=6):
    """Train on the folder, divided by family and by file, and write down how well either went.

    A model that is there already, and that the results tell of, is not made again. `into`: the folder of data/results, figures
    and docs/many-classes.md.
    """
    from pipeline.figures import style
    from pipeline.figures.evaluation import confusion
    from pipeline.learning import classes

    path = Path(into, "data/results/instruments.json")
    results = json.loads(path.read_text()) if path.exists() else {}
    about = {"recordings": len(list(Path(folder).glob("*/*.flac"))), "clips": n_clips, "epochs": epochs}
    if any(results.get(name) != value for name, value in about.items()):
        results = about
    for split in splits:
        model = Path(f"{out}-{split}.npz")
        if split in results and model.exists():
            continue
        groups = Path(folder, "groups.csv") if SPLITS[split] else None
        evaluation = classes.learn(folder, model, groups, n_clips, epochs)
        results[split] = {
            "test recordings": len(evaluation.recordings),
            "test families": sorted(evaluation.recordings["group"].unique()) if groups else [],
            "accuracy": round(evaluation.accuracy, 4),
            "interval": [round(value, 4) for value in evaluation.interval()],
            "confusion": evaluation.confusion.to_dict("index"),
        }
        files.write_json(path, results)
    if "family" in results:
        style.use()
        style.save(confusion(_counts(results["family"])), "classes-confusion", Path(into, "figures"))
    files.write_section(Path(into, "docs/many-classes.md"), "instruments", markdown(results))


def markdown(results):
    """The section of docs/many-classes.md: both accuracies, and the confusion matrix of the harder split."""
    lines = [
        f"{results['recordings']} solos, {results['clips']:,} clips of them, {results['epochs']} epochs.",
        "",
        "| divided by | tested on | recordings | right | 95 % interval |",
        "|---|---|---:|---:|---|",
    ]
    for split in [split for split in SPLITS if split in results]:
        row = results[split]
        tested = f"solos of {', '.join(row['test families'])}" if SPLITS[split] else "other solos of the same families"
        low, high = row["interval"]
        lines.append(
            f"| {split} | {tested} | {row['test recordings']} | {row['accuracy']:.1%} | {low:.1%} to {high:.1%} |"
        )
    if "family" in results:
        counts = _counts(results["family"])
        lines += [
            "",
            "Divided by family, rows the instrument, columns the label:",
            "",
            f"| | {' | '.join(counts.columns)} |",
            "|---" * (len(counts) + 1) + "|",
        ]
        lines += [
            f"| **{name}** | {' | '.join(str(n or '') for n in row)} |"
            for name, row in zip(counts.index, counts.to_numpy().tolist())
        ]
        lines += [
            "",
            "![Who was taken for whom: a matrix of instruments by labels](../figures/figure-classes-confusion.png)",
        ]
    return "\n".join(lines)


def _counts(row):
    return pd.DataFrame.from_dict(row["confusion"], orient="index")


def main(arguments=None):
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.studies.instruments", description="Render solos of eleven instruments."
    )
    parser.add_argument("folder")
    parser.add_argument("--solos", type=parsing.count, default=8, help="of each instrument and family (default: 8)")
    parser.add_argument(
        "--train", metavar="FILE", help="train on them, to model files with this beginning of their names"
    )
    parser.add_argument(
        "--split", choices=SPLITS, action="append", help="train divided by this only (default: by family, then by file)"
    )
    parser.add_argument("--clips", type=parsing.count, default=6600, help="to learn from (default: 6600)")
    parser.add_argument("--epochs", type=parsing.count, default=6, help="default: 6")
    parser.add_argument(
        "--into",
        type=Path,
        default=MODEL_PATH.parents[1],
        metavar="FOLDER",
        help="where data/results, figures and docs are (default: here)",
    )
    options = parser.parse_args(arguments)
    try:
        write(options.folder, options.solos)
        if options.train:
            study(
                options.folder,
                options.train,
                options.into,
                options.split or tuple(SPLITS),
                options.clips,
                options.epochs,
            )
    except PipelineError as error:
        print(f"instruments: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
