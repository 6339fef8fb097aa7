"""A dataset: one-second clips on disk, made of the recordings of a corpus, with a table that tells where each is from.
Clips are made in shards by all processors; a shard gets its name when it is complete, so a build that was killed goes on.
The same seed makes the same clips.
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
from pipeline.corpus import collection
from pipeline.corpus.augment import augment, resample_speed
from pipeline.errors import PipelineError, SourceError
from pipeline.song.audio import rms
from pipeline.song.cleaning import MIN_SOUND
from pipeline.workers import Pool

RATE = 16000
EXCERPT = 6  # seconds that go through one chain of disturbances
SHARD = 256  # clips
SPEED = 0.4  # the share of excerpts that are played faster or slower
PARTS = {"train": 0.8, "validation": 0.1, "test": 0.1}
COLUMNS = ["recording", "label", "source", "group", "licence", "kind", "instrument", "split", "music", "second"]
QUIET = 10 ** (-35 / 20)  # a second this far below the excerpt's loudest is a pause; above it, a note may be dying away
LAST = 0.04  # the share of clips that end early, as the last one of a song does, which is padded with zeros
SILENT = 1e-4


def build(
    out,
    sources=("default",),
    n_clips=33602,
    folders=(),
    folder_split=None,
    seed=0,
    jobs=2,
    cache=collection.CACHE,
    progress=None,
    recordings=None,
    dask=None,
):
    """Make `n_clips` clips in folder `out`: `clips.npy` int16 (n, 16000), `clips.csv`, `report.json`.

    Classes are equally frequent in each split; within a class, kinds have the shares of `collection.SHARES`.
    Calling it again with the same arguments goes on where it was stopped. Shards are made by `jobs` processes, or by the
    workers of a Dask scheduler that see the same disk. `recordings`, a list of `collection.Recording`, takes the place of
    sources and folders.

    Returns
    -------
    dict, the report: clips, distinct seconds of sound and of music, by split and label

    Raises SourceError if the folder holds another dataset, or a split would have fewer than two classes.
    """
    out = Path(out).absolute()
    found = collection.recordings(sources, folders, cache, folder_split, progress) if recordings is None else recordings
    plan = _plan(found, n_clips)
    known = "\n".join(
        f"{r.split} {r.id} {os.path.abspath(r.sound.path)}" if r.kind == "own" else f"{r.split} {r.id}" for r in found
    )
    _remember(
        out, {"n_clips": n_clips, "seed": seed, "recordings": zlib.crc32(known.encode("utf-8", "surrogateescape"))}
    )
    if (out / "clips.csv").exists():  # written last
        return json.loads((out / "report.json").read_text())
    todo = [job for job in plan if not _shard(out, job).with_suffix(".csv").exists()]
    chosen = {job[:2]: [r for r in found if (r.split, r.label) == job[:2]] for job in todo}
    work = ((chosen[job[:2]], job, seed, _shard(out, job)) for job in todo)
    n_clips, n_todo = (sum(job[3] for job in jobs) for jobs in (plan, todo))
    with Pool(jobs, dask) as pool, tqdm(total=n_clips, initial=n_clips - n_todo, unit="clip", desc="clips") as bar:
        for made in pool.run(_make_shard, work):
            bar.update(made.result())
            if progress:
                progress("listening", bar.n, bar.total)
    return _assemble(out, plan)


def load(out, split=None):
    """Open a dataset: `(clips, labels, table, class_names)`, of one split or of all.

    `clips` is an int16 memory map (n, 16000); a split is a contiguous part of it. `labels` are int64, Piano 0 and Other 1,
    further classes after them by name.
    """
    out = Path(out)
    if not (out / "clips.csv").exists():
        raise SourceError(
            "missing", f"{out} holds no complete dataset; build it with: python -m pipeline.corpus.dataset --out {out}"
        )
    table = _read(out / "clips.csv")
    clips = np.load(out / "clips.npy", mmap_mode="r")
    names = class_names(table["label"])
    if split is not None:
        rows = np.flatnonzero(table["split"] == split)
        if not len(rows):
            raise SourceError(
                "split", f"{out} has no split called {split}; choose from {', '.join(table['split'].unique())}."
            )
        clips, table = clips[rows[0] : rows[-1] + 1], table.iloc[rows].reset_index(drop=True)
    labels = table["label"].map({name: i for i, name in enumerate(names)}).to_numpy(np.int64)
    return clips, labels, table, names


def fingerprint(out):
    """Eight characters that tell a dataset from others: a checksum of its table and of every hundredth clip."""
    clips, _, table, _ = load(out)
    return f"{zlib.crc32(clips[::100].tobytes(), zlib.crc32(table.to_csv().encode())):08x}"


def class_names(labels):
    """Piano and Other first, then whatever other classes there are, by name."""
    found = set(labels)
    return [n for n in (collection.PIANO, collection.OTHER) if n in found] + sorted(
        found - {collection.PIANO, collection.OTHER}
    )


def _plan(found, n_clips):
    """Jobs (split, label, shard, clips): splits in their parts, classes equal within each; what is left goes to training."""
    jobs = []
    labels = {split: class_names(r.label for r in found if r.split == split) for split in PARTS}
    parts = {split: part for split, part in PARTS.items() if len(labels[split]) > 1}
    if "train" not in parts:
        raise SourceError(
            "classes",
            "A dataset needs at least two classes to learn from; give a folder with two sub-folders, or add a source.",
        )
    counts = {split: int(n_clips * part) for split, part in parts.items() if split != "train"}
    counts["train"] = n_clips - sum(counts.values())
    for split in parts:
        for i, label in enumerate(labels[split]):
            n = counts[split] // len(labels[split]) + (i < counts[split] % len(labels[split]))
            jobs += [(split, label, k, min(SHARD, n - k * SHARD)) for k in range(-(-n // SHARD))]
    return jobs


def _remember(out, plan):
    """Write down what is being built, or refuse to mix two datasets in one folder."""
    file = out / "plan.json"
    try:
        if file.exists() and json.loads(file.read_text()) != plan:
            raise SourceError(
                "dataset", f"{out} holds another dataset (other recordings, size or seed); delete it to begin anew."
            )
        files.write_json(file, plan)
    except OSError as error:
        raise SourceError("output", f"{out} cannot be written ({error.strerror}); choose another place.") from error


def _shard(out, job):
    return out / "shards" / f"{job[0]}-{job[1]}-{job[2]:05d}.npy"


def _make_shard(recordings, job, seed, path):
    """Make the clips of one job. The table is written last: it says that the shard is complete."""
    split, label, number, n = job
    rng = np.random.default_rng([seed, zlib.crc32(f"{split} {label}".encode()), number])
    shares = _probabilities(recordings, label)
    clips, rows = np.empty((n, RATE), np.int16), []
    misses = 0
    while len(rows) < n:
        recording = recordings[rng.choice(len(recordings), p=shares)]
        made = list(cut(recording, rng))[: n - len(rows)]
        for clip, row in made:
            clips[len(rows)] = clip
            rows.append(row)
        misses = 0 if made else misses + 1
        if misses > 2000:
            raise SourceError("silent", f"The recordings labelled {label} hold hardly any sound; check their files.")
    with files.replacing(path) as temporary, open(temporary, "wb") as file:
        np.save(file, clips)
    files.write_table(path.with_suffix(".csv"), pd.DataFrame(rows, columns=COLUMNS))
    return n


def _probabilities(recordings, label):
    """A probability for each recording: kinds by their shares, recordings within a kind by their weight."""
    kinds = pd.Series([r.kind for r in recordings])
    weight = pd.Series([r.weight for r in recordings])
    share = (
        kinds.map(lambda kind: collection.SHARES.get(label, {}).get(kind, 1.0))
        * weight
        / weight.groupby(kinds).transform("sum")
    )
    return (share / share.sum()).to_numpy()


def cut(recording, rng):
    """One excerpt of a recording, disturbed and cut into its seconds: yields (int16 clip, row of the table).

    Seconds are dropped in which the recording itself (before any disturbance) is silent or lies under the noise that was
    added, or in which a mixture is not one. The level of a clip that ends early is that of what is left of it.
    """
    with collection.naming(recording.id):
        excerpt = recording.sound.excerpt(rng, EXCERPT)
    samples, offset = excerpt.samples, 0
    if excerpt.keep is None and rng.random() < SPEED:
        samples = resample_speed(samples, rng)
    if len(samples) < RATE:  # a short file is a clip all the same, as when it is judged
        if excerpt.keep is not None or len(samples) < MIN_SOUND:
            return
        samples = np.pad(samples, (0, RATE - len(samples)))
    elif len(samples) > RATE and excerpt.keep is None:
        offset = int(rng.integers(0, min(RATE, len(samples) - RATE + 1)))
    disturbed = augment(samples, rng)
    seconds = (len(samples) - offset) // RATE
    loudest = max(rms(samples[offset + i * RATE : offset + (i + 1) * RATE]) for i in range(seconds))
    for i in range(seconds):
        start = offset + i * RATE
        part = slice(start, start + (int(rng.uniform(0.3, 1) * RATE) if rng.random() < LAST else RATE))
        noise = 0.0 if disturbed.noise is None else rms(disturbed.noise[part])
        if rms(samples[part]) < max(SILENT, QUIET * loudest, 1.5 * noise) or not (
            excerpt.keep is None or excerpt.keep[i]
        ):
            continue
        clip = np.zeros(RATE, np.int16)
        clip[: part.stop - start] = np.clip(np.rint(disturbed.samples[part] * 32767), -32768, 32767)
        yield (
            clip,
            (
                recording.id,
                recording.label,
                recording.source,
                recording.group,
                recording.licence,
                recording.kind,
                recording.instrument,
                recording.split,
                excerpt.music,
                int(excerpt.second + start / RATE),
            ),
        )


def _assemble(out, plan):
    """Join the shards, split by split, into one array and one table; then write the report."""
    total = sum(job[3] for job in plan)
    tables, at = [], 0
    with files.replacing(out / "clips.npy") as temporary:
        clips = np.lib.format.open_memmap(temporary, "w+", np.int16, (total, RATE))
        for job in plan:
            shard = np.load(_shard(out, job), mmap_mode="r")
            clips[at : at + len(shard)] = shard
            at += len(shard)
            tables.append(_read(_shard(out, job).with_suffix(".csv")))
        clips.flush()
    table = pd.concat(tables, ignore_index=True)
    report = describe(table)
    files.write_json(out / "report.json", report)
    files.write_table(out / "clips.csv", table)
    return report


def _read(path):
    """A table of clips; a name that is a number, such as a folder 1980, stays text."""
    return pd.read_csv(path, keep_default_na=False, dtype=dict.fromkeys(COLUMNS[:-1], str))


def describe(table):
    """How many clips, and how many distinct seconds stand behind them, for each split and label.

    A second of sound is distinct by recording and time, a second of music by piece and time, whoever plays it.
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
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.corpus.dataset", description="Make a dataset of one-second clips."
    )
    parser.add_argument("--out", required=True, type=parsing.path, help="the folder to write")
    parser.add_argument("--clips", type=parsing.count, default=33602, help="how many clips (default: 33602)")
    parser.add_argument(
        "--sources",
        nargs="*",
        default=["default"],
        help=f"out of {', '.join(collection.SOURCES)}, or all (default: default)",
    )
    parser.add_argument("--folder", action="append", default=[], help="a folder of one's own, one sub-folder a class")
    parser.add_argument(
        "--folder-split",
        choices=collection.SPLITS,
        help="the split of all files of the folders (default: 8:1:1 by file)",
    )
    parser.add_argument("--seed", type=parsing.seed, default=0)
    parser.add_argument("--workers", type=parsing.count, default=2, help="processes on this machine (default: 2)")
    parser.add_argument("--dask", metavar="ADDRESS", help="the workers of this Dask scheduler instead")
    options = parser.parse_args(arguments)
    try:
        report = build(
            options.out,
            options.sources,
            options.clips,
            options.folder,
            options.folder_split,
            options.seed,
            options.workers,
            dask=options.dask,
        )
    except PipelineError as error:
        parser.exit(1, f"{error}\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
