"""From which ratio on a piano with something else is labelled Other: the table of docs/corpus.md, measured.

`python -m pipeline.studies.mixtures` draws mixtures of the training split at fixed ratios, and counts the seconds in
which `pipeline.corpus.audibility` hears the other. It writes the tables of the recipe, too.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline import files, parsing
from pipeline.corpus import catalogue, collection, instruments
from pipeline.corpus.sounds import Accompanied, Excerpt, at_ratio
from pipeline.errors import PipelineError

PAGE = Path(__file__).parents[2] / "docs" / "corpus.md"
RATIOS = (0, -6, -12, -18, -24, -30, -36, -42)  # dB(A) of the other above the piano
SECONDS = 6


def label_by_ratio(recordings, count=30, seed=0):
    """The share of seconds labelled Other by part (bass, chords, melody, brushes) and ratio: a DataFrame.

    Seconds in which the piano or the other rests do not count.
    """
    parts, heard = defaultdict(list), defaultdict(list)
    for recording in recordings:
        if isinstance(recording.sound, Accompanied) and recording.split == "train":
            parts[recording.sound.part].append(recording.sound)
    for part, sounds in tqdm(sorted(parts.items()), desc="mixtures", unit="part", disable=None):
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            piano, other, *_ = sounds[rng.integers(len(sounds))].parts(rng, SECONDS)
            alone = at_ratio(Excerpt(piano, 0.0, ""), other, 60.0).keep & _sounds(piano) & _sounds(other)
            for ratio in RATIOS:
                heard[part, ratio] += list(at_ratio(Excerpt(piano, 0.0, ""), other, ratio).keep[alone])
    table = pd.Series({key: np.mean(values) for key, values in heard.items() if values})
    return table.unstack().loc[:, list(RATIOS)]


def _sounds(samples):
    """Which seconds are less than 30 dB softer than the loudest: bool array (seconds,)."""
    power = np.square(samples[: SECONDS * 16000]).reshape(SECONDS, -1).mean(axis=1)
    return power > 1e-3 * power.max()


def markdown_ratios(table):
    lines = [f"| the other beside a piano | {' | '.join(f'{ratio} dB' for ratio in table)} |"]
    lines.append("|---" * (1 + len(table.columns)) + "|")
    lines += [f"| {part} | {' | '.join(f'{share:.0%}' for share in row)} |" for part, row in table.iterrows()]
    return "\n".join(lines)


def markdown_shares():
    """The share of each kind in both recipes, in per cent of its class; one's own recordings left out."""
    columns = {
        (r, label): _percent(catalogue.shares(r)[label]) for label in ("Piano", "Other") for r in catalogue.RECIPES
    }
    kinds = list(dict.fromkeys(kind for shares in columns.values() for kind in shares))
    lines = [f"| kind | {' | '.join(f'{label}, {recipe}' for recipe, label in columns)} |", "|---|---|---|---|---|"]
    for kind in kinds:
        cells = (shares.get(kind) for shares in columns.values())
        lines.append(f"| {kind} | {' | '.join(f'{cell:.0f}' if cell else '' for cell in cells)} |")
    return "\n".join(lines)


def _percent(shares):
    shares = {kind: share for kind, share in shares.items() if kind != "own"}
    return {kind: 100 * share / sum(shares.values()) for kind, share in shares.items()}


def markdown_augmentations():
    default, released = (catalogue.augmentations(recipe) for recipe in catalogue.RECIPES)
    lines = ["| augmentation | default | released |", "|---|---|---|"]
    lines += [f"| {name} | {default[name]:g} | {released[name]:g} |" for name in default]
    return "\n".join(lines)


def main(arguments=None):
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.studies.mixtures", description=__doc__.splitlines()[0])
    option = parser.add_argument
    option("--sources", nargs="*", default=["all"], help="where the sound comes from (default: all)")
    option("--instruments", type=parsing.path, default=instruments.default(), help=instruments.HELP)
    option("--page", type=parsing.path, default=PAGE, help=f"the page with the tables (default: docs/{PAGE.name})")
    options = parser.parse_args(arguments)
    try:
        found = collection.recordings(options.sources, sampled=options.instruments, recipe="released")
    except PipelineError as error:
        print(f"mixtures: {error}", file=sys.stderr)
        return 1
    files.write_section(options.page, "label by ratio", markdown_ratios(label_by_ratio(found)))
    files.write_section(options.page, "shares", markdown_shares())
    files.write_section(options.page, "augmentations", markdown_augmentations())
    return 0


if __name__ == "__main__":
    sys.exit(main())
