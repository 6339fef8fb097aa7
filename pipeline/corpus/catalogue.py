"""The catalogue of sounds: what the corpus takes from each package, with licence and split.

The facts are in the tables of data/sounds; this module reads and checks them. A split never divides a recording, a MIDI
piece or a family of sound fonts. `python -m pipeline.corpus.catalogue` writes the tables into data/SOUNDS.md.
"""

import csv
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np

from pipeline import files
from pipeline.corpus import recordings
from pipeline.corpus.packages import Package
from pipeline.errors import SourceError

TABLES = Path(__file__).parents[2] / "data" / "sounds"
PAGE = TABLES.parent / "SOUNDS.md"
SPLITS = ("train", "validation", "test")
PIANO, OTHER = "Piano", "Other"
RECIPES = ("default", "released")  # the dataset from pip alone, and the corpus of the released model


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of a table: files in one or more packages, all under one licence.

    `path` is a glob within a package. `about` says what the files are, `comment` why some of them are left out.
    """

    packages: tuple
    path: str
    licence: str
    about: str = ""
    comment: str = ""

    @property
    def package(self):
        return self.packages[0]


@dataclass(frozen=True, kw_only=True)
class Font(Entry):
    """A sound font. Fonts that share samples belong to one `family`.

    The General MIDI programs `pianos` are pianos. All others are other instruments, except those `left_out` and the
    rest of the first four. A font with `drums` also plays whole bands.
    """

    name: str
    family: str
    split: str
    pianos: tuple
    left_out: tuple
    drums: bool


@dataclass(frozen=True, kw_only=True)
class Samples(Entry):
    """Recorded single notes of one instrument. Each package is a layer of velocity, softest first.

    A `melodic` instrument plays one note at a time. `weight` is how often it is drawn; a program of a font has 1.
    """

    name: str
    label: str
    family: str
    split: str
    melodic: bool
    bass: bool
    weight: float


@dataclass(frozen=True, kw_only=True)
class Pieces(Entry):
    """MIDI files for one piano (`kind` "performance") or a "band".

    Pieces with a name in `validation` or `test` belong to that split, all others to training.
    """

    kind: str
    validation: tuple
    test: tuple


@dataclass(frozen=True, kw_only=True)
class Recordings(Entry):
    """Sound files of one kind. Files with one of `skip` in their path are left out.

    `scattered` files are short and played one after another. `part` is "voice" or "piano" if only its `spans` count.
    """

    kind: str
    label: str
    part: str
    split: str
    scattered: bool
    skip: tuple


@dataclass(frozen=True)
class Program:
    """A General MIDI program, as the fonts play it.

    A `melodic` instrument is bowed, blown or sung, and mostly plays one note at a time. `with_piano`: it is also mixed
    with a piano. `weight` is how often it is drawn; struck and plucked instruments are most like a piano and have 2.
    """

    name: str
    melodic: bool
    with_piano: bool
    bass: bool
    weight: float


KINDS = {Font: "fonts", Samples: "samples", Pieces: "pieces", Recordings: "recordings"}  # each with its table


@cache
def entries(kind):
    """The rows of a table as a list of `kind`, which is one of `KINDS`."""
    columns = {field.name for field in fields(kind)} - {"packages"} | {"client", "package", "sdist"}
    found = []
    for row in read(KINDS[kind], columns):
        client, sdist, names = row.pop("client"), row.pop("sdist"), row.pop("package")
        packages = (Package(client, *name.partition("==")[::2], sdist) for name in names)
        found.append(kind(packages=tuple(packages), **row))
    return found


@cache
def programs():
    """The General MIDI programs: {number: Program}."""
    rows = read("programs", {"program", *(field.name for field in fields(Program))})
    return {row.pop("program"): Program(**row) for row in rows}


@cache
def spans():
    """Where somebody sings and where the piano is alone: {(file, part): ((start, end), ...)} in seconds.

    They were read off the spectrograms; breaths and short rests are in neither part.
    """
    found = defaultdict(tuple)
    for row in read("spans", {"file", "part", "start", "end"}):
        found[row["file"], row["part"]] += ((row["start"], row["end"]),)
    return dict(found)


@cache
def shares(recipe="default"):
    """How much of a class each kind of recording makes up, relative to the others: {label: {kind: share}}.

    `recipe` is one of `RECIPES`; kinds that it does not use are left out.
    """
    found = defaultdict(dict)
    for row in read("shares", {"label", "kind", *RECIPES}):
        if row[recipe]:
            found[row["label"]][row["kind"]] = row[recipe]
    return dict(found)


@cache
def augmentations(recipe):
    """The probability of each augmentation in a recipe: {name: probability}."""
    return {row["augmentation"]: row[recipe] for row in read("augmentation", {"augmentation", "about", *RECIPES})}


@cache
def devices():
    """How often each room or device is drawn, relative to the others: {name: share}."""
    return {row["device"]: row["share"] for row in read("devices", {"device", "share", "about"})}


@cache
def families():
    """The families of sampled instruments: {name: row as a dict}."""
    return {row["family"]: row for row in read("families", {"family", "label", "melodic", "bass", "weight", "about"})}


@cache
def makers():
    """The split of makers of sampled instruments by the beginning of their name: {name: split}."""
    return {row["maker"]: row["split"] for row in read("makers", {"maker", "split", "comment"})}


def split_by_hash(name, parts=(8, 1, 1)):
    """A split by a hash of the name, the same on every machine: `parts` are the shares of `SPLITS`."""
    return np.repeat(SPLITS, parts)[zlib.crc32(name.encode()) % sum(parts)].item()


def read(name, columns):
    """The rows of a table as dicts of checked values. Raises SourceError, which names the row of a mistake."""
    path, rows = TABLES / f"{name}.csv", []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if set(reader.fieldnames or ()) != columns:
            raise SourceError("table", f"{path.name} needs the columns {', '.join(sorted(columns))}.")
        for number, row in enumerate(reader, 2):
            try:
                if None in row or None in row.values():
                    raise ValueError("it has more or fewer cells than the header")
                rows.append({column: READERS.get(column, str)(cell) for column, cell in row.items()})
            except ValueError as error:
                raise SourceError("table", f"Row {number} of {path.name} is wrong: {error}.") from None
    return rows


def _one_of(*words):
    def check(cell):
        if cell not in words:
            raise ValueError(f"{cell!r} is not one of {', '.join(map(repr, words))}")
        return cell

    return check


def _yes(cell):
    return _one_of("yes", "")(cell) == "yes"


def _names(cell):
    """The names of a list such as "Aicha; Shut Up"."""
    return tuple(name.strip() for name in cell.split(";") if name.strip())


def _programs(cell):
    """The General MIDI programs of a list such as "0 3-5"."""
    ends = [part.partition("-") for part in cell.split()]
    return tuple(program for first, _, last in ends for program in range(int(first), int(last or first) + 1))


READERS = {  # of a cell, by column; any other is text
    "program": int,
    "client": _one_of("pip", "npm", "apt"),
    "split": _one_of(*SPLITS),
    "label": _one_of(PIANO, OTHER),
    "part": _one_of("voice", "piano", ""),
    **dict.fromkeys(("package", "skip", "validation", "test"), _names),
    **dict.fromkeys(("pianos", "left_out"), _programs),
    **dict.fromkeys(("sdist", "drums", "melodic", "with_piano", "bass", "scattered"), _yes),
    **dict.fromkeys(("weight", "share", "start", "end", *RECIPES), float),
}


def markdown():
    """Tables of Markdown for the page of sounds, by section."""
    downloaded, left_out = [], []
    for entry in (entry for kind in KINDS for entry in entries(kind)):
        names = ", ".join(f"`{package.name}`" for package in entry.packages)
        split = "by piece" if isinstance(entry, Pieces) else entry.split
        downloaded.append((entry.package.client, names, entry.about, entry.licence, split))
        if entry.comment:
            skipped = ", ".join(f"`{name}`" for name in getattr(entry, "skip", ()))
            left_out.append((f"{names} {skipped}".strip(), entry.comment))
    real = Counter((r.use, r.label, r.performer, r.licence) for r in recordings.read())
    return {
        "downloaded": _table(("client", "package", "what", "licence", "split"), downloaded),
        "real recordings": _table(
            ("use", "label", "what", "licence", "files"), [(*row, str(n)) for row, n in real.items()]
        ),
        "left out": _table(("what", "why"), left_out),
    }


def _table(header, rows):
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


def write_page(path=PAGE):
    """Write the tables into the page of sounds."""
    for section, text in markdown().items():
        files.write_section(path, section, text)


if __name__ == "__main__":
    write_page()
