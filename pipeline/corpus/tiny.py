"""A tiny dataset of the sample songs, in the layout of `pipeline.corpus.dataset`, to try the notebooks in a minute.

It needs no network and no package. It is far too small to train a network that is of any use.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import files
from pipeline.corpus import dataset
from pipeline.corpus.catalogue import OTHER, PIANO, SPLITS
from pipeline.errors import SourceError
from pipeline.song.audio import is_audio, load
from pipeline.song.cleaning import cut_array

SAMPLES = Path("data/samples")
PER_SONG = 12  # clips


def build(out, songs=SAMPLES):
    """Make `clips.npy`, `clips.csv` and `report.json` in folder `out`, unless they are there; returns the report.

    The songs' names begin with their class, "piano-..." or "other-..."; the songs of a class go in turn to training,
    validation and test. Raises SourceError if a class has fewer songs than there are splits.
    """
    out = Path(out)
    if not (out / "report.json").exists():
        clips, table = _cut(Path(songs))
        files.write_array(out / "clips.npy", clips)
        files.write_table(out / "clips.csv", table)
        files.write_json(out / "report.json", dataset.describe(table))
    return json.loads((out / "report.json").read_text())


def _cut(songs):
    """The first clips of every song, int16 (n, 16000), in the order of the splits, and their table."""
    clips, rows = {split: [] for split in SPLITS}, {split: [] for split in SPLITS}
    for label in (PIANO, OTHER):
        paths = sorted(path for path in songs.glob(f"{label.lower()}-*") if is_audio(path))
        if len(paths) < len(SPLITS):
            message = f"{songs} holds {len(paths)} songs of class {label}; a tiny dataset needs {len(SPLITS)}."
            raise SourceError("missing", message)
        for number, path in enumerate(paths):
            split, name = SPLITS[number % len(SPLITS)], path.stem
            found, starts = (part[:PER_SONG] for part in cut_array(load(path)))
            clips[split].append(np.rint(found * 32767).astype(np.int16))
            about = [name, label, "samples", name, "", "sample", name.split("-", 1)[1], split, name]
            rows[split] += [[*about, int(start)] for start in starts]
    table = pd.DataFrame([row for split in SPLITS for row in rows[split]], columns=dataset.COLUMNS)
    return np.concatenate([part for split in SPLITS for part in clips[split]]), table
