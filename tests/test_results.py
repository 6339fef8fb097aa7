"""The documents and the notebooks say what the results say, and the results are those of the released model."""

import hashlib
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from nn import FeatureConfig, Model
from nn.spectrogram import mel_filters
from pipeline import files
from pipeline.learning.evaluation import as_text
from pipeline.learning.networks import dense_network, thesis_network
from pipeline.learning.weights import markdown
from pipeline.song import audio, cleaning
from pipeline.song.recognition import MODEL_PATH
from pipeline.studies import convolution, instruments, real_recordings, sweep, tracing

CARD = Path("docs/model-card.md").read_text(encoding="utf-8")
FIGURES = json.loads(Path("data/results/model.json").read_text())
RELEASED = Model.load(MODEL_PATH).metadata


def test_the_results_are_of_the_released_model():
    assert RELEASED["figures"] == FIGURES


def test_the_model_card_shows_the_results():
    assert not [line for line in markdown(FIGURES).splitlines() if line not in CARD]
    changed = json.loads(json.dumps(FIGURES))
    changed["test clips"]["precision"] -= 0.1
    assert [line for line in markdown(changed).splitlines() if line not in CARD], "another figure would be noticed"


def test_the_model_card_shows_the_real_recordings_and_the_readme_those_of_the_test():
    results = json.loads(Path("data/results/real_recordings.json").read_text())
    table = pd.read_csv("data/results/real_recordings.csv")
    assert results["model"] == hashlib.sha256(MODEL_PATH.read_bytes()).hexdigest()
    assert results["model"] in CARD
    assert files.section("docs/model-card.md", "real recordings") == real_recordings.markdown(results["figures"])
    test = results["figures"]["test"]
    assert test == real_recordings.figures(table[table["use"] == "test"])
    right = (table["label"] == table["predicted"])[table["use"] == "test"]
    shown = as_text(test)
    row = f"| {test['n']} ({test['n_piano']}) | {shown['f1']}; {right.sum()} of {len(right)} correct "
    assert row + shown["accuracy"].split(" ")[1] in Path("README.md").read_text(encoding="utf-8")


def test_the_model_card_says_what_noise_does():
    every, quiet = (FIGURES[f"unseen songs{which}"]["by majority vote"] for which in ("", " without noise"))
    found = every["recall"] * every["n_piano"] - quiet["recall"] * quiet["n_piano"]
    noisy = found / (every["n_piano"] - quiet["n_piano"])
    words = f"without it {quiet['recall']:.2f} of the pianos among them are found, with it {noisy:.2f}"
    assert words.replace("0.", ".") in " ".join(CARD.split())


@pytest.mark.parametrize(
    ("words", "variant", "clips", "seed"),
    [
        ("packages and real recordings (released) | 120,000", "recognizer", "all", 0),
        ("the same, seed 1 | 120,000", "recognizer", "all", 1),
        ("the same, seed 2 | 120,000", "recognizer", "all", 2),
        ("packages alone | 40,901", "recognizer, packages alone", "33602", 0),
    ],
)
def test_the_model_card_shows_what_other_seeds_learn_and_what_packages_alone_teach(
    words, variant, clips, seed, results
):
    table = results["screening"]
    run = {"variant": variant, "clips": clips, "seed": seed, "dataset": RELEASED["dataset"]}
    runs = table[(table[list(run)] == pd.Series(run)).all(axis=1)]
    best = runs.sort_values("recordings_loss").iloc[0]
    figures = (f"{best[name]:.3f}".lstrip("0") for name in ("recordings_clips_auc", "recordings_loss", "test_auc"))
    assert f"| {words} | {' | '.join(figures)} |" in CARD


def test_the_pages_show_the_benchmarks_and_name_every_row_above_its_bound():
    rows = json.loads(Path("data/results/bench.json").read_text())
    tables = {page: files.section(page, "bench") for page in ("docs/benchmark.md", "README.md")}
    for row in rows:
        figures = (f"{row[whose]:.1f} {row['unit']}" for whose in ("ours", "theirs"))
        line = f"| {row['work']} | {row['peer']} | {' | '.join(figures)} | {row['ratio']:.2f} | {row['at_most']:.2f} |"
        assert line in tables["docs/benchmark.md"]
    shown = [line for line in tables["README.md"].splitlines() if line.startswith("| ")]
    assert 1 < len(shown) <= 4
    assert all(line in tables["docs/benchmark.md"] for line in shown)
    above = {}
    for row in rows:
        if row["ratio"] > row["at_most"]:
            above.setdefault(row["work"], []).append(f"{row['peer']} {row['ratio']:.2f}")
    listed = "\n".join(f"- {work}: {', '.join(peers)}" for work, peers in above.items())
    assert files.section("docs/benchmark.md", "not reached") == listed


