"""Songs of YouTube as a source: a table of links becomes a folder with a sub-folder for each class.

Songs are downloaded one after another, as many an hour as YouTube grants a guest. A second call fetches what is
missing. A song that fails is reported and does not stop the others.
"""

import argparse
import csv
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline import files, parsing
from pipeline.batch import PER_HOUR
from pipeline.batch.downloader import Downloader, DownloadsStopped
from pipeline.errors import DownloadError, LinkError, PipelineError, SourceError
from pipeline.song import links
from pipeline.song.audio import SAMPLE_RATE, decode

TABLE, FOLDER = Path("data/playlists.csv"), Path("data/generated/youtube")
LABEL = re.compile(r"[\w][\w -]{0,40}")
COLUMNS = ["label", "link", "limit", "start", "end", "family"]
SONGS = ["label", "link", "family", "file", "seconds", "error", "message"]


@dataclass(frozen=True)
class Row:
    """A line of the table: the songs of `link` (at most `limit`, None: all) belong to the class `label`.

    `start` and `end` are the seconds that people listened to, None for all of them; `family` is a kind of sound.
    """

    label: str
    link: links.Link
    limit: int | None = None
    start: float | None = None
    end: float | None = None
    family: str = ""


def read(path):
    """Read a CSV with the columns label, link, limit and the optional start, end, family: a list of Row.

    Lines that begin with # are comments. Raises SourceError, naming the line, if a value is none, a link stands twice,
    or a label is spelt in two ways.
    """
    path = Path(path)
    if not path.is_file():
        raise SourceError("missing", f"There is no list {path}; check the spelling.")
    rows, first_lines, spellings = [], {}, {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise SourceError("list", f"{path.name} is not a text in UTF-8; save it as one.") from None
    for number, line in enumerate(lines, 1):
        cells = [] if line.lstrip().startswith("#") else [cell.strip() for cell in next(csv.reader([line]), [])]
        if not any(cells) or cells[:2] == COLUMNS[:2]:
            continue
        try:
            row = _parse(cells)
            known = spellings.setdefault(re.sub(r"\W", "", row.label).casefold(), row.label)
            if known != row.label:
                raise ValueError(f"the label {row.label} was spelt {known} before")
            if row.link in first_lines:
                raise ValueError(f"its link stands on line {first_lines[row.link]} already")
        except (ValueError, LinkError) as error:
            raise SourceError("list", f"Line {number} of {path.name} is not label,link,limit: {error}") from None
        first_lines[row.link] = number
        rows.append(row)
    if not rows:
        example = "Piano,https://www.youtube.com/playlist?list=...,50"
        raise SourceError("list", f"{path.name} names no song or playlist; add a line such as: {example}")
    return rows


def _parse(cells):
    label, link, limit, start, end, family = (*cells, *[""] * len(COLUMNS))[: len(COLUMNS)]
    if not LABEL.fullmatch(label):
        raise ValueError("the label must be a word, such as Piano")
    if limit and not (limit.isdecimal() and int(limit)):
        raise ValueError("the limit must be a number from 1 on")
    if bool(start) != bool(end) or (start and not 0 <= float(start) < float(end) < 1e6):
        raise ValueError("start and end must be two numbers of seconds, the smaller one first")
    part = (float(start), float(end)) if start else (None, None)
    return Row(label, links.parse(link), int(limit) if limit else None, *part, family)


def scrape(path, folder=FOLDER, segments=False, progress=None, per_hour=PER_HOUR, ydl_factory=None):
    """Download every song of the table at `path` to `folder`/LABEL/VIDEO_ID.EXTENSION.

    Parameters
    ----------
    segments : bool
        Where the table gives start and end, keep these seconds alone, as VIDEO_ID-START-END.flac.
    progress : callable, optional
        Gets (songs done, songs in all, the running link).
    per_hour : float
        At most so many downloads an hour.

    Returns
    -------
    DataFrame, a row a song: label, link, family, file (within `folder`), seconds; where it failed, error and message.
    It is also written to `folder`/songs.csv, by whatever the run is ended.

    Raises SourceError if the table cannot be read, DownloadsStopped if YouTube refuses one song after another.
    """
    folder, rows = Path(folder), read(path)
    known, songs = _known(folder), []
    with Downloader(per_hour, ydl_factory=ydl_factory) as downloader:
        wanted = [(row, link) for row in rows for link in _listed(row, downloader, songs)]
        try:
            for done, (row, link) in enumerate(wanted):
                if progress:
                    progress(done, len(wanted), link.url)
                part = (row.start, row.end) if segments and row.end else None
                song = {"label": row.label, "link": link.url, "family": row.family}
                try:
                    song |= _kept(folder, row.label, link, part, known) or _fetch(
                        folder, row.label, link, part, downloader
                    )
                except DownloadsStopped:
                    raise
                except PipelineError as error:
                    song |= {"error": error.kind, "message": str(error)}
                songs.append(song)
        finally:
            table = pd.DataFrame(songs, columns=SONGS)
            files.write_table(folder / "songs.csv", table)
    if progress:
        progress(len(wanted), len(wanted), "")
    return table


def scrape_with_bar(path, folder, segments=False, per_hour=PER_HOUR):
    """`scrape`, with a bar that shows the time left on standard error."""
    with tqdm(unit="song") as bar:

        def show(done, total, url):
            bar.total = total
            bar.set_description_str(url[-11:])
            bar.update(done - bar.n)

        return scrape(path, folder, segments, show, per_hour)


def _listed(row, downloader, songs):
    """The links of a row's songs; a playlist that cannot be listed becomes a row of `songs`."""
    if row.link.kind != "playlist":
        return [row.link]
    try:
        return [entry.link for entry in downloader.playlist(row.link).result().entries[: row.limit]]
    except DownloadsStopped:
        raise
    except DownloadError as error:
        failed = {"label": row.label, "link": row.link.url, "family": row.family}
        songs.append(failed | {"error": error.kind, "message": str(error)})
        return []


def _known(folder):
    """The seconds of each file that an earlier run wrote down."""
    path = folder / "songs.csv"
    if not path.exists():
        return {}
    table = pd.read_csv(path).dropna(subset=["file"])
    return dict(zip(table["file"], table["seconds"]))


def _kept(folder, label, link, part, known):
    """What is told of a song that is there already, or None."""
    name = f"{link.id}.*" if part is None else _part_name(link, part)
    for path in (folder / label).glob(name):
        file = path.relative_to(folder).as_posix()
        return {"file": file, "seconds": known.get(file)}


def _fetch(folder, label, link, part, downloader):
    song, stack = downloader.download(link).result()
    with stack:
        target = folder / label / (f"{link.id}{song.path.suffix}" if part is None else _part_name(link, part))
        if part is None:
            with files.replacing(target) as temporary:
                shutil.copyfile(song.path, temporary)
            return {"file": target.relative_to(folder).as_posix(), "seconds": song.seconds}
        samples = _seconds(song.path, *part)
        if len(samples) < SAMPLE_RATE:
            raise DownloadError(
                "too_short", f"The video ends before second {part[0] + 1:g} of the part that is wanted."
            )
        files.write_flac(target, samples, SAMPLE_RATE)
        return {"file": target.relative_to(folder).as_posix(), "seconds": len(samples) / SAMPLE_RATE}


def _seconds(path, start, end):
    """The samples from second `start` to `end`; what comes after is not decoded."""
    blocks, n = [], 0
    for block in decode(path):
        blocks.append(block[max(round(start * SAMPLE_RATE) - n, 0) :])
        n += len(block)
        if n >= end * SAMPLE_RATE:
            break
    return np.concatenate(blocks)[: round((end - start) * SAMPLE_RATE)]


def _part_name(link, part):
    return f"{link.id}-{part[0]:g}-{part[1]:g}.flac"


def summary(songs):
    """Songs and hours that came, by label, and how many failed for which reason: a DataFrame with a row a label."""
    came = songs[songs["error"].isna()].groupby("label")["seconds"].agg(songs="size", hours=lambda s: s.sum() / 3600)
    failed = songs.dropna(subset=["error"]).groupby(["label", "error"]).size().unstack(fill_value=0)
    return came.join(failed, how="outer").fillna(0).round(2)


def main(arguments=None):
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.corpus.playlists", description="Download the songs of a table of links."
    )
    parser.add_argument("table", nargs="?", default=TABLE, help=f"CSV of {', '.join(COLUMNS)} (default: {TABLE})")
    parser.add_argument("--out", default=FOLDER, help=f"the folder to write (default: {FOLDER})")
    parser.add_argument("--segments", action="store_true", help="keep only the seconds from start to end")
    parser.add_argument("--per-hour", type=parsing.count, default=PER_HOUR, help=f"downloads (default: {PER_HOUR})")
    options = parser.parse_args(arguments)
    try:
        songs = scrape_with_bar(options.table, options.out, options.segments, options.per_hour)
    except PipelineError as error:
        parser.exit(1, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "Stopped; the same command goes on.\n")
    for row in songs.dropna(subset=["error"]).itertuples():
        print(f"{row.link}: {row.message}")
    print(summary(songs).to_string())
    return int(songs["error"].notna().all())


if __name__ == "__main__":
    raise SystemExit(main())
