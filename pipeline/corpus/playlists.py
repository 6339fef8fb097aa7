"""Playlists of YouTube as a source: a table of label, link and limit -> a folder with a sub-folder for each class.
One song after another with a pause between them, as YouTube asks of guests; a second call fetches what is missing.
Songs that fail are reported and do not stop the others.
"""

import argparse
import csv
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import files
from pipeline.errors import DownloadError, LinkError, PipelineError, SourceError
from pipeline.song import download, links

PAUSE = (5.0, 10.0)  # seconds between two downloads
LABEL = re.compile(r"[\w][\w -]{0,40}")


@dataclass(frozen=True)
class Row:
    """One line of the table: all songs of `link` (at most `limit`, None: all) belong to the class `label`."""

    label: str
    link: links.Link
    limit: int | None


def read(path):
    """Read a CSV with the columns label, link, limit; lines that begin with # are comments.

    Raises SourceError, naming the line, if a label, link or limit is not one.
    """
    path = Path(path)
    if not path.is_file():
        raise SourceError("missing", f"There is no list {path}; check the spelling.")
    rows, header = [], ["label", "link", "limit"]
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise SourceError("list", f"{path.name} is not a text in UTF-8; save it as one.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        cells = [cell.strip() for cell in next(csv.reader([line]))]
        if cells == header:
            continue
        try:
            label, link, limit = ([*cells, "", ""])[:3]
            if not LABEL.fullmatch(label):
                raise ValueError("the label must be a word, such as Piano")
            if limit and not limit.isdecimal():
                raise ValueError("the limit must be a number")
            rows.append(Row(label, links.parse(link), int(limit) if limit else None))
        except (ValueError, LinkError) as error:
            raise SourceError("list", f"Line {number} of {path.name} is not label,link,limit: {error}") from None
    if not rows:
        raise SourceError(
            "list",
            f"{path.name} names no playlist; add a line such as: Piano,https://www.youtube.com/playlist?list=...,50",
        )
    return rows


def scrape(path, folder, progress=None, pause=PAUSE, seed=0, ydl_factory=None):
    """Download every song of the table at `path` to `folder`/LABEL/VIDEO_ID.EXTENSION.

    Songs that are there already are not fetched again. Returns a list of dicts (label, link, error, message) of what
    failed; it is also written to `folder`/failures.csv. `progress` gets ("downloading", songs done, songs in all).
    """
    folder, rng = Path(folder), np.random.default_rng(seed)
    wanted, failures = [], []
    for row in read(path):
        try:
            entries = [row.link]
            if row.link.kind == "playlist":
                entries = [e.link for e in download.playlist(row.link, row.limit, ydl_factory=ydl_factory).entries]
            wanted += [(row.label, link) for link in entries[: row.limit]]
        except DownloadError as error:
            failures.append(_failure(row.label, row.link, error))
    for done, (label, link) in enumerate(wanted):
        if progress:
            progress("downloading", done, len(wanted))
        (folder / label).mkdir(parents=True, exist_ok=True)
        if any((folder / label).glob(f"{link.id}.*")):
            continue
        try:
            with download.download(link, ydl_factory=ydl_factory) as song:
                target = folder / label / f"{link.id}{song.path.suffix}"
                with files.replacing(target) as temporary:
                    shutil.copyfile(song.path, temporary)
        except PipelineError as error:
            failures.append(_failure(label, link, error))
        time.sleep(rng.uniform(*pause))
    files.write_table(folder / "failures.csv", pd.DataFrame(failures, columns=["label", "link", "error", "message"]))
    if progress:
        progress("downloading", len(wanted), len(wanted))
    return failures


def _failure(label, link, error):
    return {"label": label, "link": link.url, "error": error.kind, "message": str(error)}


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.corpus.playlists", description="Download the songs of a table of playlists."
    )
    parser.add_argument(
        "table", nargs="?", default="data/playlists.csv", help="CSV of label, link, limit (default: data/playlists.csv)"
    )
    parser.add_argument(
        "--out", default="data/generated/playlists", help="the folder to write (default: data/generated/playlists)"
    )
    options = parser.parse_args(arguments)
    try:
        failures = scrape(options.table, options.out, lambda step, done, total: print(f"{step}: {done} of {total}"))
    except PipelineError as error:
        parser.exit(1, f"{error}\n")
    for failure in failures:
        print(f"{failure['link']}: {failure['message']}")


if __name__ == "__main__":
    main()
