"""From a dataset to a model file: training that can be stopped, calibration that keeps the order, votes compared."""

import json
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy.special import expit, logit
from scipy.stats import binomtest

from nn import Dense, Model, Softmax
from pipeline.corpus import collection, dataset
from pipeline.corpus.collection import Recording
from pipeline.corpus.sounds import Excerpt, Noise, Recorded
from pipeline.errors import SourceError
from pipeline.learning import evaluation, hard_songs, training, voting, weights
from pipeline.learning.evaluation import (
    binary_metrics,
    by_recording,
    calibration,
    folder_clips,
    piano_probabilities,
    with_intervals,
)
from pipeline.song.recognition import levels
from pipeline.studies import screening

RATE = 16000
SMALL = partial(training.recognizer_network, filters=(8, 16, 16, 16))


def song(path, is_piano, seed, seconds=6):
    """Tones that die away, once a second, are the piano here; steady ones are the others."""
    rng, time = np.random.default_rng(seed), np.arange(seconds * RATE) / RATE
    tone = np.sin(2 * np.pi * rng.uniform(200, 900) * time) * (np.exp(-6 * (time % 1)) if is_piano else 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.4 * tone + rng.normal(0, 0.002, len(time)), RATE)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A dataset of 240 clips and a folder of 6 recordings that are not in it."""
    folder, found = tmp_path_factory.mktemp("learning"), []
    for label in ("Piano", "Other"):
        for number, split in enumerate(["train"] * 4 + ["validation", "test"]):
            path = song(folder / "own" / f"{label}-{number}.wav", label == "Piano", number)
            found.append(
                Recording(path.name, label, "own", path.name, "MIT", "own", "tone", split, Recorded(str(path)))
            )
        for number in range(3):
            song(folder / "dev" / label / f"{number}.flac", label == "Piano", 100 + number)
    dataset.build(folder / "clips", n_clips=240, recordings=found, jobs=1)
    return folder / "clips", folder / "dev"


def test_a_subsample_is_every_nth_clip(made):
    split = dataset.load(made[0], "train")
    clips, labels = training.subsample(split, 60)
    assert len(clips) == len(labels) == 64
    assert np.array_equal(clips[1], split[0][3])
    assert len(training.subsample(split, None)[0]) == len(split[0]) == 192
    mixed = (*split[:2], split[2].assign(kind=["own", "own", "noise"] * 64))
    clips, labels = training.subsample(mixed, 32, without=("own", "speech"))
    assert len(clips) == 32
    assert np.array_equal(clips[1], split[0][8])
    assert labels[1] == split[1][8]


@pytest.mark.parametrize(("arguments", "share"), [((), 0.1), ((0.5,), 0.5)])
def test_other_sound_over_a_piano_makes_it_other(arguments, share):
    rng = np.random.default_rng(0)
    samples, targets = (
        rng.normal(0, 0.1, (400, 1000)).astype(np.float32),
        np.repeat(np.eye(2, dtype=np.float32), 200, axis=0),
    )
    samples[200:] *= 5
    mixed, labels = training.mix_over_piano(*arguments)(samples.copy(), targets.copy(), rng)
    changed = np.flatnonzero((mixed != samples).any(axis=1))
    assert len(changed) / 200 == pytest.approx(share, abs=0.08)
    assert changed.max() < 200
    assert np.array_equal(np.flatnonzero(labels[:200, 1]), changed)
    assert np.array_equal(labels[200:], targets[200:])
    added = 20 * np.log10(np.std((mixed - samples)[changed], axis=1) / np.std(samples[changed], axis=1))
    assert -10.5 < added.min() < -5
    assert 1 < added.max() < 6.5


def test_both_classes_count_the_same_in_the_loss():
    loss = training.log_loss([True, False, False, False], [0.5, 0.1, 0.1, 0.1])
    assert loss == pytest.approx((np.log(2) - np.log(0.9)) / 2)


def test_the_learning_rate_falls_along_half_a_cosine():
    assert [training.cosine(progress) for progress in (0, 1 / 3, 1 / 2, 1)] == pytest.approx([1, 0.75, 0.5, 0])


def test_training_clips_are_shuffled_and_augmented_and_follow_the_seed(made, tmp_path, monkeypatch):
    asked, sequence, augment = [], training.ClipSequence, training.mix_over_piano()
    monkeypatch.setattr(
        training, "ClipSequence", lambda *arguments, **options: asked.append(options) or sequence(*arguments, **options)
    )
    training.train(made[0], tmp_path / "a.npz", SMALL, epochs=1, seed=7, limit=64, augment=augment, progress=False)
    assert asked == [{"shuffle": True, "seed": 7, "augment": augment}, {}]  # those of the validation are as they are


@pytest.mark.parametrize(("monitor", "values"), [("recordings_loss", [2, 1, 3]), ("recordings_auc", [0.5, 0.9, 0.7])])
def test_the_best_epoch_is_kept_not_the_last(tmp_path, monitor, values):
    model = SMALL()
    keep = training.KeepBest(SMALL(), tmp_path / "best.npz", tmp_path / "checkpoint.npz", monitor)
    for epoch, value in enumerate(values):
        model.history.epoch_rows.append({monitor: value})
        keep.on_epoch_end(model, epoch, model.history.epoch_rows[-1])
    assert len(Model.load(tmp_path / "best.npz").history.epoch_rows) == 2


def test_a_stopped_training_goes_on_and_the_best_epoch_is_kept(made, tmp_path):
    clips, dev = made
    settings = {"network": SMALL, "recordings": dev, "monitor": "recordings_loss", "limit": 64, "progress": False}
    training.train(clips, tmp_path / "a.npz", epochs=3, **settings)
    history = Model.load(f"{tmp_path / 'a.npz'}.checkpoint.npz").history.epochs
    assert list(history.index) == [1, 2, 3]
    assert history["recordings_auc"].between(0, 1).all()
    best = Model.load(tmp_path / "a.npz")
    recordings, table = folder_clips(dev)
    loss = training.log_loss(*_by_song(table, piano_probabilities(best, recordings)))
    assert loss == pytest.approx(history["recordings_loss"].min(), rel=1e-3)
    again = training.train(clips, tmp_path / "a.npz", epochs=3, **settings)  # nothing is left to do
    assert len(again.history.epochs) == len(best.history.epochs)
    for other in ({"network": partial(SMALL, masked=True)}, {"limit": 32}, {"without": ["noise"]}):
        with pytest.raises(SourceError, match="other clips or another network"):
            training.train(clips, tmp_path / "a.npz", epochs=3, **settings | other)
    training.train(clips, tmp_path / "b.npz", epochs=1, **settings | {"recordings": None, "monitor": "val_loss"})
    for epochs in (1, 2):  # finished or not
        with pytest.raises(SourceError, match="not judged by recordings_loss"):
            training.train(clips, tmp_path / "b.npz", epochs=epochs, **settings)


@pytest.mark.parametrize("n_saved", range(6))
def test_a_training_that_is_killed_anywhere_between_two_files_ends_as_if_it_had_not_been(
    made, tmp_path, monkeypatch, n_saved
):
    settings = {"network": SMALL, "epochs": 2, "limit": 64, "progress": False}
    whole = training.train(made[0], tmp_path / "whole.npz", **settings)
    save, saved = Model.save, []

    def die(model, path, **options):
        if len(saved) == n_saved:
            raise MemoryError
        saved.append(path)
        save(model, path, **options)

    monkeypatch.setattr(Model, "save", die)
    with pytest.raises(MemoryError):
        training.train(made[0], tmp_path / "parts.npz", **settings)
    monkeypatch.undo()
    parts = training.train(made[0], tmp_path / "parts.npz", **settings)
    assert [row["val_loss"] for row in parts.history.epoch_rows] == [
        row["val_loss"] for row in whole.history.epoch_rows
    ]
    assert all(np.array_equal(array, parts.params[key]) for key, array in whole.params.items())
    assert len(list(tmp_path.glob("parts.npz*"))) == 3  # the model, the checkpoint and its average


def test_ctrl_c_is_not_the_end_of_a_training(made, tmp_path):
    class Interrupting(training.Validation):
        def on_batch_end(self, model):
            os.kill(os.getpid(), signal.SIGINT)

    settings = {"network": SMALL, "epochs": 2, "limit": 64, "progress": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Validation", Interrupting)
        with pytest.raises(KeyboardInterrupt):
            training.train(made[0], tmp_path / "a.npz", **settings)
    assert not (tmp_path / "a.npz").exists()
    assert len(training.train(made[0], tmp_path / "a.npz", **settings).history.epoch_rows) == 2


def _by_song(table, probability):
    """Whether each song is a piano, and the probability at the mean of its clips' log odds by level."""
    songs = (
        table.assign(odds=logit(probability) * table["level"])
        .groupby("recording")
        .agg(label=("label", "first"), odds=("odds", "sum"), level=("level", "sum"))
    )
    return songs["label"] == "Piano", expit(songs["odds"] / songs["level"])


