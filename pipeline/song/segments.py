"""Where in a song the piano plays: the answers for its seconds, smoothed to ranges.

A second alone is often wrong, and a piano does not stop for one second. So the seconds are taken as what a hidden
Markov model with two states shows, piano and anything else, and the most probable path through its states is found
(Viterbi, 1967; Rabiner, 1989). A change of state costs `CHANGE`, and no second counts for more than `MOST`.
"""

import itertools

import numpy as np
from scipy.special import logit

CHANGE = 3.0  # log odds of staying: about one change in twenty seconds
MOST = 3.0  # log odds of a second, at most: one wrong second alone changes nothing, however sure it is
SILENCE = 3  # seconds without sound that end a range; it spans shorter pauses


def segments(timeline, seconds):
    """The ranges of a song: dicts with from and to (seconds), class and probability (its mean), in order.

    Parameters
    ----------
    timeline : list of (float or None)
        The probability of piano in each second; None where there is silence.
    seconds : float
        Length of the song: the last range ends there at the latest.

    Silence at the beginning and the end, and pauses of `SILENCE` seconds and more, are in no range.
    """
    probability = np.array([np.nan if value is None else value for value in timeline], float)
    ranges = []
    for start, stop in _sounding(~np.isnan(probability)):
        is_piano = _most_probable_path(probability[start:stop])
        ends = [0, *np.flatnonzero(np.diff(is_piano)) + 1, stop - start]
        for first, last in itertools.pairwise(ends):
            heard = probability[start + first : start + last]
            mean = float(np.nanmean(heard)) if is_piano[first] else 1 - float(np.nanmean(heard))
            ranges.append(
                {
                    "from": start + int(first),
                    "to": round(min(start + int(last), seconds), 2),
                    "class": "Piano" if is_piano[first] else "Other",
                    "probability": round(mean, 4),
                }
            )
    return ranges


def _sounding(heard):
    """Pairs of start and stop: the stretches of seconds that no pause of `SILENCE` seconds divides."""
    where = np.flatnonzero(heard)
    if not len(where):
        return []
    breaks = np.flatnonzero(np.diff(where) > SILENCE)
    return list(zip(where[[0, *breaks + 1]].tolist(), (where[[*breaks, -1]] + 1).tolist()))


def _most_probable_path(probability):
    """Whether the piano plays in each second, bool (n,); a second without an answer (NaN) says nothing."""
    evidence = np.clip(np.nan_to_num(logit(probability)), -MOST, MOST) / 2
    score, came_from = np.zeros(2), np.zeros((len(evidence), 2), int)  # of the states other, piano
    for second, value in enumerate(evidence):
        if second:
            changed = score[::-1] - CHANGE
            came_from[second] = np.where(changed > score, (1, 0), (0, 1))
            score = np.maximum(changed, score)
        score = score + np.array([-value, value])
    state, path = int(score[1] >= score[0]), []
    for second in range(len(evidence) - 1, -1, -1):
        path.append(state)
        state = came_from[second, state]
    return np.array(path[::-1], bool)
