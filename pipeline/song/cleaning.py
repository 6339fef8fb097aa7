"""Samples of a song -> the one-second clips that the network judges, without the silence.
A sound envelope (the rolling maximum over 50 ms) says where there is sound; what is left is cut into clips of 1 s.
A soft song is made louder first, so that its answer does not depend on its volume.
"""

from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy.ndimage import maximum_filter1d

from pipeline.errors import AudioError
from pipeline.song.audio import BLOCK, FAINTEST, SAMPLE_RATE, decode

CLIP = SAMPLE_RATE  # samples of a clip: one second
WINDOW = SAMPLE_RATE // 20  # samples of the envelope's window: 50 ms
THRESHOLD = 20 / 32768  # of the envelope; what is not above it is silence or noise
MIN_SOUND = round(0.3 * SAMPLE_RATE)  # samples; less sound than this is not judged in a song of less than a second
MIN_LAST = CLIP // 2  # samples; a shorter rest at the end of a song is dropped, a longer one is padded with zeros
MIN_SECOND = SAMPLE_RATE // 10  # samples; a second with less sound counts as masked, unless no second has as much

# The threshold is absolute, as in training, so a song that never reaches SOFT is scaled as a whole until its peak is
# LEVEL, that of most recordings. Louder songs are left as they are: the network itself is indifferent to their level.
SOFT = 1 / 16
LEVEL = 0.5
LONGEST_SOFT = 1800 * SAMPLE_RATE  # samples held back until the peak is known; more would not fit in memory

_BEHIND, _AHEAD = WINDOW // 2, WINDOW - WINDOW // 2 - 1  # samples before and after that the envelope looks at


@dataclass(frozen=True)
class Clip:
    """One second of sound.

    Attributes
    ----------
    samples : float32 array (16000,)
    start, stop : float
        Where in the song its first sample comes from and its last one ends, in seconds; more than one second apart
        where silence in between was left out, less where there was no more sound and the clip was padded with zeros.
    """

    samples: np.ndarray
    start: float
    stop: float


def envelope(samples):
    """The sound envelope: the maximum of |samples| over 50 ms around each sample; float (n,) -> float (n,)."""
    return maximum_filter1d(np.abs(samples), WINDOW, mode="constant", cval=0)


def mask(samples, threshold=THRESHOLD):
    """Where there is sound, which is `envelope(samples) > threshold`; float (n,) -> bool (n,)."""
    # The envelope is above the threshold where any sample in its window is: counting them is ten times faster.
    n_loud = np.zeros(len(samples) + WINDOW, np.int32)
    np.cumsum(np.abs(samples) > threshold, dtype=np.int32, out=n_loud[_BEHIND + 1 : _BEHIND + 1 + len(samples)])
    n_loud[_BEHIND + 1 + len(samples) :] = n_loud[_BEHIND + len(samples)]
    return n_loud[WINDOW:] > n_loud[:-WINDOW]


