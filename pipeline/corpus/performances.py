"""What the instruments of a corpus play: pianos alone, everything else alone, pianos with something else, bands.

The same pieces are given to pianos and to all others, so that the music is no clue to the label.
"""

import re
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.corpus import catalogue
from pipeline.corpus.catalogue import OTHER, PIANO
from pipeline.corpus.render import FontPlayer, programs
from pipeline.corpus.sampler import SamplePlayer
from pipeline.corpus.scores import PIANOS
from pipeline.corpus.sounds import Accompanied, Band, Drums, Duo, Loop, Solo, Together

PIECES_EACH = 4  # pieces that each instrument plays, and improvisations
PARTS = {  # of an instrument beside a piano, by its name, and how often they are drawn
    "bass": (r"\bbass\b|contrabass", 4.0),
    "chords": (r"string|\bpad\b|choir|organ", 3.0),
    "melody": (r"violin|viola|cello|voice|flute|clarinet|guitar", 3.0),
}
BRUSHES = 1.5  # the same for brushes
DUETS = 12  # of two pianos


@dataclass(frozen=True)
class Instrument:
    """Something that plays. `entry` is its Font or Samples of the catalogue, `weight` how often it is drawn."""

    entry: object
    name: str
    player: object
    piano: bool
    melodic: bool
    with_piano: bool
    bass: bool
    sampled: bool
    weight: float


def of_font(font, path):
    """The instruments of a sound font, or of a folder of patches with the one at `path`: a list of Instrument."""
    patched = path.endswith(".pat")
    if patched:  # 024_Nylon_Guitar.pat: the program comes first
        patches = sorted(Path(path).parent.glob("[0-9]*.pat"))
        players = {int(patch.name[:3]): SamplePlayer((str(patch),)) for patch in patches}
    else:
        players = {program: FontPlayer(path, program) for program in programs(path)}
    used = [program for program in players if program in font.pianos or program not in (*PIANOS, *font.left_out)]
    about = catalogue.programs()
    return [
        Instrument(
            entry=font,
            name=about[program].name,
            player=players[program],
            piano=program in font.pianos,
            melodic=about[program].melodic,
            with_piano=about[program].with_piano,
            bass=about[program].bass,
            sampled=patched,
            weight=about[program].weight,
        )
        for program in used
    ]


def of_samples(samples, player, name):
    """The Instrument of a catalogue.Samples or an instruments.SampledInstrument, and its SamplePlayer."""
    return Instrument(
        entry=samples,
        name=name,
        player=player,
        piano=samples.label == PIANO,
        melodic=samples.melodic,
        with_piano=samples.melodic,
        bass=samples.bass,
        sampled=True,
        weight=samples.weight,
    )


def recordings(instruments, bands, pieces, unplayed):
    """Everything that the instruments of one split play: dicts of all fields of a Recording but the split.

    Parameters
    ----------
    instruments : list of Instrument
    bands : list of (catalogue.Font, path), the fonts that can play whole bands
    pieces : {"performance" | "band": list of (Piece, catalogue.Pieces)}
    unplayed : the split's other recordings, some of which are mixed with a piano
    """
    rng = np.random.default_rng(zlib.crc32(" ".join(i.entry.name + i.name for i in instruments).encode()))
    performances = pieces["performance"]
    pianos, others = [i for i in instruments if i.piano], [i for i in instruments if not i.piano]
    found = [r for piano in pianos for r in _alone(piano, performances, len(performances), rng)]
    found += [r for other in others for r in _alone(other, performances, PIECES_EACH, rng)]
    if pianos:
        found += [r for other in others if other.with_piano for r in _duos(pianos, other, performances, rng)]
        found += list(_mixtures(pianos, bands, pieces, unplayed, rng))
    found += _bands(bands, pieces["band"])
    rng = np.random.default_rng(rng.integers(2**32))
    for instrument in instruments:
        found += _ways_to_play(instrument, performances, rng)
    found += [_loop(r) for r in unplayed if r.kind in ("recorded music", "recorded")]
    if pianos:
        found += _accompanied(pianos, others, performances, rng)
        found += _duets(pianos, performances, rng)
    return found


def _bands(bands, pieces):
    for font, path in bands:
        for piece, entry in pieces:
            about = (font.name, "Band", piece.name, font.package.name)
            yield _fields(OTHER, "band", *about, [font.family], [font.licence, entry.licence], Band(path, piece))


def _ways_to_play(instrument, performances, rng):
    """An instrument soft and slow, in single lines and octaves, played by a student, and in loops."""
    entry = instrument.entry

    def made(kind, sound, piece, source, number):
        music = piece.name if piece else f"improvised {number}"
        about = (f"{entry.name}, {kind}", instrument.name, music, entry.package.name)
        licences = [entry.licence, source.licence if source else ""]
        label = PIANO if instrument.piano else OTHER
        return _fields(label, kind, *about, [entry.family], licences, sound, instrument.weight)

    for number, i in enumerate(rng.permutation(len(performances))[:3]):
        (piece, source), player, melodic = performances[i], instrument.player, instrument.melodic
        for kind, sound in (
            ("soft", Solo(player, piece, melodic, manner="soft")),
            ("lines", Solo(player, piece, melody=True)),
            ("student", Solo(player, piece, melodic, manner="student")),
            ("loops", Loop(Solo(player, piece, melodic))),
        ):
            yield made(kind, sound, piece, source, number)
    if not instrument.melodic:
        yield made("lines", Solo(instrument.player, style="octaves"), None, None, 0)
        yield made("loops", Loop(Solo(instrument.player, style="chords")), None, None, 0)


