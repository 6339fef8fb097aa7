"""Classes of one's own: a folder of recordings, one sub-folder a class -> a model that tells them apart, and how well.

Recordings are divided into training, validation and test before anything else, so that no recording, and no group of
recordings that belong together, is on two sides. The figures are those of the test recordings, judged whole.
"""

import shutil
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nn import Model
from pipeline import files
from pipeline.batch import labelling
from pipeline.corpus import collection, dataset
from pipeline.corpus.sounds import Recorded
from pipeline.errors import SourceError
from pipeline.learning import report
from pipeline.learning.training import train
from pipeline.workers import Pool

MOST_CLASSES = 50
SHARE = 0.15  # of the groups of each class, for validation and again for the test


@dataclass(frozen=True)
class Evaluation:
    """What a model says of recordings that it has not learned from.

    Attributes
    ----------
    recordings : DataFrame
        A row each: recording, group, truth, and the columns of `Recognition.to_dict` or `Failure.to_dict`.
    class_names : list of str
    """

    recordings: pd.DataFrame
    class_names: list

    @property
    def confusion(self):
        """How many recordings of each class (rows) got which label (columns), as a DataFrame of int."""
        judged = self.recordings.dropna(subset=["label"])
        counts = pd.crosstab(judged["truth"], judged["label"])
        return counts.reindex(index=self.class_names, columns=self.class_names, fill_value=0)

    @property
    def accuracy(self):
        """Share of the recordings that got their label."""
        return float(np.trace(self.confusion) / max(self.confusion.to_numpy().sum(), 1))

    @property
    def by_class(self):
        """Recordings, precision, recall and F1 of each class, as a DataFrame."""
        counts = self.confusion.to_numpy()
        right, truth, said = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
        precision, recall = right / np.maximum(said, 1), right / np.maximum(truth, 1)
        f1 = 2 * right / np.maximum(truth + said, 1)
        columns = {"recordings": truth, "precision": precision, "recall": recall, "F1": f1}
        return pd.DataFrame(columns, index=pd.Index(self.class_names, name="class"))

    def interval(self, n_draws=1000, seed=0):
        """95 % bootstrap interval of the accuracy, over recordings."""
        right = (self.recordings["truth"] == self.recordings["label"]).to_numpy()[self.recordings["label"].notna()]
        drawn = np.random.default_rng(seed).integers(len(right), size=(n_draws, len(right)))
        return tuple(np.percentile(right[drawn].mean(axis=1), [2.5, 97.5]).tolist())