class Clips:
    """The clips of one song, in their order: an iterable that remembers how they cover the song.

    Made by `cut` and `clean`. Only the clip at hand is held, and half an hour of a soft song.

    Attributes
    ----------
    n_samples : int
        The length of the song at 16 kHz, silence included; complete after the iteration.
    cut_short : bool
        Whether the song's file ends before its header says; known after the iteration.
    """

    def __init__(self, open_blocks):
        self._open_blocks = open_blocks

    def __iter__(self):
        """Yield every `Clip`; raise AudioError too_short or silent where there is not enough to judge."""
        self.n_samples, self.cut_short, self._n_kept, self._n_clips, self._best = 0, False, 0, 0, {}
        samples, positions = np.empty(0, np.float32), np.empty(0, np.int64)
        for kept, kept_positions in self._sound():
            samples, positions = np.concatenate([samples, kept]), np.concatenate([positions, kept_positions])
            n_whole = len(samples) // CLIP * CLIP
            for i in range(0, n_whole, CLIP):
                yield self._clip(samples[i : i + CLIP].copy(), positions[i : i + CLIP])
            samples, positions = samples[n_whole:], positions[n_whole:]
        enough = MIN_SOUND if self.n_samples < CLIP else 1  # in a song of a second or more, a single click does
        if len(samples) >= (MIN_LAST if self._n_clips else enough):
            yield self._clip(np.pad(samples, (0, CLIP - len(samples))), positions)
        if self.n_samples < MIN_SOUND:
            raise _too_short(self.n_samples)
        if not self._n_kept:
            raise AudioError("silent", "There is only silence; choose a recording in which something can be heard.")
        if self._n_kept < enough:
            raise _too_short(self._n_kept)

    def timeline(self):
        """For each second of the song, the index of the clip that holds most of it, -1 where silent; int (seconds,).

        The last second may be a part of one. To be called after the iteration.
        """
        clip_of_second = np.full(-(-self.n_samples // SAMPLE_RATE), -1)
        least = min(MIN_SECOND, max((n for n, _ in self._best.values()), default=0))
        for second, (n, index) in self._best.items():
            if n >= least:
                clip_of_second[second] = index
        return clip_of_second

    def _blocks(self):
        """The blocks of the song; those of a song that is soft throughout are scaled, all by one gain."""
        held, n_held, peak, gain = [], 0, 0.0, None
        for block in self._opened_blocks():
            held.append(block)
            if gain is None:
                n_held += len(block)
                peak = max(peak, float(np.abs(block).max(initial=0)))
                if peak < SOFT and n_held < LONGEST_SOFT:
                    continue
                gain = _gain(peak)
            yield from (block * gain for block in held)
            held = []
        yield from (block * _gain(peak) for block in held)

    def _opened_blocks(self):
        self.cut_short = bool((yield from self._open_blocks()))

    def _sound(self):
        """The samples where there is sound and their positions in the song, block by block.

        A block is judged up to where the envelope still sees all of its window; the rest waits for the next one.
        """
        # `held[judged:]` waits to be judged; `held[0]` is sample `start` of the song.
        held, judged, start = np.empty(0, np.float32), 0, 0
        for block in chain(self._blocks(), [None]):
            if block is not None:
                self.n_samples += len(block)
                held = np.concatenate([held, block])
            end = len(held) if block is None else max(len(held) - _AHEAD, judged)
            kept = np.flatnonzero(mask(held)[judged:end]) + judged
            self._n_kept += len(kept)
            yield held[kept], kept + start
            done = max(end - _BEHIND, 0)
            held, judged, start = held[done:], end - done, start + done

    def _clip(self, samples, positions):
        first = positions[0] // SAMPLE_RATE
        for i, n in enumerate(np.bincount(positions // SAMPLE_RATE - first)):
            if n > self._best.get(first + i, (0, None))[0]:
                self._best[first + i] = (n, self._n_clips)
        self._n_clips += 1
        return Clip(samples, positions[0] / SAMPLE_RATE, (positions[-1] + 1) / SAMPLE_RATE)


def _gain(peak):
    """What a song with this peak is multiplied by, as float32."""
    return np.float32(LEVEL / peak if FAINTEST < peak < SOFT else 1)


def _too_short(n_samples):
    seconds = n_samples / SAMPLE_RATE
    message = f"There are only {seconds:.2f} s of sound; a song of less than a second needs 0.3 s to be judged."
    return AudioError("too_short", message)


def clean(path, expected_seconds=None, progress=None):
    """The clips of a sound file, decoded as a stream; parameters and errors as in `audio.decode` and `Clips`."""
    return Clips(lambda: decode(path, expected_seconds, progress))


def cut(blocks):
    """The clips of a song given as a list of blocks: float32 arrays (n,) of any lengths, mono at 16 kHz."""
    return Clips(lambda: blocks)


def cut_array(samples):
    """The clips of a song in memory, all at once.

    Parameters
    ----------
    samples : float array (n,)
        Mono at 16 kHz, in -1..1.

    Returns
    -------
    clips : float32 array (n_clips, 16000)
    starts : float array (n_clips,)
        Where each begins in the song, in seconds.

    Raises
    ------
    AudioError
        too_short or silent.
    """
    samples = np.asarray(samples, np.float32)
    clips = list(cut([samples[i : i + BLOCK] for i in range(0, len(samples), BLOCK)]))
    return np.stack([clip.samples for clip in clips]), np.array([clip.start for clip in clips])