def test_many_classes_shows_the_results():
    text = Path("docs/many-classes.md").read_text(encoding="utf-8")
    assert instruments.markdown(json.loads(Path("data/results/instruments.json").read_text())) in text


def test_the_released_model_is_as_good_as_it_must_be():
    real = FIGURES["real recordings"]["by majority vote"]
    assert real["n"] == 26
    assert real["f1"] >= 0.92
    assert real["auc"] >= 0.98
    assert round(FIGURES["real clips"]["balanced_accuracy"], 2) >= 0.90
    assert FIGURES["real clips"]["auc"] >= 0.96


NOTEBOOKS = {path.name[:2]: nbformat.read(path, as_version=4) for path in Path("notebooks").glob("0[1-7]*.ipynb")}
CHANCE_LOSS = np.log(2)  # of a network that predicts one half for everything


@pytest.fixture(scope="module")
def results():
    return {path.stem: pd.read_csv(path) for path in Path("data/results").glob("*.csv")}


def prose(number):
    return "\n".join(cell.source for cell in NOTEBOOKS[number].cells if cell.cell_type == "markdown")


def code(number):
    return "\n".join(cell.source for cell in NOTEBOOKS[number].cells if cell.cell_type == "code")


def printed(number):
    """What the cells of a notebook show, as text."""
    outputs = [output for cell in NOTEBOOKS[number].cells for output in cell.get("outputs", [])]
    texts = [output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs]
    return (
        "\n".join(texts)
        + "\n"
        + re.sub(
            r"base64,[^\"]+|<[^>]+>", " ", "".join(output.get("data", {}).get("text/html", "") for output in outputs)
        )
    )


def runs(results, network, column, protocol="by source", schedule="constant"):
    """A figure of each epoch of each seed of a network: a row a seed, a column an epoch."""
    table = pd.concat([results["with_convolution_epochs"], results["before_convolution_epochs"]])
    about = (table["network"] == network) & (table["protocol"] == protocol) & (table["schedule"] == schedule)
    return table[about].pivot(index="seed", columns="epoch", values=column).to_numpy()


def accuracy(results, *about, part="validation"):
    """The accuracy of an experiment and the ends of its interval."""
    table = convolution.accuracies(results["with_convolution_answers"], part)
    return table[(table[convolution.ABOUT] == about).all(axis=1)][["accuracy", "low", "high"]].iloc[0]


def gain(results, protocol, schedule, part):
    """How much more accurate the thesis network is than the best dense one, and the ends of the interval."""
    pair = [(name, protocol, schedule) for name in (convolution.THESIS, convolution.DENSE)]
    return convolution.difference(results["with_convolution_answers"], *pair, part)


def seconds(results, songs):
    """What each network has right of some songs: `convolution.recording_accuracies`."""
    return convolution.recording_accuracies(results["with_convolution_recordings"].query("songs == @songs"))


def kept(results, shift, by):
    """The share of clips that keep their class when shifted: by network, the mean over seeds."""
    table = results["with_convolution_shifts"].query("shift == @shift and by == @by")
    return table.groupby("network")["kept"].mean()


def staircase(results):
    """How much lower the loss is at the beginning of each epoch than at the end of the one before."""
    table = results["before_convolution_curves"].query("network == 'dense, samples' and protocol == 'by source'")
    passed, place = np.divmod(table["epoch"].to_numpy(), 1)
    loss = table["loss"].to_numpy()
    return np.array(
        [
            loss[(passed == n - 1) & (place > 0.9)].mean() - loss[(passed == n) & (place < 0.1)].mean()
            for n in range(1, 5)
        ]
    )


def fewer_seconds_of_music(results):
    table = results["dataset"]
    return table["distinct seconds of music"].sum() < table["distinct seconds of sound"].sum()


