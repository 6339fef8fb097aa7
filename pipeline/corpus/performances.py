"""What the instruments of a corpus play: pianos alone, everything else alone, pianos with something else, bands.
The same pieces are given to pianos and to all others, so that the music is no clue to the label.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretty_midi

from pipeline.corpus.render import FontPlayer, programs
from pipeline.corpus.sampler import SamplePlayer
from pipeline.corpus.sounds import Band, Drums, Duo, Solo, Together

# Instruments that are struck or plucked sound most like a piano, so they are drawn more often than others.
STRUCK_OR_PLUCKED = {*range(4, 16), *range(24, 29), 45, 46, 47, *range(104, 109), 114}
ONE_NOTE = {22, *range(40, 45), 52, 53, 54, *range(56, 80), 109, 110, 111}  # bowed, blown and sung: mostly melodies
WITH_PIANO = {*range(24, 29), *range(32, 36), *range(40, 45), 48, 49, 52, 53, 56, 60, *range(64, 76)}
BASSES = {*range(32, 36), 43, "bass-electric", "contrabass", "tuba"}  # programs and sampled instruments
POLYPHONIC_SAMPLES = {
    "piano",
    "guitar-acoustic",
    "guitar-electric",
    "guitar-nylon",
    "harmonium",
    "harp",
    "organ",
    "xylophone",
}
PIECES_EACH = 4  # pieces that each instrument plays beside its improvisations


@dataclass(frozen=True)
class Instrument:
    """Something that plays: its maker (a font or a set of samples), what it is, and how often it is drawn."""

    maker: str
    name: str
    player: object
    piano: bool
    source: str
    family: str
    licence: str
    melodic: bool = False
    joins_piano: bool = False
    bass: bool = False
    sampled: bool = False
    weight: float = 1.0


def of_font(font, path):
    """The instruments of a sound font, or of a folder of patches with the one at `path`: a list of Instrument."""
    patched = path.endswith(".pat")
    if patched:  # 024_Nylon_Guitar.pat: the program comes first
        players = {
            int(patch.name[:3]): SamplePlayer((str(patch),)) for patch in sorted(Path(path).parent.glob("[0-9]*.pat"))
        }
    else:
        players = {program: FontPlayer(path, program) for program in programs(path)}
    found = []
    for program, player in players.items():
        piano = program in font.pianos
        if not piano and (program <= 3 or program in font.skip):
            continue
        weight = (
            0.4 if program == 3 else 2.0 if program in STRUCK_OR_PLUCKED else 1.0
        )  # 3: honky-tonk, an upright out of tune
        found.append(
            Instrument(
                font.name,
                pretty_midi.program_to_instrument_name(program),
                player,
                piano,
                font.package.name,
                font.family,
                font.licence,
                program in ONE_NOTE,
                program in WITH_PIANO,
                program in BASSES,
                patched,
                weight,
            )
        )
    return found


def of_samples(samples, folders):
    """The one instrument of a set of samples."""
    polyphonic = samples.label == "Piano" or samples.name in POLYPHONIC_SAMPLES
    return [
        Instrument(
            samples.name,
            samples.name,
            SamplePlayer(folders),
            samples.label == "Piano",
            samples.packages[0].name,
            samples.family,
            samples.licence,
            not polyphonic,
            not polyphonic,
            samples.name in BASSES,
            True,
            samples.weight,
        )
    ]


def recordings(instruments, bands, pieces, around):
    """Everything that the instruments of one split play: dicts of all fields of a Recording but the split.

    Parameters
    ----------
    instruments : list of Instrument
    bands : list of (catalogue.Font, path), the fonts that can play whole bands
    pieces : {"performance" | "band": list of (Piece, catalogue.Pieces)}
    around : recordings of the split that are no music of ours, to be heard together with a piano
    """
    rng = np.random.default_rng(zlib.crc32(" ".join(i.maker + i.name for i in instruments).encode()))
    performances = pieces["performance"]
    pianos, others = [i for i in instruments if i.piano], [i for i in instruments if not i.piano]
    found = [r for piano in pianos for r in _alone(piano, performances, len(performances), rng)]
    found += [r for other in others for r in _alone(other, performances, PIECES_EACH, rng)]
    if pianos:
        found += [r for other in others if other.joins_piano for r in _duos(pianos, other, performances, rng)]
        found += list(_together(pianos, bands, pieces, around, rng))
    for font, path in bands:
        for piece, entry in pieces["band"]:
            found.append(
                _fields(
                    "Other",
                    "band",
                    font.name,
                    "Band",
                    piece.name,
                    font.package.name,
                    [font.family],
                    [font.licence, entry.licence],
                    Band(path, piece),
                )
            )
    return found


def _alone(instrument, performances, count, rng):
    """An instrument alone: `count` pieces, and improvisations."""
    label = "Piano" if instrument.piano else "Other"
    kind = "sampled notes" if instrument.sampled else "instrument"
    for i in rng.permutation(len(performances))[:count]:
        piece, entry = performances[i]
        weight = instrument.weight * (
            min(piece.score().seconds, 600) / 300 + 0.1 if instrument.piano else 1 / PIECES_EACH
        )
        yield _fields(
            label,
            "performance" if instrument.piano else kind,
            instrument.maker,
            instrument.name,
            piece.name,
            instrument.source,
            [instrument.family],
            [instrument.licence, entry.licence],
            Solo(instrument.player, piece, instrument.melodic),
            weight,
        )
    for melody in {False, instrument.melodic}:
        yield _fields(
            label,
            "improvised" if instrument.piano else kind,
            instrument.maker,
            instrument.name,
            "melody" if melody else "improvised",
            instrument.source,
            [instrument.family],
            [instrument.licence],
            Solo(instrument.player, None, melody),
            instrument.weight,
        )
    yield _fields(
        label,
        "single notes",
        instrument.maker,
        instrument.name,
        "single notes",
        instrument.source,
        [instrument.family],
        [instrument.licence],
        Solo(instrument.player, style="single"),
        instrument.weight * (3 if instrument.sampled else 1),
    )


def _duos(pianos, other, performances, rng):
    """A piano and one instrument more, three times: two pieces and an improvisation."""
    chosen = [performances[i] for i in rng.permutation(len(performances))[:2]]
    for piece, entry in [*chosen, (None, None)]:
        piano = pianos[rng.integers(len(pianos))]
        yield _fields(
            "Other",
            "piano with instrument",
            f"{piano.maker} and {other.maker}",
            f"Piano with {other.name}",
            piece.name if piece else "improvised",
            other.source,
            [piano.family, other.family],
            [piano.licence, other.licence, entry.licence if entry else ""],
            Duo(piano.player, other.player, piece, other.bass),
            4.0 if other.bass else 1.0,
        )


def _together(pianos, bands, pieces, around, rng):
    """A piano and something that does not follow it: speech, applause, a crowd, other music, drums."""
    beside = [
        (r.source, r.id, r.sound, r.instrument, [r.group], r.licence)
        for r in around
        if r.kind in ("speech", "recorded music") or r.instrument in ("applause", "crowd", "synthetic voice")
    ]
    for font, path in bands:
        drummed = [(p, e) for p, e in pieces["band"] if p.score().notes["drum"].sum() > 50]
        beside += [
            (font.name, piece.name, Drums(path, piece), "drums", [font.family], entry.licence)
            for piece, entry in drummed
        ]
    kinds = [instrument for _, _, _, instrument, _, _ in beside]
    shares = {"speech": 8.0, "drums": 8.0, "recorded music": 3.0}
    for maker, name, sound, instrument, groups, licence in beside:
        for _ in range(2):
            piano = pianos[rng.integers(len(pianos))]
            piece, entry = pieces["performance"][rng.integers(len(pieces["performance"]))]
            yield _fields(
                "Other",
                "piano with sound",
                f"{piano.maker} {piano.name} and {maker}",
                f"Piano with {instrument}",
                f"{piece.name} + {name}",
                piano.source,
                [piano.family, *groups],
                [piano.licence, entry.licence, licence],
                Together(Solo(piano.player, piece), sound),
                shares.get(instrument, 4.0) / 2 / kinds.count(instrument),
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