def _loop(r):
    """The fields of a recording in loops."""
    about = (f"{r.id} loops", r.instrument, "loops", r.source)
    return _fields(r.label, "loops", *about, [r.group], [r.licence], Loop(r.sound))


def _accompanied(pianos, others, performances, rng):
    """A piano with a bass, held chords, a melody or brushes, often so soft that they can just be heard."""
    chosen = [(part, other) for part, (pattern, _) in PARTS.items() for other in others if _plays(other, pattern)]
    chosen += [("brushes", None)] * 6
    count = Counter(part for part, _ in chosen)
    for number, (part, other) in enumerate(chosen):
        for i in rng.permutation(len(performances))[:2]:
            (piece, source), piano = performances[i], pianos[rng.integers(len(pianos))]
            player, entry = (other.player, other.entry) if other else (None, piano.entry)
            name = other.name if other else "brushes"
            yield _fields(
                OTHER,
                "piano with accompaniment",
                f"{piano.entry.name} {piano.name} and {entry.name}, {part} {number}",
                f"Piano with {name}",
                piece.name,
                entry.package.name,
                [piano.entry.family, entry.family],
                [piano.entry.licence, entry.licence, source.licence],
                Accompanied(piano.player, player, part, piece),
                (PARTS[part][1] if other else BRUSHES) / count[part],
            )


def _plays(instrument, pattern):
    return re.search(pattern, instrument.name, re.IGNORECASE) is not None


def _duets(pianos, performances, rng):
    """Two pianos at the same time, which are still a piano and nothing else."""
    for number in range(DUETS if performances else 0):
        one, two = (pianos[i] for i in rng.integers(len(pianos), size=2))
        piece, source = performances[rng.integers(len(performances))]
        yield _fields(
            PIANO,
            "two pianos",
            f"{one.entry.name} {one.name} and {two.entry.name}, {number}",
            "Two pianos",
            piece.name,
            one.entry.package.name,
            [one.entry.family, two.entry.family],
            [one.entry.licence, two.entry.licence, source.licence],
            Duo(one.player, two.player, piece),
        )


def _alone(instrument, performances, count, rng):
    """An instrument alone: `count` pieces, improvisations, and single notes."""
    entry, weight = instrument.entry, instrument.weight
    label = PIANO if instrument.piano else OTHER
    kind = "sampled notes" if instrument.sampled else "instrument"

    def made(kind, music, sound, weight, *licences):
        about = (entry.name, instrument.name, music, entry.package.name)
        return _fields(label, kind, *about, [entry.family], [entry.licence, *licences], sound, weight)

    for i in rng.permutation(len(performances))[:count]:
        piece, source = performances[i]
        share = min(piece.score().seconds, 600) / 300 + 0.1 if instrument.piano else 1 / PIECES_EACH
        sound = Solo(instrument.player, piece, instrument.melodic)
        yield made("performance" if instrument.piano else kind, piece.name, sound, weight * share, source.licence)
    for melody in {False, instrument.melodic}:
        sound = Solo(instrument.player, None, melody)
        yield made("improvised" if instrument.piano else kind, "melody" if melody else "improvised", sound, weight)
    sound = Solo(instrument.player, style="single")
    yield made("single notes", "single notes", sound, weight * (3 if instrument.sampled else 1))


def _duos(pianos, other, performances, rng):
    """A piano and one instrument more, three times: two pieces and an improvisation."""
    chosen = [performances[i] for i in rng.permutation(len(performances))[:2]]
    for piece, source in [*chosen, (None, None)]:
        piano = pianos[rng.integers(len(pianos))]
        yield _fields(
            OTHER,
            "piano with instrument",
            f"{piano.entry.name} and {other.entry.name}",
            f"Piano with {other.name}",
            piece.name if piece else "improvised",
            other.entry.package.name,
            [piano.entry.family, other.entry.family],
            [piano.entry.licence, other.entry.licence, source.licence if source else ""],
            Duo(piano.player, other.player, piece, other.bass),
            4.0 if other.bass else 1.0,
        )


def _mixtures(pianos, bands, pieces, unplayed, rng):
    """A piano and something that does not follow it: speech, applause, a crowd, other music, drums."""
    others = [
        (r.source, r.id, r.sound, r.instrument, r.group, r.licence)
        for r in unplayed
        if r.kind in ("speech", "recorded music") or r.instrument in ("applause", "crowd", "synthetic voice")
    ]
    others += [
        (font.name, piece.name, Drums(path, piece), "drums", font.family, source.licence)
        for font, path in bands
        for piece, source in pieces["band"]
        if piece.score().notes["drum"].sum() > 50
    ]
    instruments = [other[3] for other in others]
    shares = {"speech": 8.0, "drums": 8.0, "recorded music": 3.0}
    for maker, name, sound, instrument, group, licence in others:
        for _ in range(2):
            piano = pianos[rng.integers(len(pianos))]
            piece, source = pieces["performance"][rng.integers(len(pieces["performance"]))]
            yield _fields(
                OTHER,
                "piano with sound",
                f"{piano.entry.name} {piano.name} and {maker}",
                f"Piano with {instrument}",
                f"{piece.name} + {name}",
                piano.entry.package.name,
                [piano.entry.family, group],
                [piano.entry.licence, source.licence, licence],
                Together(Solo(piano.player, piece), sound),
                shares.get(instrument, 4.0) / 2 / instruments.count(instrument),
            )


def _fields(label, kind, maker, instrument, music, source, families, licences, sound, weight=1.0):
    return {
        "id": f"{maker}/{instrument}/{music}",
        "label": label,
        "source": source,
        "group": " + ".join(sorted(set(families))),
        "licence": " + ".join(dict.fromkeys(filter(None, licences))),
        "kind": kind,
        "instrument": instrument,
        "sound": sound,
        "weight": weight,
    }