def both_classes_alike(results):
    table = results["dataset"].assign(split=results["dataset"]["split and class"].str.split().str[0])
    return (table.groupby("split")["clips"].nunique() == 1).all()


def raw_decibels_stay_at_chance_level(results):
    found = [
        runs(results, "dense, raw decibels", name, protocol)[:, -1]
        for protocol in ("by source", "by clip")
        for name in ("val_loss", "val_accuracy")
    ]
    losses, accuracies = np.concatenate(found[::2]), np.concatenate(found[1::2])
    return (abs(losses - CHANCE_LOSS) < 0.02).all() and (abs(accuracies - 0.5) < 0.02).all()


def samples_are_learnt(results):
    accuracy, unseen = (runs(results, "dense, samples", name)[:, -1] for name in ("accuracy", "val_accuracy"))
    return (accuracy > 0.9).all() and (abs(unseen - 0.5) < 0.1).all()


def dense_is_better_normalised(results):
    pairs = [
        [accuracy(results, name, protocol, "constant") for name in (convolution.DENSE, convolution.SAMPLES)]
        for protocol in ("by source", "by clip")
    ]
    return all(normalised["low"] > samples["high"] for normalised, samples in pairs)


def more_by_clip(results, network):
    by_source, by_clip = (accuracy(results, network, protocol, "constant") for protocol in ("by source", "by clip"))
    return by_clip["low"] > by_source["accuracy"] and by_clip["accuracy"] > by_source["high"]


def share_of_dead_units(network):
    return float(re.search(rf"{network} +([\d.]+)", printed("04").partition("share of dead units")[2]).group(1))


def last_epochs(results):
    """The figures of each screened run in its last epoch."""
    return results["screening"].sort_values("epoch").groupby(["variant", "clips", "dataset", "seed"]).last()


def packages_alone_teach_less(results):
    last = last_epochs(results)["recordings_clips_auc"]
    recognizers = last[last.index.get_level_values("variant").str.contains("recognizer")]
    alone = recognizers["recognizer, packages alone"].groupby("dataset").max()
    others = recognizers.drop(index="recognizer, packages alone").groupby("dataset").min()
    return len(alone) == 2 and (others[alone.index] > alone).all()


def seeds_end_alike(results):
    seeds = last_epochs(results).loc["recognizer", "all", RELEASED["dataset"]][["recordings_clips_auc", "test_auc"]]
    return len(seeds) == 3 and (np.ptp(seeds.to_numpy(), axis=0) < 0.005).all()


def bootstrapped(results, figure):
    return results["evaluation_models"].set_index("model")[figure]