def test_calibration_keeps_the_order_and_divides_the_songs(made):
    clips, table = folder_clips(made[1])
    model = training.train(made[0], made[0].parent / "b.npz", SMALL, epochs=8, progress=False)
    before = piano_probabilities(model, clips)
    weights.calibrate(model, clips, table)
    model.layers[-2].params["bias"][0] -= logit(weights.PRIOR)  # half of these songs are pianos
    after = piano_probabilities(model, clips)
    assert np.array_equal(np.argsort(before, kind="stable"), np.argsort(after, kind="stable"))
    is_piano = table["label"] == "Piano"
    assert binary_metrics(is_piano, after)["auc"] == pytest.approx(binary_metrics(is_piano, before)["auc"], abs=1e-6)
    songs, probability = _by_song(table, after)
    assert training.log_loss(songs, probability) <= training.log_loss(*_by_song(table, before)) + 0.02
    assert np.mean((probability > 0.5) == songs) >= 5 / 6


def test_calibration_finds_how_much_too_sure_a_model_is():
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 1, 2000)
    table = pd.DataFrame(
        {"recording": np.arange(2000).astype(str), "label": np.where(rng.random(2000) < expit(odds), "Piano", "Other")}
    )
    model, clips = Model([Dense(2), Softmax()], (1,), ["Piano", "Other"]), odds[:, np.newaxis].astype(np.float32)
    model.layers[0].params |= {
        "kernel": np.float32([[3, 0]]),
        "bias": np.float32([0.5, 0]),
    }  # log odds three times too large
    before = logit(piano_probabilities(model, clips))
    scale, shift = weights.calibrate(model, clips, table)
    assert scale == pytest.approx(1 / 3, rel=0.15)
    assert logit(piano_probabilities(model, clips)) == pytest.approx(scale * before + shift, abs=0.05)