def recordings(folder, groups=None, seed=0):
    """The recordings of a folder with a sub-folder for each class, divided into splits: a list of collection.Recording.

    `groups` is a CSV file with the columns file (a path within the folder) and group; each file is its own group by
    default. Every class is in every split. Raises SourceError where that cannot be.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise SourceError("missing", f"There is no folder {folder}; check the spelling.")
    found = collection.class_files(folder)
    names, labels = [name for _, name, _ in found], [_composed(label) for _, _, label in found]
    if not 2 <= len(set(labels)) <= MOST_CLASSES:
        raise SourceError(
            "classes",
            f"{folder} has {len(set(labels))} sub-folders with sound in them; make one for each class, "
            f"2 to {MOST_CLASSES}.",
        )
    groups = _read_groups(groups, names) if groups else names
    splits = divide(list(zip(labels, groups)), seed)
    return [
        collection.Recording(
            name,
            label,
            files.as_text(folder.name),
            group,
            "own",
            "own",
            "recording",
            splits[group],
            Recorded(str(path)),
        )
        for (path, name, _), label, group in zip(found, labels, groups)
    ]


def divide(pairs, seed=0):
    """A split for each group: `pairs` are (label, group), one a recording; returns {group: split}.

    Of each class `SHARE` of the groups, and at least one, goes to the test and to validation each, the rest to training;
    classes with few groups choose first. Raises SourceError for a class that would be missing in a split.
    """
    rng, splits = np.random.default_rng(seed), {}
    groups_of = {
        label: sorted({group for other, group in pairs if other == label})
        for label in sorted({label for label, _ in pairs})
    }
    few = [label for label, groups in groups_of.items() if len(groups) < 3]
    if few:
        raise SourceError(
            "classes",
            f"{', '.join(few)}: each class needs at least three recordings (or groups), for training, "
            "validation and test; add some, or take the class out.",
        )
    for split in ("test", "validation"):
        for label, groups in sorted(groups_of.items(), key=lambda item: len(item[1])):
            wanted = max(1, round(SHARE * len(groups))) - sum(splits.get(group) == split for group in groups)
            free = [group for group in rng.permutation(groups).tolist() if group not in splits]
            splits |= dict.fromkeys(free[: max(wanted, 0)], split)
    splits = {group: splits.get(group, "train") for groups in groups_of.values() for group in groups}
    for split in collection.SPLITS:
        missing = [label for label, groups in groups_of.items() if split not in [splits[group] for group in groups]]
        if missing:
            raise SourceError(
                "groups", f"{', '.join(missing)}: the groups leave no recording for {split}; choose smaller groups."
            )
    return splits


def learn(folder, out, groups=None, n_clips=None, epochs=8, workers=None, dask=None, seed=0, progress=True):
    """Train a model on a folder of recordings and write it to `out`, and beside it an evaluation page (.html).

    Parameters
    ----------
    folder, groups, seed
        As in `recordings`.
    out : str or Path
        A model file (.npz) that is not there yet, nor the page. While it is made, `out` with `.work` appended holds clips and
        a checkpoint; the same call goes on with them.
    n_clips : int, optional
        Clips of one second to make of the recordings, equally many of each class; 1,000 a class by default.
    workers, dask
        Who makes the clips and judges the test recordings; see `pipeline.workers.Pool`.

    Returns the Evaluation on the test recordings. Raises SourceError for a folder that cannot be used.
    """
    out = Path(out).absolute()
    page, work = out.with_suffix(".html"), out.with_name(out.name + ".work")
    if out.suffix != ".npz":
        raise SourceError("output", f"{out} would be a model file; give --out a name that ends in .npz.")
    if out.exists() or (page.exists() and not work.exists()):  # a run that was stopped may have left its page
        raise SourceError(
            "output", f"{out if out.exists() else page} is there already; choose another --out, or delete it."
        )
    if not out.parent.is_dir():
        raise SourceError("output", f"There is no folder {out.parent}; make it, or choose another --out.")
    found = recordings(folder, groups, seed)
    n_clips = n_clips or 1000 * len({recording.label for recording in found})
    learned = [recording for recording in found if recording.split != "test"]
    dataset.build(work, n_clips=n_clips, recordings=learned, seed=seed, jobs=workers, dask=dask)
    model = train(work, work / "model.npz", epochs=epochs, seed=seed, progress=progress)
    evaluation = evaluate(
        work / "model.npz", [recording for recording in found if recording.split == "test"], workers, dask
    )
    model.metadata = {
        "folder": files.as_text(Path(folder).name),
        "seed": seed,
        "clips": n_clips,
        "test accuracy": evaluation.accuracy,
    }
    about = {
        "recordings for training, validation, test": [
            sum(r.split == split for r in found) for split in collection.SPLITS
        ],
        "clips of one second": n_clips,
        "seed": seed,
        "groups": groups or "each recording by itself",
    }
    report.write(evaluation, model.history, page, f"{files.as_text(out.name)}: {len(model.class_names)} classes", about)
    model.save(out, include_optimizer=False)  # last, since what is there counts as done
    shutil.rmtree(work)
    return evaluation


def evaluate(model_path, found, workers=None, dask=None):
    """The Evaluation of a model file on whole recordings, as `label` judges them."""
    version = labelling.Version(str(model_path), labelling.fingerprint(model_path))
    tasks = ((recording.sound.path, None, recording.id, recording.id, version, None, 0) for recording in found)
    with Pool(workers, dask) as pool:
        rows = pd.DataFrame([finished.result() for finished in pool.run(labelling.listen, tasks)])
    known = pd.DataFrame(
        {"source": [r.id for r in found], "group": [r.group for r in found], "truth": [r.label for r in found]}
    )
    rows = known.merge(rows.reindex(columns=rows.columns.union(["label", "error", "message"])), on="source")
    return Evaluation(rows.rename(columns={"source": "recording"}), list(Model.load(model_path).class_names))


def _read_groups(path, names):
    """The groups of `names`, from a CSV file, in the same order."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise SourceError(
            "groups", f"{path} cannot be read as a table ({error}); give a CSV file with the columns file and group."
        ) from None
    if not {"file", "group"} <= set(table.columns):
        raise SourceError("groups", f"{path} has the columns {', '.join(table.columns)}; it needs file and group.")
    group_of = {
        _composed(file.replace("\\", "/")): group for file, group in zip(table["file"], table["group"]) if group
    }
    missing = [name for name in names if _composed(name) not in group_of]
    if missing:
        raise SourceError(
            "groups",
            f"{path} names no group for {missing[0]}" + (f" and {len(missing) - 1} more." if missing[1:] else "."),
        )
    return [group_of[_composed(name)] for name in names]


def _composed(name):
    """A name with each letter and its accents as one character, however the file system or the table wrote it."""
    return unicodedata.normalize("NFC", name)
