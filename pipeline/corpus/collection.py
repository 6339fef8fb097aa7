"""The corpus: labelled recordings from sources, each with its origin, licence, kind and split.

Sources are packages (`default` needs pip alone, `npm` and `debian` their clients) and folders of one's own.
A recording holds no samples. It makes excerpts on demand, so that a corpus fits in memory.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tqdm import tqdm

from pipeline.corpus import catalogue, instruments, noises, performances
from pipeline.corpus.catalogue import OTHER, SPLITS
from pipeline.corpus.packages import available, fetch_all
from pipeline.corpus.sampler import SamplePlayer
from pipeline.corpus.scores import midi_in_wad
from pipeline.corpus.sounds import RATE, Noise, Piece, Recorded, Scattered
from pipeline.errors import AudioError, SourceError
from pipeline.files import as_text
from pipeline.song.sources import in_folder

SOURCES = {"default": "pip", "npm": "npm", "debian": "apt"}
CHUNK = 40  # scattered files, at least, in one recording


@dataclass(frozen=True)
class Recording:
    """One recording of the corpus.

    No split divides a `group`: a family of fonts, a package, a file. `kind` has a share of its class, in
    `catalogue.shares`; `weight` is the recording's share of its kind. `sound.excerpt(rng, seconds)` makes sound.
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


def recordings(sources=("default",), folders=(), folder_split=None, sampled=None, recipe="default"):
    """All recordings of the named sources and of folders of one's own, in a fixed order.

    Parameters
    ----------
    sources : names out of `SOURCES`, or "all" for each whose client this machine has
    folders : paths; each sub-folder is a class, each file in it a recording
    folder_split : "train", "validation" or "test" for all files of the folders; None: 8:1:1 by file
    sampled : folder of sampled instruments, as `instruments.read` takes it, which play beside those of the sources
    recipe : one of `catalogue.RECIPES`; it says which kinds there are

    Raises SourceError if a source is unknown, a client or the network fails, a folder holds no sound, or two different
    recordings have one id.
    """
    names = [n for n, client in SOURCES.items() if available(client)] if "all" in sources else list(sources)
    for name in names:
        if name not in SOURCES:
            raise SourceError("source", f"There is no source called {name}; choose from {', '.join(SOURCES)} and all.")
    own = instruments.read(sampled) if sampled else []
    found = _packaged({SOURCES[name] for name in names}, own, recipe) if names else []
    for folder in folders:
        found += from_folder(folder, folder_split)
    return _unique(found)


def from_folder(folder, split=None):
    """Recordings of a folder of one's own: one sub-folder a class, any number of classes."""
    found, folder = [], Path(folder)
    for path, name, label in class_files(folder):
        sound = Recorded(str(path))
        with naming(name):
            minutes = min(max(len(sound.samples()) / RATE, 1), 240) / 60
        origin, where = as_text(folder.name), split or catalogue.split_by_hash(name)
        found.append(Recording(name, label, origin, name, "own", "own", "recording", where, sound, minutes))
    return found


def class_files(folder):
    """The sound files of a folder with a sub-folder for each class: a list of (path, name within the folder, class).

    They are in the order of their paths. Hidden sub-folders are left out. Raises SourceError if there are none.
    """
    found, folder = [], Path(folder)
    if not folder.is_dir():
        raise SourceError("missing", f"There is no folder {folder}; check the spelling.")
    for path, target in in_folder(folder):
        if isinstance(target, SourceError):
            raise target
        name = as_text(Path(path).relative_to(folder))
        if "/" in name and not name.startswith("."):
            found.append((target, name, name.split("/")[0]))
    if not found:
        message = f"{folder} holds no sound in sub-folders; make one for each class, such as Piano and Other."
        raise SourceError("no_audio", message)
    return found


@contextmanager
def naming(recording):
    """A context in which an AudioError becomes a SourceError that names the recording with its folder."""
    try:
        yield
    except AudioError as error:
        raise SourceError(error.kind, f"Of the recordings, {recording} cannot be used: {error}") from error


def _unique(found):
    """The recordings without duplicates, which chance can draw. Raises SourceError for two with one id."""
    unique = {}
    for r in found:
        if unique.setdefault((r.split, r.id), r).sound != r.sound:
            raise SourceError("id", f"Two different recordings are called {r.id}; give their files names that differ.")
    return list(unique.values())


