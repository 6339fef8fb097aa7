"""Songs that are hard to classify, made from the sources of the test split: pianos, and sounds that resemble one.

A dataset draws new augmentations every few seconds and holds few recordings of some instruments. Here a song is
augmented as a whole, as a file is, and there are as many songs of each sound.
"""

import re
import zlib
from contextlib import suppress

import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline.corpus.augment import augment
from pipeline.corpus.catalogue import OTHER, PIANO
from pipeline.errors import AudioError, SourceError
from pipeline.song.cleaning import cut_array
from pipeline.song.recognition import levels

SECONDS = 20  # of a song
TRIES = 200  # excerpts of one recording
BOTH = 0.5  # of the seconds of a song with a piano and something else, at least, have both

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


def make(recordings, count=40, seed=0):
    """Make `count` songs of each of `SONGS`, excerpts of the recordings of the test split.

    Where a sound has more than `count` recordings, every n-th is used; a sound without recordings has no songs.

    Returns
    -------
    clips : float32 array (n, 16000)
    table : DataFrame with a row a clip: recording (number and id), origin (id), label, sound, noisy (has noise), level

    None if there are no songs at all. Raises SourceError if a recording is silent.
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
            about = {"recording": f"{number} {recording.id}", "origin": recording.id, "label": label}
            tables.append(pd.DataFrame(about | {"sound": sound, "noisy": noisy, "level": levels(found)}))
    return (np.concatenate(clips), pd.concat(tables, ignore_index=True)) if clips else None


def _song(recording, rng):
    """Clips (n, 16000) of an augmented excerpt, and whether noise was added. Half of a mixture, at least, has both."""
    for _ in range(TRIES):
        excerpt = recording.sound.excerpt(rng, SECONDS)
        if excerpt.keep is None or sum(excerpt.keep) >= max(BOTH * len(excerpt.keep), 1):
            samples, noise = augment(excerpt.samples, rng)
            with suppress(AudioError):
                return cut_array(samples)[0], noise is not None
    raise SourceError("silent", f"{recording.id} holds hardly any sound; delete its package's folder and try again.")
