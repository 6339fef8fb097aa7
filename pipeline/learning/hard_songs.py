"""Songs that are hard to classify, made from sources that nobody trained on: pianos, and sounds that resemble one.

A dataset draws new augmentations every few seconds and holds few recordings of some instruments. Here a song lasts 30
to 60 seconds and is augmented as a whole, as a file is, and there are as many songs of each sound.
`python -m pipeline.learning.hard_songs` makes them and judges a model by them.
"""

import argparse
import json
import re
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from nn import Model
from pipeline import files, parsing
from pipeline.corpus import collection, instruments
from pipeline.corpus.augment import augment
from pipeline.corpus.catalogue import OTHER, PIANO
from pipeline.corpus.sounds import RATE
from pipeline.errors import AudioError, PipelineError, SourceError
from pipeline.learning.evaluation import by_recording, exact_interval, piano_probabilities
from pipeline.song.audio import load
from pipeline.song.cleaning import cut_array
from pipeline.song.recognition import MODEL_PATH, levels
from pipeline.workers import Pool

FOLDER = Path("data/generated/songs")
RECIPE = "released"  # the augmentations of a song
SECONDS = (30, 60)  # of a song
TRIES = 200  # excerpts of one recording
BOTH = 0.5  # of the seconds of a song with a piano and something else, at least, have both

# Each sound's label, and a pattern in the kind or the name of its instruments.
SONGS = {
    "harpsichord": (OTHER, "harpsichord"),
    "electric piano": (OTHER, "electric piano"),
    "harp": (OTHER, r"\bharp\b"),
    "guitar": (OTHER, "guitar(?! fret noise)"),
    "violin": (OTHER, "violin|viola|cello|^(?!.*synth).*strings"),
    "marimba": (OTHER, "marimba"),
    "celesta": (OTHER, "celesta|music box"),
    "organ": (OTHER, r"\borgan\b"),
    "voice with piano": (OTHER, "voice with piano"),
    "piano with an instrument": (OTHER, "piano with instrument"),
    "piano with a soft accompaniment": (OTHER, "piano with accompaniment"),
    "piano with a bass": (OTHER, r"\bbass\b|contrabass"),
    "speech": (OTHER, "speech"),
    "noise and tones": (OTHER, "^noise"),
    "piano, pieces": (PIANO, "performance"),
    "piano, improvised": (PIANO, "improvised"),
    "piano, single notes": (PIANO, "single notes"),
    "piano, lines": (PIANO, "lines"),
    "piano, soft": (PIANO, "soft"),
    "piano, student": (PIANO, "student"),
    "piano, loops": (PIANO, "loops"),
    "two pianos": (PIANO, "two pianos"),
    "piano, recorded": (PIANO, "recorded"),
}