def _packaged(clients, own, recipe):
    """The recordings of all packages that these clients fetch, and of sampled instruments of one's own."""
    tables = [[e for e in catalogue.entries(kind) if e.package.client in clients] for kind in catalogue.KINDS]
    where = fetch_all(list(dict.fromkeys(package for table in tables for e in table for package in e.packages)))
    fonts, samples, pieces, recorded = tables
    fonts = [(entry, str(_files(where[entry.package], entry.path)[0])) for entry in fonts]
    samples = [(entry, tuple(str(where[package] / entry.path) for package in entry.packages)) for entry in samples]
    played = {split: {"performance": [], "band": []} for split in SPLITS}
    pieces = [(entry, *piece) for entry in pieces for piece in _pieces(entry, where[entry.package])]
    for entry, piece, split in tqdm(pieces, desc="pieces", unit="piece", disable=None):
        piece.score()  # half a minute for all; what plays them finds them read
        played[split][entry.kind].append((piece, entry))
    found = [recording for entry in recorded for recording in _recorded(entry, where[entry.package])]
    found += [
        Recording(f"noise/{kind}", OTHER, "synthesis", f"noise/{kind}", "own", "noise", kind, split, Noise(kind))
        for split in SPLITS
        for kind in noises.KINDS
    ]
    for split in SPLITS:
        played_by = [i for entry, path in fonts if entry.split == split for i in performances.of_font(entry, path)]
        played_by += [
            performances.of_samples(entry, SamplePlayer(folders), entry.name)
            for entry, folders in samples
            if entry.split == split
        ]
        played_by += [
            performances.of_samples(entry, SamplePlayer((str(entry.folder),), is_instrument=True), entry.instrument)
            for entry in own
            if entry.split == split
        ]
        bands = [(entry, path) for entry, path in fonts if entry.split == split and entry.drums]
        unplayed = [recording for recording in found if recording.split == split]
        made = performances.recordings(played_by, bands, played[split], unplayed)
        found += [Recording(split=split, **fields) for fields in made]
    shares = catalogue.shares(recipe)
    return [recording for recording in found if recording.kind in shares[recording.label]]


def _files(folder, pattern):
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not files:
        raise SourceError("package", f"{folder.name} does not hold {pattern}; delete that folder and try again.")
    return files


def _pieces(entry, folder):
    """Yield each Piece of an entry with its split."""
    for path in _files(folder, entry.path):
        for name in sorted(midi_in_wad(path)) if path.suffix == ".wad" else [""]:
            piece = Piece(str(path), name)
            splits = (split for split in ("validation", "test") if _named(piece, getattr(entry, split)))
            yield piece, next(splits, "train")


def _named(piece, names):
    """Whether a piece has one of these names as a part of its own; a number must end it, since 1 is not 10."""
    return any(fnmatch(piece.name, f"*{n}") or (n in piece.name and not n[-1].isdigit()) for n in names)


def _recorded(entry, folder):
    """The recordings of an entry of the catalogue: one a file, but `CHUNK` files or more where they are scattered."""
    files = [file for file in _files(folder, entry.path) if not any(part in file.as_posix() for part in entry.skip)]
    name = entry.package.name
    if entry.scattered:
        count = max(len(files) // CHUNK, 1)
        chunks = [tuple(map(str, files[i::count])) for i in range(count)]
        made = [(f"{entry.kind}-{i}", name, Scattered(c), len(c) / CHUNK) for i, c in enumerate(chunks)]
    elif entry.part:  # parts of one performance belong together, whatever they hold
        sounds = [Recorded(str(f), catalogue.spans()[f.stem, entry.part]) for f in files]
        groups = [f"{name}/{f.stem.split('_')[-1]}" for f in files]
        made = [(f"{f.stem}/{entry.part}", group, sound, 1.0) for f, group, sound in zip(files, groups, sounds)]
    else:
        made = [(f.relative_to(folder).as_posix(), name, Recorded(str(f)), 1.0) for f in files]
    label, licence, kind, split = entry.label, entry.licence, entry.kind, entry.split
    return [
        Recording(f"{name}/{id}", label, name, group, licence, kind, kind, split, sound, weight)
        for id, group, sound, weight in made
    ]