def test_calibration_goes_halfway_however_far_apart_the_classes_are():
    odds = np.array([1.5, 1.8, -6.5, -7.0])
    table = pd.DataFrame({"recording": list("abcd"), "label": ["Piano"] * 2 + ["Other"] * 2})
    model, clips = Model([Dense(2), Softmax()], (1,), ["Piano", "Other"]), odds[:, np.newaxis].astype(np.float32)
    model.layers[0].params |= {"kernel": np.float32([[1, 0]]), "bias": np.float32([0, 0])}
    scale, shift = weights.calibrate(model, clips, table)
    assert shift == pytest.approx(logit(weights.PRIOR) - scale * (1.5 - 6.5) / 2, abs=0.06 * scale)


def test_the_calibration_error_is_weighted_by_clips():
    bins, error = calibration([True, True, True, False], [0.95, 0.95, 0.95, 0.15])
    assert error == pytest.approx((3 * 0.05 + 0.15) / 4)
    assert bins["n"].tolist() == [1, 3]


def test_a_leave_one_out_threshold_does_not_depend_on_the_recording_itself():
    recordings = {"a": ("Piano", 0.8), "b": ("Piano", 0.7), "c": ("Other", 0.3), "d": ("Other", 0.6)}
    table = pd.DataFrame(
        [{"recording": name, "label": label, "p": p} for name, (label, p) in recordings.items() for _ in range(3)]
    )
    thresholds = expit(logit(weights.leave_one_out_thresholds(table, table["p"].to_numpy())) + logit(weights.PRIOR))
    chosen = dict(zip(table["recording"], thresholds))  # as if half of all songs were pianos
    assert chosen["a"] == pytest.approx(0.65, abs=0.02) == chosen["c"]  # between d and b
    assert chosen["b"] == pytest.approx(0.7, abs=0.02)  # between d and a
    assert chosen["d"] == pytest.approx(0.5, abs=0.02)  # between c and b: it would classify d as a piano


