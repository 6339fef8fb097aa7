"""Sampled instruments of one's own: a folder with a sub-folder for each, and README.tsv, which says what they are.

`docs/sampled-instruments.md` describes the format. A maker's instruments are all in one split.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from pipeline.corpus import catalogue
from pipeline.corpus.catalogue import SPLITS
from pipeline.corpus.packages import Package
from pipeline.corpus.sampler import instrument_notes
from pipeline.errors import SourceError

FOLDER = Path("data/generated/instruments")
HELP = f"a folder of sampled instruments (default: {FOLDER}, if it is there)"
README = "README.tsv"
PARTS = 3, 1, 1  # of the makers that no table names, in each of the splits
COLUMNS = ("slug", "family", "maker")  # those that are needed; split, licence and others may follow


def default():
    """The folder that is used if none is named: `FOLDER`, or None where there is none."""
    return FOLDER if FOLDER.is_dir() else None


@dataclass(frozen=True)
class SampledInstrument:
    """A row of README.tsv, with the folder of its notes; `name` and `family` are used as those of a catalogue.Samples.

    No split divides a `family`, which here is the maker. `label` and what follows come from data/sounds/families.csv.
    """

    name: str
    folder: Path
    instrument: str
    family: str
    split: str
    licence: str
    label: str
    melodic: bool
    bass: bool
    weight: float

    @property
    def package(self):
        return Package("folder", self.folder.parent.name)


def read(folder):
    """The instruments of a folder: a list of SampledInstrument.

    Raises SourceError, which names the row or the file, if README.tsv is missing or has a mistake, an instrument has no
    notes or a file whose name says none, or one maker stands in two splits.
    """
    folder = Path(folder)
    try:
        text = (folder / README).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        needed = f"a table in UTF-8 with the columns {', '.join(COLUMNS)}"
        raise SourceError("instrument", f"{folder} needs a file {README}, {needed}; add it.") from None
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
        message = f"{README} of {folder} lacks the columns {', '.join(missing)}, separated by tabs; add them."
        raise SourceError("instrument", message)
    found, splits = {}, {}
    for number, row in enumerate(rows, 2):
        try:
            instrument = _parse(folder, {key: (cell or "").strip() for key, cell in row.items() if key})
            if instrument.name in found:
                raise ValueError(f"the instrument {instrument.name} stands twice")
            if splits.setdefault(instrument.family, instrument.split) != instrument.split:
                raise ValueError(f"the {instrument.family} is already in {splits[instrument.family]}")
        except ValueError as error:
            raise SourceError("instrument", f"Line {number} of {folder / README} cannot be used: {error}.") from None
        instrument_notes(instrument.folder)
        found[instrument.name] = instrument
    if not found:
        raise SourceError("instrument", f"{folder / README} names no instruments; add a line for each sub-folder.")
    return list(found.values())


def _parse(folder, row):
    name, families = row["slug"], catalogue.families()
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise ValueError(f"the slug {name!r} must be the name of a sub-folder")
    if not (folder / name).is_dir():
        raise ValueError(f"there is no folder {name}")
    if row["family"] not in families:
        raise ValueError(f"the family {row['family']!r} is not one of {', '.join(families)}")
    if not row["maker"]:
        raise ValueError("the maker is missing; write who recorded the instrument, so that a split does not divide it")
    if row.get("split") not in (*SPLITS, "", None):
        raise ValueError(f"the split must be one of {', '.join(SPLITS)}, or empty")
    family = families[row["family"]]
    maker = next((maker for maker in catalogue.makers() if row["maker"].startswith(maker)), row["maker"])
    return SampledInstrument(
        name=name,
        folder=folder / name,
        instrument=f"{row['family'].capitalize().replace('-', ' ')} ({name})",
        family=f"maker {maker}",
        split=row.get("split") or catalogue.makers().get(maker) or catalogue.split_by_hash(maker, PARTS),
        licence=row.get("licence", ""),
        label=family["label"],
        melodic=family["melodic"],
        bass=family["bass"],
        weight=family["weight"],
    )