# (notebook, words of its prose): whether the results agree, with a margin where another run might differ a little
CLAIMS = {
    ("01", "33,602 labelled clips of one second"): lambda results: results["dataset"]["clips"].sum() == 33_602,
    ("01", "Both classes are equally frequent in each split"): both_classes_alike,
    ("01", "There are fewer distinct seconds of music than of sound"): fewer_seconds_of_music,
    (
        "04",
        "Under both protocols every seed ends at chance level, with a loss of 0.69 and an accuracy of one half",
    ): raw_decibels_stay_at_chance_level,
    ("04", "the loss drops at once"): lambda results: (staircase(results) > 0.03).all(),
    (
        "04",
        "almost all training clips are classified correctly. On other sources the accuracy stays near chance level",
    ): samples_are_learnt,
    ("04", "the loss there *rises* from epoch to epoch"): lambda results: (
        np.diff(runs(results, "dense, samples", "val_loss").mean(axis=0)) > 0.02
    ).all(),
    (
        "04",
        "Under both protocols the whole interval of this network lies above that of the samples",
    ): dense_is_better_normalised,
    ("04", "between two epochs much can be lost"): lambda results: (
        np.diff(runs(results, "dense, normalised decibels", "val_accuracy")).min() < -0.02
    ),
    ("04", "The difference is knowing the recording"): lambda results: more_by_clip(results, convolution.DENSE),
    ("04", "the side where ReLU gives zero for every clip"): lambda results: (
        share_of_dead_units("dense, raw decibels") > 0.9
    ),
    ("04", "Batch normalization in front, one line, keeps most of them alive"): lambda results: (
        share_of_dead_units("dense, normalised decibels") < 0.5
    ),
    (
        "05",
        "Under both protocols, with a constant and with a falling learning rate, in the validation and in the test "
        "split, the whole interval of the difference lies above zero",
    ): lambda results: convolution.gains(results["with_convolution_answers"]).pipe(
        lambda t: len(t) == 6 and (t["low"] > 0).all()
    ),
    ("05", "all six intervals lie above zero"): lambda results: (
        convolution.gains(results["with_convolution_answers"])["low"] > 0
    ).all(),
    ("05", "each of the two networks gains more than convolution brings"): lambda results: (
        min(
            accuracy(results, name, "by clip", "constant")["accuracy"]
            - accuracy(results, name, "by source", "constant")["accuracy"]
            for name in (convolution.THESIS, convolution.DENSE)
        )
        > max(gain(results, protocol, "constant", "validation")[0] for protocol in ("by source", "by clip"))
    ),
    ("05", "one of the seeds ends near chance level"): lambda results: (
        (runs(results, convolution.THESIS, "val_accuracy")[:, -1] < 0.55).sum() == 1
    ),
    ("05", "the validation loss of the thesis network ends above chance level, 0.69"): lambda results: (
        runs(results, convolution.THESIS, "val_loss")[:, -1].mean() > CHANCE_LOSS
    ),
    ("05", "the interval of the released network's seconds lies above both"): lambda results: seconds(
        results, "test recordings"
    ).pipe(lambda t: t["seconds_low"]["released network"] > t["seconds_high"].drop("released network").max()),
    ("05", "the intervals of the thesis network and the dense one overlap"): lambda results: all(
        seconds(results, songs).pipe(
            lambda t: t["seconds_low"][convolution.THESIS] < t["seconds_high"][convolution.DENSE]
        )
        for songs in ("samples", "test recordings")
    ),
    ("05", "moved by half a second, each keeps the class of nine clips in ten"): lambda results: (
        kept(results, "frames", 50).between(0.87, 0.93).all()
    ),
    ("05", "up to three semitones they are alike, and an octave away the thesis network keeps more"): lambda results: (
        all(np.ptp(kept(results, "semitones", by)) < 0.04 for by in (-3, -2, -1, 1, 2, 3))
        and all(
            kept(results, "semitones", by)[convolution.THESIS]
            > kept(results, "semitones", by)[convolution.DENSE] + 0.05
            for by in (-12, 12)
        )
    ),
    ("05", "training loss falls in every epoch of every seed"): lambda results: (
        np.diff(runs(results, "thesis network", "loss")) < 0
    ).all(),
    ("05", "the validation accuracy of a seed can fall by many points"): lambda results: (
        np.diff(runs(results, "thesis network", "val_accuracy")).min() < -0.03
    ),
    ("05", "while its training accuracy climbs every time"): lambda results: (
        np.diff(runs(results, "thesis network", "accuracy")) > 0
    ).all(),
    ("05", "a step of the thesis network takes longest of all"): lambda results: (
        results["with_convolution_costs"].groupby("network")["milliseconds"].first().idxmax() == "thesis network"
    ),
    ("05", "close to the random filters they began as"): lambda results: (
        float(re.search(r"before training: ([\d.]+)", printed("05")).group(1)) > 0.9
    ),
    ("07", "many more recordings of other sounds than of pianos"): lambda results: (
        results["dataset"]
        .set_index("split and class")["recordings"]
        .pipe(lambda n: n["test Other"] > 3 * n["test Piano"])
    ),
    ("07", "which end as high as each other"): seeds_end_alike,
    ("07", "ends below every other recognizer of its dataset"): packages_alone_teach_less,
    (
        "07",
        "the thesis network is better than the dense one, and the released model better than both",
    ): lambda results: bootstrapped(results, "auc").pipe(
        lambda auc: auc["dense network"] < auc["thesis network"] < auc["this network"]
    ),
    ("07", "no two of these three intervals overlap"): lambda results: (
        bootstrapped(results, "auc_high")["dense network"] < bootstrapped(results, "auc_low")["thesis network"]
        and bootstrapped(results, "auc_high")["thesis network"] < bootstrapped(results, "auc_low")["this network"]
    ),
    ("07", "of the other sounds that are called a piano here, most have a piano in them"): lambda results: (
        np.mean(
            [name.startswith("Piano with") for name in re.findall(r"\d: ([^;]+), classified as Piano", printed("07"))]
        )
        > 0.5
    ),
    ("07", "All 44 real recordings that only test are classified correctly"): lambda results: (
        results["real_recordings"]
        .query("use == 'test'")
        .pipe(lambda t: len(t) == 44 and (t["label"] == t["predicted"]).all())
    ),
}