def unseen(folder):
    """Recordings of a test split, and one of the training split."""
    kinds = {
        "a": ("Piano", "recorded", "tone"),
        "b": ("Other", "single notes", "Guitar"),
        "c": ("Other", "noise", "hum"),
    }
    sounds = {
        "a": Recorded(str(folder / "own/Piano-5.wav")),
        "b": Recorded(str(folder / "own/Other-5.wav")),
        "c": Noise("hum"),
    }
    found = [
        Recording(name, label, "own", name, "MIT", kind, instrument, "test", sounds[name])
        for name, (label, kind, instrument) in kinds.items()
    ]
    return [*found, replace(found[0], id="d", split="train")]


class FirstSilent:
    """A sound whose first excerpt is silence; the piano is alone in the second one, and not in the third."""

    def __init__(self):
        self.n_excerpts = 0

    def excerpt(self, rng, seconds):
        self.n_excerpts += 1
        tone = np.sin(np.arange(int(seconds * RATE)) / 5).astype(np.float32) * (self.n_excerpts > 1)
        return Excerpt(tone, 0.0, "tone", np.arange(seconds) < (4 if self.n_excerpts == 2 else seconds))


def songs_of(folder, found, count=1, seed=0, **options):
    """The table of the songs, and the samples of each by sound and number."""
    table = hard_songs.make(found, folder, count=count, seed=seed, jobs=1, **options)
    return table, {Path(file).stem: soundfile.read(folder / "test" / file)[0] for file in table["file"]}


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(hard_songs, "SECONDS", (20, 20))


