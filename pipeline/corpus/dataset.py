"""A dataset: one-second clips on disk, cut from the recordings of a corpus, and a table that says where each is from.

Several processes make the clips, in shards. A shard gets its name when it is complete, so a build that was killed goes
on. The same seed makes the same clips.
"""

import argparse
import json
import os
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline import files, parsing
from pipeline.corpus import catalogue, collection, instruments
from pipeline.corpus.augment import augment, resample_speed
from pipeline.corpus.catalogue import OTHER, PIANO
from pipeline.errors import PipelineError, SourceError
from pipeline.song.audio import SAMPLE_RATE as RATE
from pipeline.song.audio import rms
from pipeline.song.cleaning import MIN_SOUND
from pipeline.workers import Pool

EXCERPT = 6  # seconds that are augmented together
SHARD = 256  # clips
SPEED = 0.4  # the probability that an excerpt is played faster or slower
PARTS = {"train": 0.8, "validation": 0.1, "test": 0.1}
COLUMNS = ["recording", "label", "source", "group", "licence", "kind", "instrument", "split", "music", "second"]
QUIET = 10 ** (-35 / 20)  # a second this far below the excerpt's loudest is a pause; above it, a note may be dying away
LAST = 0.04  # the probability that a clip ends early, as the last one of a song does, which is padded with zeros
SILENT = 1e-4


def build(
    out,
    sources=("default",),
    n_clips=33602,
    folders=(),
    folder_split=None,
    seed=0,
    jobs=2,
    recordings=None,
    dask=None,
    sampled=None,
    recipe="default",
):
    """Make `n_clips` clips in folder `out`: `clips.npy` int16 (n, 16000), `clips.csv`, `report.json`.

    Classes are equally frequent in each split; within a class, kinds have the shares of the recipe. Calling it again
    with the same arguments goes on where it was stopped.

    Parameters
    ----------
    sources, folders, folder_split, sampled, recipe
        As in `collection.recordings`.
    jobs : int
        Processes that make the clips.
    recordings : list of `collection.Recording`, optional
        Takes the place of sources and folders.
    dask : str, optional
        The address of a Dask scheduler; its workers, which see the same disk, take the place of the processes.

    Returns
    -------
    dict, the report: clips, distinct seconds of sound and of music, by split and label

    Raises SourceError if the folder holds another dataset, or there are fewer than two classes to train on.
    """
    out = Path(out).absolute()
    found = recordings
    if found is None:
        found = collection.recordings(sources, folders, folder_split, sampled, recipe)
    plan = _plan(found, n_clips)
    recipes = {} if recipe == "default" else {"recipe": recipe}
    _claim(out, {"n_clips": n_clips, "seed": seed, "recordings": _checksum(found), **recipes})
    if (out / "clips.csv").exists():  # written last
        return json.loads((out / "report.json").read_text())
    todo = [job for job in plan if not _shard(out, job).with_suffix(".csv").exists()]
    chosen = {job[:2]: [r for r in found if (r.split, r.label) == job[:2]] for job in todo}
    work = ((chosen[job[:2]], job, seed, _shard(out, job), recipe) for job in todo)
    n_done = n_clips - sum(job[3] for job in todo)
    with Pool(jobs, dask) as pool, tqdm(total=n_clips, initial=n_done, unit="clip", desc="clips") as bar:
        for made in pool.run(_make_shard, work):
            bar.update(made.result())
    return _assemble(out, plan)


def load(out, split=None):
    """Open a dataset: `(clips, labels, table, class_names)`, of one split or of all.

    `clips` is an int16 memory map (n, 16000); a split is a contiguous part of it. `labels` are int64: Piano 0, Other 1,
    then further classes by name.
    """
    out = Path(out)
    if not (out / "clips.csv").exists():
        message = f"{out} holds no complete dataset; build it with: python -m pipeline.corpus.dataset --out {out}"
        raise SourceError("missing", message)
    table = _read(out / "clips.csv")
    clips = np.load(out / "clips.npy", mmap_mode="r")
    names = class_names(table["label"])
    if split is not None:
        rows = np.flatnonzero(table["split"] == split)
        if not len(rows):
            known = ", ".join(table["split"].unique())
            raise SourceError("split", f"{out} has no split called {split}; choose from {known}.")
        clips, table = clips[rows[0] : rows[-1] + 1], table.iloc[rows].reset_index(drop=True)
    labels = table["label"].map({name: i for i, name in enumerate(names)}).to_numpy(np.int64)
    return clips, labels, table, names