@pytest.mark.parametrize(("notebook", "words"), CLAIMS)
def test_the_notebooks_say_what_the_results_say(notebook, words, results):
    assert words in prose(notebook), f"Notebook {notebook} does not say {words!r} any more; change the claim here, too"
    assert CLAIMS[notebook, words](results), (
        f"Notebook {notebook} says {words!r}, the results do not: rewrite that sentence"
    )


def shown(number, line):
    """The numbers with a decimal point that the cell with this line of code shows as text."""
    (cell,) = (
        cell for cell in NOTEBOOKS[number].cells if cell.cell_type == "code" and line in cell.source.splitlines()
    )
    text = "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)
    return np.array(re.findall(r"-?\d+\.\d+", text), float)


@pytest.mark.parametrize("number", ["04", "05"])
def test_the_results_are_of_the_runs_that_the_notebook_shows(number, results):
    name = {"04": "before_convolution", "05": "with_convolution"}[number]
    found = convolution.accuracies(results[f"{name}_answers"]).sort_values("accuracy", ascending=False)
    line = {"04": "accuracies.round(3)", "05": "accuracies.round(3)"}[number]
    assert np.allclose(
        np.sort(shown(number, line)), np.sort(found[["accuracy", "low", "high"]].to_numpy(), axis=None), atol=0.0006
    )


def test_05_shows_the_gain_that_follows_from_the_answers(results):
    gains = convolution.gains(results["with_convolution_answers"])
    assert np.allclose(shown("05", "gains.round(3)"), gains[["value", "low", "high"]].to_numpy().ravel(), atol=0.0006)


@pytest.mark.parametrize(("number", "name"), [("04", "before_convolution"), ("05", "with_convolution")])
def test_a_notebook_takes_as_long_as_its_runs_did(number, name, results):
    seconds = results[f"{name}_epochs"]["seconds"].sum()
    assert f"{seconds / 60:.0f} minutes of training, one thread a run" in printed(number)
    minutes = int(re.search(r"Takes about (\d+) minutes on 2 cores", prose(number)).group(1))
    assert minutes == pytest.approx(seconds / 120, rel=0.3, abs=3)


def test_the_results_are_of_the_search_that_05_shows(results):
    trials, last = results["sweep_trials"], results["sweep_best"]
    best_first = trials.sort_values("value", ascending=False).head(8)
    found = shown("06", 'trials.sort_values("value", ascending=False).head(8).round(4)')
    assert np.allclose(
        np.sort(found[-16:]), np.sort(best_first[["dropout", "value"]].to_numpy().ravel()), rtol=0, atol=0.0006
    )
    assert len(trials) == int(re.search(r"N_TRIALS = (\d+)", code("06")).group(1))
    found = shown("06", 'table[["network", "seed", "parameters", "val_accuracy", "test_accuracy"]].round(3)')
    assert np.allclose(found, last[["val_accuracy", "test_accuracy"]].to_numpy().ravel(), rtol=0, atol=0.0006)
    means = last.groupby("network", sort=False)["test_accuracy"].mean()
    assert f"by {100 * (means['best of the sweep'] - means['thesis network, fewer clips']):+.1f} points" in printed(
        "06"
    )


def test_a_wrong_sentence_is_found(results):
    """With the figures of each table in reverse order, most of what the notebooks say would be wrong."""
    wrong = {}
    for name, table in results.items():
        figures = table.select_dtypes("number").columns.difference(["seed", "epoch"])
        wrong[name] = table.assign(**{column: table[column].to_numpy()[::-1] for column in figures})
    found = {words for (_, words), holds in CLAIMS.items() if not holds(wrong)}
    assert found > {
        "the loss drops at once",
        "the loss there *rises* from epoch to epoch",
        "while its training accuracy climbs every time",
        "a step of the thesis network takes longest of all",
        "many more recordings of other sounds than of pianos",
    }