def test_unseen_songs_are_whole_and_of_the_test_split(made, tmp_path, monkeypatch, short):
    together = FirstSilent()
    duo = Recording("e", "Other", "own", "e", "MIT", "piano with instrument", "Piano with Guitar", "test", together)
    found = unseen(made[0].parent)
    monkeypatch.setattr(hard_songs, "Pool", Here)
    table, samples = songs_of(tmp_path / "a", [*found, duo])
    assert table.set_index("sound")["origin"].to_dict() == {
        "guitar": "b",
        "noise and tones": "c",
        "piano with an instrument": "e",
        "piano, recorded": "a",
    }
    assert (table["label"] == "Piano").tolist() == (table["sound"] == "piano, recorded").tolist()
    assert {name: len(sound) // RATE for name, sound in samples.items()} == {
        "guitar-00": 6,
        "noise-and-tones-00": 20,
        "piano-with-an-instrument-00": 20,
        "piano-recorded-00": 6,
    }
    assert together.n_excerpts == 3
    again = songs_of(tmp_path / "b", found, 2)[1]
    assert all(np.array_equal(again[name], samples[name]) for name in ("guitar-00", "piano-recorded-00"))
    assert songs_of(tmp_path / "c", [replace(duo, split="train"), replace(found[1], instrument="Guitar Fret Noise")])[
        0
    ].empty
    basses = [
        replace(duo, id=name, instrument=f"Piano with {name}") for name in ("Bassoon", "Slap Bass 1", "Contrabass")
    ]
    table = songs_of(tmp_path / "d", basses, 2)[0]
    assert table.query("sound == 'piano with a bass'")["origin"].tolist() == ["Slap Bass 1", "Contrabass"]
    spaced = songs_of(tmp_path / "e", [replace(found[1], id=str(number)) for number in range(7)], 3)[0]
    assert spaced["origin"].tolist() == ["0", "2", "4"]
    with pytest.raises(SourceError, match="holds other songs"):
        songs_of(tmp_path / "e", found)
    silence = replace(duo, sound=Noise("hum"), id="quiet")
    monkeypatch.setattr(
        Noise, "excerpt", lambda noise, rng, seconds: Excerpt(np.zeros(int(seconds * RATE), np.float32), 0.0, "")
    )
    monkeypatch.setattr(hard_songs, "TRIES", 3)
    with pytest.raises(SourceError, match="quiet holds hardly any sound"):
        songs_of(tmp_path / "f", [silence])


class Here:
    """A Pool that runs its tasks in this process."""

    def __init__(self, jobs):
        self.jobs = jobs

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, function, tasks):
        for arguments in tasks:
            function(*arguments)
            yield SimpleNamespace(result=lambda: None)


def test_songs_follow_the_seed_and_go_on_and_know_whether_noise_was_added(made, tmp_path, monkeypatch, short):
    found, noises = unseen(made[0].parent), iter([None, np.zeros(1), None])
    monkeypatch.setattr(hard_songs, "Pool", Here)
    first, other = (songs_of(tmp_path / str(seed), found, seed=seed)[1] for seed in (0, 1))
    assert not any(np.array_equal(first[name], other[name]) for name in first)
    (tmp_path / "0/test/Other/guitar-00.json").unlink()
    monkeypatch.setattr(hard_songs, "augment", lambda samples, rng, recipe: (samples, next(noises)))
    table, again = songs_of(tmp_path / "0", found)
    assert [name for name in first if not np.array_equal(first[name], again[name])] == ["guitar-00"]
    noises = iter([None, np.zeros(1), None])
    table = songs_of(tmp_path / "2", found)[0]
    assert table["noisy"].tolist() == [False, True, False]
    model = SimpleNamespace(
        class_names=["Piano", "Other"], predict=lambda clips: np.tile([[0.9, 0.1]], (len(clips), 1))
    )
    clips, probabilities = hard_songs.judge(model, tmp_path / "2" / "test")
    assert len(clips) == len(probabilities) == 32
    by_sound = hard_songs.by_sound(by_recording(clips, probabilities))
    assert by_sound["guitar"] == {"label": "Other", "n": 1, "share": 1.0, "interval": [0.025, 1.0]}
    assert len(hard_songs.by_instrument(by_recording(clips, probabilities))) == 3


def test_the_report_of_unseen_songs(made, monkeypatch):
    monkeypatch.setattr(evaluation, "RESAMPLES", 20)
    model = SimpleNamespace(
        class_names=["Piano", "Other"], predict=lambda clips: np.where(clips[:, :1] > 0, [[0.9, 0.1]], [[0.1, 0.9]])
    )
    songs = {
        "recording": list("abcd"),
        "label": ["Piano", "Piano", "Other", "Other"],
        "sound": list("xxyy"),
        "noisy": [False, True] * 2,
    }
    clips = np.float32([[1], [-1], [-1], [-1]])  # the piano with noise is missed
    figures = weights.report(
        model, made[0], (pd.DataFrame(songs | {"instrument": "i"}), piano_probabilities(model, clips))
    )
    assert figures["unseen songs"]["by majority vote"]["recall"] == 0.5
    assert figures["unseen songs without noise"]["by majority vote"]["recall"] == 1
    assert figures["unseen songs taken for piano"]["x"]["share"] == 0.5


