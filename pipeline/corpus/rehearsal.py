"""A tiny dataset cut from the sample songs, in the layout of `pipeline.corpus.dataset`: to try the notebooks in a minute.
It needs no network and no package; nothing that is learnt from it means anything.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import files
from pipeline.corpus import dataset
from pipeline.corpus.collection import SPLITS
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
        _make(out, Path(songs))
    return json.loads((out / "report.json").read_text())


def _make(out, songs):
    parts = {split: ([], []) for split in SPLITS}
    for label in ("Piano", "Other"):
        paths = sorted(path for path in songs.glob(f"{label.lower()}-*") if is_audio(path))
        if len(paths) < len(SPLITS):
            raise SourceError(
                "missing", f"{songs} holds {len(paths)} songs of class {label}; a rehearsal needs {len(SPLITS)}."
            )
        for number, path in enumerate(paths):
            clips, starts = (part[:PER_SONG] for part in cut_array(load(path)))
            split = SPLITS[number % len(SPLITS)]
            parts[split][0].append(np.rint(clips * 32767).astype(np.int16))
            parts[split][1].extend(_rows(path, label, split, starts))
    table = pd.DataFrame([row for _, rows in parts.values() for row in rows], columns=dataset.COLUMNS)
    with files.replacing(out / "clips.npy") as temporary, open(temporary, "wb") as file:
        np.save(file, np.concatenate([clips for part, _ in parts.values() for clips in part]))
    files.write_table(out / "clips.csv", table)
    files.write_json(out / "report.json", dataset.describe(table))


def _rows(path, label, split, starts):
    shared = {
        "recording": path.stem,
        "label": label,
        "source": "samples",
        "group": path.stem,
        "licence": "",
        "kind": "sample",
        "instrument": path.stem.split("-", 1)[1],
        "split": split,
        "music": path.stem,
    }
    return [shared | {"second": int(start)} for start in starts]