def test_the_thesis_network_is_as_04_says():
    sizes = [sum(layer.n_parameters for layer in network().layers) for network in (dense_network, thesis_network)]
    assert "a seventh of the parameters of the dense network" in prose("05")
    assert round(sizes[0] / sizes[1]) == 7
    songs = [audio.load(f"data/samples/{name}") for name in ("piano-satie-gymnopedie.m4a", "other-speech.opus")]
    clips = np.concatenate([cleaning.cut_array(song)[0][:8] for song in songs])
    flow = tracing.trace(thesis_network(), clips, np.eye(2, dtype=np.float32)[np.repeat([0, 1], 8)])
    assert "the outputs keep their size" in prose("05")
    assert flow["output"].iloc[1:].between(0.2, 5).all()
    assert "the gradients of the parameters (diamonds) are of one size in all convolutions" in prose("05")
    convolutions = flow[flow.index.str.startswith("conv")]
    assert convolutions["parameter gradient"].max() < 5 * convolutions["parameter gradient"].min()
    assert "the gradient of a single value becomes smaller towards the input" in prose("05")
    assert flow["input gradient"]["conv2d_1"] < flow["input gradient"]["conv2d_5"] < flow["input gradient"]["dense_2"]


def test_the_filters_are_as_02_says():
    filters = mel_filters(FeatureConfig())
    assert "each rests on one or two lines" in prose("02")
    assert set((filters[:30] > 0).sum(axis=1)) == {1, 2}
    assert "Many more mels would leave some filters empty" in prose("02")
    assert (~mel_filters(FeatureConfig(n_mels=256)).any(axis=1)).any()


FEATURES = FeatureConfig()
KNOWN = {  # numbers of the prose that no cell prints, and where they are from
    "other people": {
        "CC BY 4.0",
        "300 songs an hour",
        "Pearson, 1934",
        "Wilson (1927)",
        "Fergus, 2014",
        "Tibshirani, 1993",
    },
    "constants": {
        f"{FEATURES.n_fft // 2 + 1} frequencies",
        f"{FEATURES.sample_rate / FEATURES.n_fft:.0f} Hz apart",
        f"{FEATURES.top_db:.0f} dB below",
        f"{1000 * FEATURES.win_length // FEATURES.sample_rate} ms",
        f"{FEATURES.sample_rate // 2000} kHz",
        f"-{FEATURES.top_db:.0f}",
        f"{1000 * cleaning.WINDOW // cleaning.SAMPLE_RATE} ms",
        f"{cleaning.THRESHOLD * 32768:.0f}/32768",
        f"{-20 * np.log10(cleaning.THRESHOLD):.0f} dB below",
        f"{cleaning.CLIP:,} samples",
        f"{FEATURES.clip_frames * FEATURES.n_mels:,}",
        f"the {sweep.MOST_FILTERS} of",
    },
    "arithmetic": {
        f"{CHANCE_LOSS:.2f}",
        f"plus or minus {100 * 0.5 / np.sqrt(32):.0f} %",
        "From 200 to 400 Hz",
        "from 7,000 to 7,200 Hz",
        "some 250",
        "0.001",
    },
    "the thesis": {"between 40 and 60 %", "40 to 60 %", "near 0.5", "would be 0.5"},
}


@pytest.mark.parametrize("number", NOTEBOOKS)
def test_every_number_in_prose_comes_from_a_cell(number):
    """From the source or output of a cell, or from KNOWN; titles, links, code and the notebook's time do not count."""
    text = re.sub(r"^# .*|^Takes .*|\[[^]]*\]\([^)]*\)|`[^`]*`|Figure 3\.\d+", "", prose(number), flags=re.M)
    for words in sorted(set().union(*KNOWN.values()), key=len, reverse=True):
        text = text.replace(words, "")
    cells = code(number) + printed(number)
    known = {token.replace("_", "").replace(",", "") for token in re.findall(r"\d[\d_,]*(?:\.\d+)?", cells)}
    unknown = [
        found for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text) if found.rstrip(",").replace(",", "") not in known
    ]
    assert not unknown, f"Notebook {number} says {unknown}: print it in a cell, or say here where it is from"