def test_the_report_of_clips_draws_recordings_and_that_of_recordings_names_what_was_wrong(made, monkeypatch):
    monkeypatch.setattr(evaluation, "RESAMPLES", 20)
    (_, labels, clips, _), table = dataset.load(made[0], "test"), folder_clips(made[1])[1]
    is_piano, test = table["label"] == "Piano", np.tile([0.2, 0.6, 0.9], 8)
    wrong = table["recording"].map({"Other/0.flac": 0.995, "Other/1.flac": 0.6})  # by any threshold, and by one half
    real = np.where(is_piano, 0.99, wrong.fillna(0.11))
    answers = iter([test, real])
    monkeypatch.setattr(weights, "piano_probabilities", lambda model, clips: next(answers))
    model = SimpleNamespace(class_names=["Piano", "Other"], predict=lambda clips: np.full((len(clips), 2), 0.5))
    figures = weights.report(model, made[0], recordings=made[1])
    assert figures["real recordings that were wrong"] == {"Other/0.flac": 0.995, "Other/1.flac": 0.6}
    assert figures["test clips"] == with_intervals(labels == 0, test, groups=clips["recording"])
    assert figures["real clips"] == with_intervals(is_piano, real, groups=table["recording"])
    assert figures["real clips, threshold of the other recordings"] == with_intervals(
        is_piano, real, real > 0.95, table["recording"]
    )


def test_the_weights_command_says_how_good_its_model_is(made, tmp_path, monkeypatch):
    built, asked, found, train = [], [], unseen(made[0].parent), weights.train
    monkeypatch.setattr(evaluation, "RESAMPLES", 20)
    monkeypatch.setattr(
        weights, "train", lambda *arguments, **options: asked.append(options) or train(*arguments, **options)
    )
    monkeypatch.setattr(
        dataset, "build", lambda *arguments, **options: built.append((arguments, options))
    )  # it was made above
    monkeypatch.setattr(
        collection, "recordings", lambda *arguments, **options: built.append((arguments, options)) or found
    )
    out, results = tmp_path / "model.npz", tmp_path / "results.json"
    command = [
        "--data",
        made[0],
        "--out",
        out,
        "--results",
        results,
        "--dev-folder",
        made[1],
        "--epochs",
        1,
        "--train-folder",
        "mine",
        "--instruments",
        "instruments",
        "--seed",
        3,
    ]
    assert weights.main(list(map(str, command))) == 0
    assert built == [
        ((["all"], ["mine"], "train", "instruments", "released"), {}),
        ((str(made[0]),), {"n_clips": 150_000, "seed": 3, "recordings": found, "recipe": "released"}),
    ]
    assert asked[0]["seed"] == 3
    assert callable(asked[0]["augment"])
    figures = json.loads(results.read_text())
    assert figures["real recordings"]["by majority vote"]["n"] == 6
    assert figures["test clips"]["n"] == 24
    counts = {name: row["n"] for name, row in figures["unseen songs taken for piano"].items()}
    assert counts == {"guitar": 40, "noise and tones": 40, "piano, recorded": 40}
    metadata = Model.load(out).metadata
    assert metadata["dataset"] == dataset.fingerprint(made[0])
    assert metadata["figures"] == figures
    assert isinstance(metadata["calibration"]["scale"], float)
    assert metadata["calibration"]["scale"] != 1