def make(recordings, out=FOLDER, split="test", count=40, seed=0, jobs=2):
    """Make `count` songs of each of `SONGS`, excerpts of the recordings of a split, as FLAC files.

    Where a sound has more than `count` recordings, every n-th is used; a sound without recordings has no songs. Songs
    that are in the folder already are not made again, so a run that was stopped goes on.

    Returns the table that is written to songs.csv, a row a song: file, origin (id), instrument, label, sound, and noisy
    (has noise). Raises SourceError if the folder holds other songs, or a recording is silent.
    """
    out = Path(out) / split
    unseen, work = [r for r in recordings if r.split == split], []
    for sound, (label, pattern) in SONGS.items():
        chosen = [
            r
            for r in unseen
            if r.label == label
            and re.search(pattern, f"{r.kind} {r.instrument}", re.IGNORECASE)
            and r.kind.startswith("piano with") == sound.startswith("piano with")
        ]
        for number in range(count if chosen else 0):
            recording = chosen[number * max(len(chosen), count) // count % len(chosen)]
            name = f"{re.sub('[^a-z]+', '-', sound)}-{number:02d}.flac"
            work.append((recording, sound, number, seed, out / label / name))
    plan = {"seed": seed, "songs": zlib.crc32("\n".join(f"{w[4].name} {w[0].id}" for w in work).encode())}
    with files.writing(out):
        if (out / "plan.json").exists() and json.loads((out / "plan.json").read_text()) != plan:
            raise SourceError(
                "dataset", f"{out} holds other songs (other recordings or seed); delete it to begin anew."
            )
        files.write_json(out / "plan.json", plan)
    with Pool(jobs) as pool, tqdm(total=len(work), desc="songs", unit="song", disable=None) as bar:
        for made in pool.run(_write, work):
            made.result()
            bar.update()
    columns = ["file", "origin", "instrument", "label", "sound", "noisy"]
    table = pd.DataFrame([json.loads(w[4].with_suffix(".json").read_text()) for w in work], columns=columns)
    files.write_table(out / "songs.csv", table)
    return table


def _write(recording, sound, number, seed, path):
    """Write a song, and what it is as JSON beside it, which says that the song is complete."""
    if path.with_suffix(".json").exists():
        return
    rng = np.random.default_rng([seed, zlib.crc32(sound.encode()), number])
    samples, noisy = _song(recording, rng)
    about = {"file": f"{path.parent.name}/{path.name}", "origin": recording.id, "instrument": recording.instrument}
    with files.writing(path.parent):
        files.write_flac(path, samples, RATE)
        files.write_json(path.with_suffix(".json"), about | {"label": recording.label, "sound": sound, "noisy": noisy})


def _song(recording, rng):
    """An augmented excerpt (n,), and whether noise was added. Half of a mixture, at least, has both."""
    seconds = int(rng.integers(SECONDS[0], SECONDS[1] + 1))
    for _ in range(TRIES):
        excerpt = recording.sound.excerpt(rng, seconds)
        if excerpt.keep is None or sum(excerpt.keep) >= max(BOTH * len(excerpt.keep), 1):
            samples, noise = augment(excerpt.samples, rng, RECIPE)
            with suppress(AudioError):
                cut_array(samples)
                return samples, noise is not None
    raise SourceError("silent", f"{recording.id} holds hardly any sound; delete its package's folder and try again.")


def judge(model, folder):
    """The clips of the songs that `make` wrote to a folder: a table with a row a clip, and their probabilities (n,).

    The table has the columns of songs.csv, with the file as `recording`, and the level of each clip.
    """
    songs, tables, probabilities = pd.read_csv(Path(folder) / "songs.csv"), [], []
    for song in tqdm(songs.to_dict("records"), desc="judging", unit="song", disable=None):
        clips = cut_array(load(Path(folder) / song["file"]))[0]
        probabilities.append(piano_probabilities(model, clips))
        tables.append(pd.DataFrame(song | {"level": levels(clips)}).rename(columns={"file": "recording"}))
    return pd.concat(tables, ignore_index=True), np.concatenate(probabilities)


def by_sound(songs):
    """The share of songs that are classified as piano, by sound, with its exact 95 % interval: {sound: dict}.

    `songs` is what `by_recording` gives of the table of `judge`.
    """
    rows = {}
    for sound, part in songs.groupby("sound", sort=False):
        low, high = exact_interval(part["predicted_piano"].sum(), len(part))
        share = round(float(part["predicted_piano"].mean()), 4)
        row = {"label": part["label"].iloc[0], "n": len(part), "share": share}
        rows[sound] = row | {"interval": [round(float(low), 4), round(float(high), 4)]}
    return rows


def by_instrument(songs):
    """The number of songs, mean probability and share classified as piano of each instrument: a DataFrame."""
    about = {
        "label": ("label", "first"),
        "n": ("label", "size"),
        "piano_probability": ("piano_probability", "mean"),
        "share": ("predicted_piano", "mean"),
    }
    return songs.groupby("instrument").agg(**about).round(4).sort_values(["label", "share"]).reset_index()


def main(arguments=None):
    """Run the command line; returns its exit code."""
    description = "Make songs of sources that nobody trained on, and judge a model by them."
    parser = argparse.ArgumentParser(prog="python -m pipeline.learning.hard_songs", description=description)
    option = parser.add_argument
    option("--out", type=parsing.path, default=FOLDER, help=f"the folder of the songs (default: {FOLDER})")
    option("--split", choices=("validation", "test"), default="test")
    option("--count", type=parsing.count, default=40, help="songs of each sound (default: 40)")
    option("--sources", nargs="*", default=["all"], help="where the sound comes from (default: all)")
    option("--instruments", type=parsing.path, default=instruments.default(), help=instruments.HELP)
    option("--model", type=parsing.path, default=MODEL_PATH, help="the model to judge (default: the released one)")
    option("--results", type=parsing.path, help="the figures to write, as JSON")
    option("--seed", type=parsing.seed, default=0)
    options = parser.parse_args(arguments)
    try:
        found = collection.recordings(options.sources, sampled=options.instruments, recipe=RECIPE)
        make(found, options.out, options.split, options.count, options.seed)
        table, probabilities = judge(Model.load(options.model), Path(options.out) / options.split)
        songs = by_recording(table, probabilities)
        figures = {"by sound": by_sound(songs), "by instrument": by_instrument(songs).to_dict("records")}
        if options.results:
            files.write_json(Path(options.results), figures)
    except PipelineError as error:
        print(f"hard_songs: {error}", file=sys.stderr)
        return 1
    print(pd.DataFrame(figures["by sound"]).T.to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
