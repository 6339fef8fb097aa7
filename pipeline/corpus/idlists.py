"""Public lists of YouTube ids as sources: their tables become lines of a table of playlists, a song a line.

GiantMIDI-Piano (Kong et al., 2022) lists works for the piano with the probability that a recording is solo piano;
AudioSet (Gemmeke et al., 2017) lists segments of ten seconds with what can be heard in them. Both are CC BY 4.0.
"""

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import files
from pipeline.errors import SourceError
from pipeline.song.links import VIDEO_ID, Link

# AudioSet's names for the piano, the electric piano, and the keyboards above both
PIANO_IDS = frozenset({"/m/05r5c", "/m/01s0ps", "/m/05148p4"})


def from_giantmidi(path, n, min_piano=0.9, min_similarity=0.6, seed=0):
    """`n` random rows ("Piano", link, 1) of GiantMIDI-Piano's table, whose name ends in `_pianosoloprob.csv`.

    `min_piano` is the least probability of solo piano, by the authors' detector. `min_similarity` is the least
    similarity of the video's title and the name of the work; below it, the video is likely another work.
    Raises SourceError.
    """
    table = _read(path, sep="\t", quoting=csv.QUOTE_NONE)
    if not {"youtube_id", "similarity", "piano_solo_prob"} <= set(table):
        raise SourceError("list", f"{Path(path).name} is not GiantMIDI-Piano's table with the column piano_solo_prob.")
    numbers = table[["similarity", "piano_solo_prob"]].apply(pd.to_numeric, errors="coerce")
    good = (numbers["similarity"] >= min_similarity) & (numbers["piano_solo_prob"] >= min_piano)
    return _draw("Piano", table.loc[good, "youtube_id"], n, seed)


def from_audioset(path, n, without=PIANO_IDS, label="Other", seed=0):
    """`n` random rows (label, link, 1) of an AudioSet table such as `balanced_train_segments.csv`.

    Segments with any of the labels `without` are left out, but only ten seconds of a video were listened to: a song
    that is called Other because of them may hold piano elsewhere. Raises SourceError.
    """
    names = ["id", "start", "end", "labels"]
    table = _read(path, comment="#", header=None, names=names, skipinitialspace=True)
    if table["labels"].isna().any():
        raise SourceError("list", f"{Path(path).name} is not a table of AudioSet's segments.")
    good = ~table["labels"].map(lambda labels: bool(without & set(labels.split(","))))
    return _draw(label, table.loc[good, "id"], n, seed)


def save(rows, path):
    """Write rows (label, link, limit) as a table for `pipeline.corpus.playlists.scrape`, in place of what is there."""
    files.write_table(path, pd.DataFrame(rows, columns=["label", "link", "limit"]))


def _read(path, **options):
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], **options)
    except FileNotFoundError:
        message = f"There is no list {path}; download it first, its address is in notebook 01."
        raise SourceError("missing", message) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        raise SourceError("list", f"{Path(path).name} is not a table of ids; download it again.") from None
    if table.empty:
        raise SourceError("list", f"{Path(path).name} is empty; download it again.")
    return table


def _draw(label, ids, n, seed):
    ids = ids.drop_duplicates()
    ids = ids[ids.map(lambda found: bool(VIDEO_ID.fullmatch(found)))].to_numpy()
    chosen = np.random.default_rng(seed).permutation(ids)[:n]
    return [(label, Link("video", str(found)).url, 1) for found in chosen]
