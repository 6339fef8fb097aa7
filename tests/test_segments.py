"""Where the piano plays: ranges of a song, smoothed, with pauses told from silence."""

import itertools
import json

import numpy as np
import pytest

from pipeline import Recognizer
from pipeline.song.audio import SAMPLE_RATE, load
from pipeline.song.cleaning import cut
from pipeline.song.segments import CHANGE, MOST, SILENCE, _most_probable_path, segments

SURE, UNSURE = 0.999, 0.55


def ranges(timeline, seconds=None):
    found = segments(timeline, len(timeline) if seconds is None else seconds)
    return [(part["from"], part["to"], part["class"]) for part in found]


def test_one_wrong_second_changes_nothing_and_three_sure_ones_do():
    for n, expected in ((1, [(0, 21, "Piano")]), (3, [(0, 10, "Piano"), (10, 13, "Other"), (13, 23, "Piano")])):
        assert ranges([SURE] * 10 + [1 - SURE] * n + [SURE] * 10) == expected
    assert ranges([SURE] * 10 + [1 - UNSURE] * 5 + [SURE] * 10) == [(0, 25, "Piano")], "unsure ones do not"


def test_a_song_of_two_halves_has_two_ranges_with_their_own_probability():
    first, second = segments([0.9] * 20 + [0.2] * 20, 39.5)
    assert first == {"from": 0, "to": 20, "class": "Piano", "probability": 0.9}
    assert second == {"from": 20, "to": 39.5, "class": "Other", "probability": 0.8}


def test_a_range_spans_a_pause_and_ends_at_a_silence():
    for n, expected in (
        (SILENCE - 1, [(0, 20 + SILENCE - 1, "Piano")]),
        (SILENCE, [(0, 10, "Piano"), (10 + SILENCE, 20 + SILENCE, "Piano")]),
    ):
        assert ranges([SURE] * 10 + [None] * n + [SURE] * 10) == expected
    assert ranges([None, None, SURE, SURE, None]) == [(2, 4, "Piano")]
    assert ranges([None] * 4) == ranges([]) == []


def test_the_path_is_the_most_probable_of_all():
    """Beside every path of ten seconds, weighed one by one."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        probability = np.clip(rng.beta(0.4, 0.4, 10), 0.01, 0.99)
        evidence = np.clip(np.log(probability / (1 - probability)), -MOST, MOST) / 2
        paths = np.array(list(itertools.product((False, True), repeat=10)))
        weights = np.where(paths, evidence, -evidence).sum(axis=1) - CHANGE * np.diff(paths, axis=1).sum(axis=1)
        assert np.array_equal(_most_probable_path(probability), paths[weights.argmax()])


def test_a_medley_is_taken_apart():
    """A piano, a pause, a harpsichord, joined: the boundaries are found within two seconds."""
    names = ("piano-satie-gymnopedie.m4a", "other-harpsichord-fuer-elise.ogg")
    piano, other = (load(f"data/samples/{name}")[: 20 * SAMPLE_RATE] for name in names)
    recognizer, pause = Recognizer(), np.zeros(5 * SAMPLE_RATE, np.float32)
    answer = recognizer.judge(cut([piano, pause, other]))
    first, second = answer.segments
    assert (first["class"], second["class"]) == ("Piano", "Other")
    found = [first["from"], first["to"], second["from"], second["to"]]
    assert found == pytest.approx([0, 20, 25, 45], abs=2)
    assert json.loads(json.dumps(answer.to_dict()))["segments"] == answer.segments
    assert recognizer.judge(cut([piano, pause, other]), n_clips=5).segments is None, "too few seconds were judged"
