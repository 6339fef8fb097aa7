"""Songs of the test split's sources, as many of each sound that is easily taken for a piano, and of pianos.

The clips of a dataset are disturbed anew every few seconds, and it holds few recordings of one instrument. A song goes
through one chain of disturbances from beginning to end, as a file does, and there are as many as are asked for.
"""

import re
import zlib
from contextlib import suppress

import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline.corpus.augment import augment
from pipeline.corpus.collection import OTHER, PIANO
from pipeline.errors import AudioError, SourceError
from pipeline.song.cleaning import cut_array
from pipeline.song.recognition import levels

SECONDS = 20  # of a song
TRIES = 200  # excerpts of one recording
BOTH = 0.5  # of a song with a piano and something else: the share of its seconds in which the other is heard, at least

# Each sound's label, and a pattern in the kind or the name of its instruments.
SONGS = {
    "harpsichord": (OTHER, "Harpsichord"),
    "electric piano": (OTHER, "Electric Piano"),
    "harp": (OTHER, "Orchestral Harp"),
    "guitar": (OTHER, "Guitar(?! Fret Noise)"),
    "marimba": (OTHER, "Marimba"),
    "celesta": (OTHER, "Celesta"),
    "organ": (OTHER, "Organ"),
    "voice with piano": (OTHER, "voice with piano"),
    "piano with an instrument": (OTHER, "piano with instrument"),
    "piano with a bass": (OTHER, r"\bBass\b|Contrabass"),
    "speech": (OTHER, "speech"),
    "noise and tones": (OTHER, "noise"),
    "piano, pieces": (PIANO, "performance"),
    "piano, improvised": (PIANO, "improvised"),
    "piano, single notes": (PIANO, "single notes"),
    "piano, recorded": (PIANO, "recorded"),
}


def songs(recordings, count=40, seed=0):
    """Clips (n, 16000) of `count` songs of each of `SONGS`, and a table with a row a clip.

    `recordings` are those of `pipeline.corpus.collection.recordings`, of which the test split is used; a song is an
    excerpt of one of them. Where there are more than `count` of a sound, these are taken at even distances. Columns:
    recording (the number of the song and where it is from), origin (where it is from), label, level, sound, noisy
    (whether noise was added). Sounds of which there is no recording have no songs; None if that is all of them.

    Raises SourceError if a recording is silent.
    """
    unseen, clips, tables = [r for r in recordings if r.split == "test"], [], []
    for sound, (label, pattern) in tqdm(SONGS.items(), desc="songs", unit="sound"):
        chosen = [
            r
            for r in unseen
            if r.label == label
            and re.search(pattern, f"{r.kind} {r.instrument}")
            and r.kind.startswith("piano with") == sound.startswith("piano with")
        ]
        for number in range(count if chosen else 0):
            rng = np.random.default_rng([seed, zlib.crc32(sound.encode()), number])
            recording = chosen[number * max(len(chosen), count) // count % len(chosen)]
            found, noisy = _song(recording, rng)
            clips.append(found)
            about = {
                "recording": f"{number} {recording.id}",
                "origin": recording.id,
                "label": label,
                "sound": sound,
                "noisy": noisy,
            }
            tables.append(pd.DataFrame(about | {"level": levels(found)}))
    return (np.concatenate(clips), pd.concat(tables, ignore_index=True)) if clips else None


def _song(recording, rng):
    """Clips (n, 16000) of a disturbed excerpt, in which a piano does not play alone too long, and whether it is noisy."""
    for _ in range(TRIES):
        excerpt = recording.sound.excerpt(rng, SECONDS)
        if excerpt.keep is None or sum(excerpt.keep) >= max(BOTH * len(excerpt.keep), 1):
            disturbed = augment(excerpt.samples, rng)
            with suppress(AudioError):
                return cut_array(disturbed.samples)[0], disturbed.noise is not None
    raise SourceError("silent", f"{recording.id} holds hardly any sound; delete its package's folder and try again.")