@pytest.mark.parametrize("judged", [False, True])
def test_a_model_that_no_real_recordings_have_chosen_does_not_replace_the_released_one(
    made, tmp_path, monkeypatch, judged
):
    released, alone, results = (tmp_path / name for name in ("model.npz", "alone.npz", "model.json"))
    for name, value in (("MODEL_PATH", released), ("WITHOUT_DEV", alone), ("RESULTS", results)):
        monkeypatch.setattr(weights, name, value)
    monkeypatch.setattr(evaluation, "RESAMPLES", 20)
    monkeypatch.setattr(dataset, "build", lambda *arguments, **options: None)
    monkeypatch.setattr(collection, "recordings", lambda *arguments, **options: [])
    monkeypatch.setattr(hard_songs, "make", lambda found, folder: [])
    monkeypatch.setattr(
        weights, "train", lambda *arguments, **options: training.recognizer_network(["Piano", "Other"], 0, (4, 4))
    )
    command = ["--data", str(made[0]), "--recordings", str(tmp_path / "none")]
    assert weights.main([*command, *(["--dev-folder", str(made[1])] if judged else [])]) == 0
    written = {path.name for path in tmp_path.iterdir()}
    assert written == ({"model.npz", "model.json"} if judged else {"alone.npz", "alone.json"})