def fingerprint(out):
    """A checksum of a dataset's table and of every hundredth clip, as eight characters."""
    clips, _, table, _ = load(out)
    return f"{zlib.crc32(clips[::100].tobytes(), zlib.crc32(table.to_csv().encode())):08x}"


def class_names(labels):
    """Piano and Other first, then whatever other classes there are, by name."""
    found = set(labels)
    return [name for name in (PIANO, OTHER) if name in found] + sorted(found - {PIANO, OTHER})


def _plan(found, n_clips):
    """Jobs (split, label, shard, clips): splits by `PARTS`, classes equally frequent. The rest goes to training."""
    jobs, labels = [], {split: class_names(r.label for r in found if r.split == split) for split in PARTS}
    parts = {split: part for split, part in PARTS.items() if len(labels[split]) > 1}
    if "train" not in parts:
        message = "A dataset needs at least two classes; give a folder with two sub-folders, or add a source."
        raise SourceError("classes", message)
    counts = {split: int(n_clips * part) for split, part in parts.items() if split != "train"}
    counts["train"] = n_clips - sum(counts.values())
    for split in parts:
        for i, label in enumerate(labels[split]):
            n = counts[split] // len(labels[split]) + (i < counts[split] % len(labels[split]))
            jobs += [(split, label, k, min(SHARD, n - k * SHARD)) for k in range(-(-n // SHARD))]
    return jobs


def _checksum(recordings):
    """A checksum of the recordings' splits and ids, and of the paths of one's own files."""
    paths = [f" {os.path.abspath(r.sound.path)}" if r.kind == "own" else "" for r in recordings]
    lines = [f"{r.split} {r.id}{path}" for r, path in zip(recordings, paths)]
    return zlib.crc32("\n".join(lines).encode("utf-8", "surrogateescape"))


def _claim(out, plan):
    """Write down what is built in a folder. Raises SourceError if that is another dataset already."""
    file = out / "plan.json"
    with files.writing(out):
        if file.exists() and json.loads(file.read_text()) != plan:
            message = f"{out} holds another dataset (other recordings, size or seed); delete it to begin anew."
            raise SourceError("dataset", message)
        files.write_json(file, plan)


def _shard(out, job):
    return out / "shards" / f"{job[0]}-{job[1]}-{job[2]:05d}.npy"


def _make_shard(recordings, job, seed, path, recipe="default"):
    """Make the clips of one job. The table is written last: it says that the shard is complete."""
    split, label, number, n = job
    rng = np.random.default_rng([seed, zlib.crc32(f"{split} {label}".encode()), number])
    shares = _probabilities(recordings, label, recipe)
    made, misses = [], 0
    while len(made) < n:
        found = list(cut(recordings[rng.choice(len(recordings), p=shares)], rng, recipe))
        made += found
        misses = 0 if found else misses + 1
        if misses > 2000:
            raise SourceError("silent", f"The recordings labelled {label} hold hardly any sound; check their files.")
    clips, rows = zip(*made[:n])
    with files.writing(path.parent):
        files.write_array(path, np.stack(clips))
        files.write_table(path.with_suffix(".csv"), pd.DataFrame(rows, columns=COLUMNS))
    return n


def _probabilities(recordings, label, recipe="default"):
    """A probability for each recording: kinds by their shares, recordings within a kind by their weight."""
    kinds, shares = pd.Series([r.kind for r in recordings]), catalogue.shares(recipe).get(label, {})
    weight = pd.Series([r.weight for r in recordings])
    share = kinds.map(lambda kind: shares.get(kind, 1.0)) * weight / weight.groupby(kinds).transform("sum")
    return (share / share.sum()).to_numpy()


def cut(recording, rng, recipe="default"):
    """One excerpt of a recording, augmented and cut into its seconds: yields (int16 clip, row of the table).

    A second is dropped if the recording itself, before augmentation, is silent in it or lies under the added noise, or
    if the excerpt does not keep it. The level of a clip that ends early is that of the part that is left.
    """
    with collection.naming(recording.id):
        excerpt = recording.sound.excerpt(rng, EXCERPT)
    samples, offset = excerpt.samples, 0
    if excerpt.keep is None and rng.random() < SPEED:
        samples = resample_speed(samples, rng)
    if len(samples) < RATE:  # a short file is one clip, as when it is classified
        if excerpt.keep is not None or len(samples) < MIN_SOUND:
            return
        samples = np.pad(samples, (0, RATE - len(samples)))
    elif len(samples) > RATE and excerpt.keep is None:
        offset = int(rng.integers(0, min(RATE, len(samples) - RATE + 1)))
    augmented, added = augment(samples, rng, recipe)
    about = [getattr(recording, column) for column in COLUMNS[1:-2]]
    seconds = (len(samples) - offset) // RATE
    loudest = max(rms(samples[offset + i * RATE : offset + (i + 1) * RATE]) for i in range(seconds))
    for i in range(seconds):
        start = offset + i * RATE
        part = slice(start, start + (int(rng.uniform(0.3, 1) * RATE) if rng.random() < LAST else RATE))
        noise = 0.0 if added is None else rms(added[part])
        audible = rms(samples[part]) >= max(SILENT, QUIET * loudest, 1.5 * noise)
        if audible and (excerpt.keep is None or excerpt.keep[i]):
            clip = np.zeros(RATE, np.int16)
            clip[: part.stop - start] = np.clip(np.rint(augmented[part] * 32767), -32768, 32767)
            yield clip, (recording.id, *about, excerpt.music, int(excerpt.second + start / RATE))


def _assemble(out, plan):
    """Join the shards, split by split, into one array and one table; then write the report."""
    shards = [_shard(out, job) for job in plan]
    table = pd.concat([_read(path.with_suffix(".csv")) for path in shards], ignore_index=True)
    report = describe(table)
    header = {"descr": "<i2", "fortran_order": False, "shape": (len(table), RATE)}
    with files.writing(out):
        with files.replacing(out / "clips.npy") as temporary, open(temporary, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for path in shards:
                file.write(np.load(path).tobytes())
        files.write_json(out / "report.json", report)
        files.write_table(out / "clips.csv", table)
    return report


def _read(path):
    """A table of clips; a name that is a number, such as a folder 1980, stays text."""
    return pd.read_csv(path, keep_default_na=False, dtype=dict.fromkeys(COLUMNS[:-1], str))


def describe(table):
    """How many clips there are, and of how many distinct seconds, for each split and label.

    Seconds of sound differ in recording, piece or time, seconds of music in piece or time, whoever plays it.
    """
    report = {}
    for (split, label), part in table.groupby(["split", "label"]):
        report[f"{split} {label}"] = {
            "clips": len(part),
            "recordings": int(part["recording"].nunique()),
            "groups": int(part["group"].nunique()),
            "distinct seconds of sound": len(part.drop_duplicates(["recording", "music", "second"])),
            "distinct seconds of music": len(part.drop_duplicates(["music", "second"])),
            "kinds": {k: int(n) for k, n in part["kind"].value_counts().items()},
        }
    return report


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m pipeline.corpus.dataset", description=__doc__.splitlines()[0])
    option = parser.add_argument
    option("--out", required=True, type=parsing.path, help="the folder to write")
    option("--clips", dest="n_clips", type=parsing.count, default=33602, help="how many clips (default: 33602)")
    sources = f"out of {', '.join(collection.SOURCES)}, or all (default: default)"
    option("--sources", nargs="*", default=["default"], help=sources)
    folder = "a folder of one's own, one sub-folder a class"
    option("--folder", dest="folders", action="append", default=[], help=folder)
    split = "the split of all files of the folders (default: 8:1:1 by file)"
    option("--folder-split", choices=catalogue.SPLITS, help=split)
    sampled = f"a folder of sampled instruments, such as {instruments.FOLDER}"
    option("--instruments", dest="sampled", type=parsing.path, help=sampled)
    recipe = "the shares of kinds and augmentations (default: default)"
    option("--recipe", choices=catalogue.RECIPES, default="default", help=recipe)
    option("--seed", type=parsing.seed, default=0)
    option("--workers", dest="jobs", type=parsing.count, default=2, help="processes on this machine (default: 2)")
    option("--dask", metavar="ADDRESS", help="the workers of this Dask scheduler instead")
    try:
        report = build(**vars(parser.parse_args(arguments)))
    except PipelineError as error:
        parser.exit(1, f"{error}\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
