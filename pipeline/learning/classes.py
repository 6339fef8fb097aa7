"""Classes of one's own: a folder of recordings, one sub-folder a class -> a model that tells them apart, and how well.

Recordings are divided into training, validation and test before anything else, so that no recording, and no group of
recordings that belong together, is on two sides. The figures are those of the test recordings, judged whole.
"""

import shutil
import unicodedata
from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from nn import Model
from pipeline import files
from pipeline.batch import labelling
from pipeline.corpus import collection, dataset
from pipeline.corpus.sounds import Recorded
from pipeline.errors import PipelineError, SourceError, printable
from pipeline.learning.report import Evaluation, write_page
from pipeline.learning.training import train
from pipeline.progress import note
from pipeline.song.cleaning import clean
from pipeline.song.sources import in_folder
from pipeline.workers import Pool, WorkerDied

MOST_CLASSES = 50
SHARE = 0.15  # of the groups of each class, for validation and again for the test


def recordings(folder, groups=None, seed=0, left_out=()):
    """The recordings of a folder with a sub-folder for each class, divided into splits: a list of collection.Recording.

    `groups` is a CSV file with the columns file (a path within the folder) and group; each file is its own group by
    default. Files named in `left_out` do not count. Every class is in every split, or SourceError is raised.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise SourceError("missing", f"There is no folder {folder}; check the spelling.")
    found = [(path, name) for path, name, fault in _sounds(folder) if not fault and name not in left_out]
    names, labels = [name for _, name in found], [_composed(name.partition("/")[0]) for _, name in found]
    if not 2 <= (n_classes := len(set(labels))) <= MOST_CLASSES:
        message = f"{folder} has {n_classes} sub-folders with sound in them; make one for each class"
        raise SourceError("classes", f"{message}, 2 to {MOST_CLASSES}.")
    groups = _read_groups(groups, names) if groups else names
    splits, source = divide(list(zip(labels, groups)), seed), files.as_text(folder.name)
    return [
        collection.Recording(*(name, label, source, group, "own", "own", "recording"), splits[group], Recorded(path))
        for (path, name), label, group in zip(found, labels, groups)
    ]


def faults(folder, workers=None, dask=None):
    """What cannot be used of a folder of classes: {name within the folder: why, in a word}. Every file is decoded.

    That is what `label` refuses, such as empty, damaged and silent files; files in no sub-folder; and sub-folders that
    cannot be read or hold no sound.
    """
    folder = Path(folder).absolute()
    found = _sounds(folder)
    known = {name: fault for _, name, fault in found}
    used = {name.partition("/")[0] for name in known}
    for name in (files.as_text(path.name) for path in folder.iterdir() if path.is_dir()):
        if name not in used and not name.startswith(".") and not files.is_system(name):
            known[name] = "no sound"
    tasks = [(path, name) for path, name, fault in found if not fault]
    known |= dict.fromkeys((name for _, name in tasks), "ends its process")  # unless that comes back
    with Pool(workers, dask) as pool:
        for checked in tqdm(pool.run(_check, tasks), "checking", len(tasks), unit="file", disable=None):
            if not isinstance(checked.exception(), WorkerDied):
                name, known[name] = checked.result()
    return {name: fault.replace("_", " ") for name, fault in sorted(known.items()) if fault}


def _sounds(folder):
    """What is in a folder: `[(path, name within the folder, why it is no recording of a class or None), ...]`."""
    found = []
    for path, target in in_folder(folder):
        name = files.as_text(Path(path).relative_to(folder))
        if not name.startswith("."):
            in_class = None if "/" in name else "in no class"
            found.append((path, name, target.kind if isinstance(target, SourceError) else in_class))
    return found


def _check(path, name):
    """In some process: the name, and the kind of error for which the file at `path` cannot be used, or None."""
    try:
        deque(clean(path), maxlen=0)
    except PipelineError as error:
        return name, error.kind
    return name, None


def divide(pairs, seed=0):
    """A split for each group: `pairs` are (label, group), one a recording; returns {group: split}.

    Of each class `SHARE` of the groups, and at least one, goes to the test and to validation each, the rest to
    training.
    Classes with few groups choose first. Raises SourceError for a class that would be missing in a split.
    """
    rng, splits = np.random.default_rng(seed), {}
    labels = sorted({label for label, _ in pairs})
    groups_of = {label: sorted({group for other, group in pairs if other == label}) for label in labels}
    if few := [label for label, groups in groups_of.items() if len(groups) < 3]:
        message = "each class needs at least three recordings (or groups), for training, validation and test"
        raise SourceError("classes", f"{', '.join(few)}: {message}; add some, or take the class out.")
    for split in ("test", "validation"):
        for groups in sorted(groups_of.values(), key=len):
            wanted = max(1, round(SHARE * len(groups))) - sum(splits.get(group) == split for group in groups)
            free = [group for group in rng.permutation(groups).tolist() if group not in splits]
            splits |= dict.fromkeys(free[: max(wanted, 0)], split)
    splits = {group: splits.get(group, "train") for groups in groups_of.values() for group in groups}
    for split in collection.SPLITS:
        if missing := [label for label in labels if split not in [splits[group] for group in groups_of[label]]]:
            message = f"the groups leave no recording for {split}; choose smaller groups"
            raise SourceError("groups", f"{', '.join(missing)}: {message}.")
    return splits


def learn(folder, out, groups=None, n_clips=None, epochs=8, workers=None, dask=None, seed=0, skip_broken=False):
    """Train a model on a folder of recordings and write it to `out`, and beside it an evaluation page (.html).

    Parameters
    ----------
    folder, groups, seed
        As in `recordings`.
    out : str or Path
        A model file (.npz) that is not there yet, nor the page. While it is made, `out` with `.work` appended holds
        clips and a checkpoint; the same call goes on with them.
    n_clips : int, optional
        Clips of one second to make of the recordings, equally many of each class; 1,000 a class by default.
    workers, dask
        Who makes the clips and judges the test recordings; see `pipeline.workers.Pool`.
    skip_broken : bool
        Leave out what cannot be used, instead of raising SourceError "broken" that names all of it.

    Returns the Evaluation on the test recordings. Raises SourceError for a folder that cannot be used.
    """
    out = Path(out).absolute()
    page, work = out.with_suffix(".html"), out.with_name(out.name + ".work")
    if out.suffix != ".npz":
        raise SourceError("output", f"{out} would be a model file; give --out a name that ends in .npz.")
    if out.exists() or (page.exists() and not work.exists()):  # a run that was stopped may have left its page
        there = out if out.exists() else page
        raise SourceError("output", f"{there} is there already; choose another --out, or delete it.")
    if not out.parent.is_dir():
        raise SourceError("output", f"There is no folder {out.parent}; make it, or choose another --out.")
    found = recordings(folder, groups, seed)
    broken = faults(folder, workers, dask)
    if broken:
        named = ", ".join(f"{printable(name)} ({fault})" for name, fault in broken.items())
        if not skip_broken:
            remedy = "mend or remove them, or leave them out with --skip-broken"
            raise SourceError("broken", f"These cannot be used: {named}; {remedy}.")
        note(f"Left out: {named}.")
        found = recordings(folder, groups, seed, broken)
    n_clips = n_clips or 1000 * len({recording.label for recording in found})
    learned = [recording for recording in found if recording.split != "test"]
    tested = [recording for recording in found if recording.split == "test"]
    dataset.build(work, n_clips=n_clips, recordings=learned, seed=seed, jobs=workers, dask=dask)
    model = train(work, work / "model.npz", epochs=epochs, seed=seed)
    evaluation = evaluate(work / "model.npz", tested, workers, dask)
    source = files.as_text(Path(folder).name)
    model.metadata = {"folder": source, "seed": seed, "clips": n_clips, "test accuracy": evaluation.accuracy}
    counts = [str(sum(recording.split == split for recording in found)) for split in collection.SPLITS]
    about = {
        "recordings for training, validation, test": ", ".join(counts),
        "clips of one second": n_clips,
        "seed": seed,
        "groups": groups or "each recording by itself",
        "left out": ", ".join(broken) or "nothing",
    }
    title = f"{files.as_text(out.name)}: {len(model.class_names)} classes"
    write_page(evaluation, model.history, page, title, about)
    model.save(out, include_optimizer=False)  # last, since what is there counts as done
    shutil.rmtree(work)
    return evaluation


def evaluate(model_path, found, workers=None, dask=None):
    """The Evaluation of a model file on whole recordings, as `label` judges them."""
    version = labelling.Version(str(model_path), labelling.fingerprint(model_path))
    tasks = ((recording.sound.path, None, recording.id, recording.id, version, None, 0) for recording in found)
    with Pool(workers, dask) as pool:
        rows = pd.DataFrame([finished.result() for finished in pool.run(labelling.listen, tasks)])
    known = pd.DataFrame([(r.id, r.group, r.label) for r in found], columns=["source", "group", "truth"])
    rows = known.merge(rows.reindex(columns=rows.columns.union(["label", "error", "message"])), on="source")
    return Evaluation(rows.rename(columns={"source": "recording"}), list(Model.load(model_path).class_names))


def _read_groups(path, names):
    """The groups of `names`, from a CSV file, in the same order."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read as a table ({error}); give a CSV file with the columns file and group."
        raise SourceError("groups", message) from None
    if not {"file", "group"} <= set(table.columns):
        raise SourceError("groups", f"{path} has the columns {', '.join(table.columns)}; it needs file and group.")
    rows = zip(table["file"], table["group"])
    group_of = {_composed(file.replace("\\", "/")): group for file, group in rows if group}
    if missing := [name for name in names if _composed(name) not in group_of]:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise SourceError("groups", f"{path} names no group for {missing[0]}{more}.")
    return [group_of[_composed(name)] for name in names]


def _composed(name):
    """A name with each letter and its accents as one character, however the file system or the table wrote it."""
    return unicodedata.normalize("NFC", name)