def test_a_wrong_dev_folder_is_said_before_anything_is_built(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(collection, "recordings", lambda *arguments, **options: pytest.fail("nothing is to be built"))
    command = ["--dev-folder", str(tmp_path), "--out", str(tmp_path / "new" / "model.npz")]
    assert weights.main(command) == 1
    assert "There is no sound file in the folder" in capsys.readouterr().err
    song(tmp_path / "0.wav", True, 0)
    assert weights.main(command) == 1
    assert "holds no sound in sub-folders" in capsys.readouterr().err
    for label, take in [("piano", 0), ("piano", 1), ("Other", 0), ("Piano", 0)]:
        song(tmp_path / label / f"{take}.wav", False, take)
        assert weights.main(command) == 1
        assert "needs two of each" in capsys.readouterr().err
    os.rename(tmp_path / "Piano" / "0.wav", os.fsencode(tmp_path / "Piano") + b"/\xe9.wav")
    assert evaluation.folder_clips(tmp_path)[1]["recording"].eq("Piano/\\udce9.wav").any()
    soundfile.write(tmp_path / "Piano" / "silent.wav", np.zeros(16_000), 16_000)
    assert weights.main(command) == 1
    assert "Piano/silent.wav cannot be used" in capsys.readouterr().err


def test_ways_to_vote_differ_where_they_should():
    level = np.array([0.3, 0.3, 0.003, 0.003, 0.3, 0.3, 0.3, 0.003])
    table = pd.DataFrame({"recording": ["a"] * 4 + ["b"] * 4, "label": ["Piano"] * 4 + ["Other"] * 4, "level": level})
    probability = np.array([0.9, 0.9, 0.45, 0.45, 0.1, 0.1, 0.1, 0.9])
    assert levels(np.array([[0.1, -0.1], [0, 0]])) == pytest.approx([0.1, 0])
    one = {name: way(probability[:4], level[:4]) for name, way in voting.WAYS.items()}
    assert one["majority vote"] == 0.5
    assert one["mean"] == pytest.approx(0.675)
    assert one["mean of loud clips"] == pytest.approx(0.9)
    assert one["mean by level"] > 0.89
    assert one["mean"] < one["mean of log odds"] < 0.9
    assert one["median"] == pytest.approx(0.675)
    clips = table.assign(probability=probability, place=[0, 1, 2, 3] * 2)
    figures = voting.compare(clips, lengths=(2, None)).set_index(["way", "seconds"])
    assert figures.loc[("mean", "all"), "auc"] == 1.0
    assert figures.loc[("mean", 2), "n"] == 4
    assert figures.loc[("majority vote", 2), "recall"] == 0.5
    between = clips[clips["place"] < 3].assign(place=lambda row: row["place"] + 0.5, probability=0.2)
    overlapping = voting.compare(pd.concat([clips, between]), lengths=(2, None)).set_index(["way", "seconds"])
    assert overlapping.loc[("majority vote", 2)].equals(figures.loc[("majority vote", 2)])
    # In two seconds there are three clips, and the one between votes against the piano: both others must vote for it.
    assert overlapping.loc[("majority vote" + voting.OVERLAPPING, 2), ["n", "recall"]].tolist() == [4, 0.5]
    assert overlapping.loc[("majority vote" + voting.OVERLAPPING, "all"), "recall"] == 0
    songs = by_recording(table, probability).set_index("recording")["piano_probability"]
    assert songs["a"] == pytest.approx(one["mean of log odds by level"])
    assert by_recording(table.drop(columns="level"), probability)["piano_probability"][0] == pytest.approx(
        one["mean of log odds"]
    )
    even = pd.DataFrame({"recording": list("aabb"), "label": "Piano"})
    assert by_recording(even, np.array([0.9, 0.2, 0.8, 0.1]))["predicted_piano"].tolist() == [
        True,
        False,
    ]  # the mean decides


def test_a_clip_between_is_half_of_each_neighbour_in_a_recording():
    clips = np.arange(12, dtype=np.float32).reshape(3, 4)
    table = pd.DataFrame(
        {"recording": ["a", "a", "b"], "label": "Piano", "level": levels(clips), "probability": [0.1, 0.2, 0.3]}
    )
    asked = []
    model = SimpleNamespace(
        class_names=["Piano", "Other"], predict=lambda samples: asked.append(samples) or np.full((len(samples), 2), 0.5)
    )
    both = voting.add_overlapping(model, clips, table)
    assert asked[0].tolist() == [[2, 3, 4, 5]]
    assert both["probability"].tolist() == [0.1, 0.5, 0.2, 0.3]
    assert both["place"].tolist() == [0, 0.5, 1, 0]
    assert both["recording"].tolist() == ["a", "a", "a", "b"]
    assert both["level"].tolist() == pytest.approx(
        levels(np.array([[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [8, 9, 10, 11]])).tolist()
    )


def test_a_screening_has_a_row_for_each_epoch_and_goes_on(made, tmp_path, monkeypatch):
    monkeypatch.setitem(
        screening.VARIANTS, "recognizer", (lambda names, seed: training.recognizer_network(names, seed, (4, 4)), 0.1)
    )
    clips, dev = map(str, made)
    command = [
        clips,
        dev,
        "--out",
        str(tmp_path / "s.csv"),
        "--runs",
        str(tmp_path / "runs"),
        "--variants",
        "recognizer",
        "--clips",
        "64",
    ]
    assert screening.main([*command, "--epochs", "1"]) == 0
    assert len(pd.read_csv(tmp_path / "s.csv")) == 1
    assert screening.main([*command, "--epochs", "2", "--seeds", "0", "1"]) == 0
    table = pd.read_csv(tmp_path / "s.csv")
    assert table[["seed", "epoch"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    assert table["dataset"].tolist() == [dataset.fingerprint(clips)] * 4
    assert {"variant", "clips", "parameters", "val_accuracy", "recordings_auc"} <= set(table.columns)
    assert table["test_auc"].between(0, 1).all()
    assert table.groupby("seed")["test_auc"].nunique().eq(1).all()
    for clips, rows in (("0", 5), ("64", 5)):  # of all clips, then of 64 again, which is no new row
        assert screening.main([*command, "--clips", clips, "--epochs", "1"]) == 0
        assert len(pd.read_csv(tmp_path / "s.csv")) == rows


def test_wilson_intervals_are_those_of_scipy():
    counts = [(0, 10), (3, 10), (10, 10), (77, 130)]
    found = np.transpose(evaluation.wilson_interval(*np.transpose(counts)))
    expected = [tuple(binomtest(*count).proportion_ci(method="wilson")) for count in counts]
    assert np.allclose(found, expected)
