"""Experiments: runs that go on where they stopped, protocols, ablations, and what is concluded from the runs."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn import MelSpectrogram, Model
from pipeline.corpus import dataset, tiny
from pipeline.learning.networks import dense_network, thesis_network
from pipeline.studies import convolution, experiments
from pipeline.studies.experiments import BY_CLIP, BY_SOURCE, CONSTANT, FALLING, Experiment

ROOT = Path(__file__).parents[1]
SMALL = Experiment("dense, a", partial(dense_network, sound="samples", units=(4,)), (3,))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    tiny.build(folder, ROOT / "data" / "samples")
    return folder


def trained(experiment, clips, folder, epochs=2, **options):
    return experiments.run([experiment], clips, folder, epochs, workers=1, **options)


def test_a_stopped_run_goes_on_as_if_it_had_not_been(clips, tmp_path):
    whole = trained(SMALL, clips, tmp_path / "whole")[0]
    trained(SMALL, clips, tmp_path / "parts", epochs=1)
    parts = trained(SMALL, clips, tmp_path / "parts")[0]
    assert all(np.array_equal(whole.model.params[name], array) for name, array in parts.model.params.items())
    assert np.array_equal(whole.probabilities, parts.probabilities)


def test_a_complete_run_is_only_read(clips, tmp_path):
    first = trained(SMALL, clips, tmp_path)[0]
    times = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert len(times) == 2
    again = trained(SMALL, clips, tmp_path)[0]
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == times
    assert np.array_equal(first.probabilities, again.probabilities)


def test_a_run_of_other_clips_another_network_or_other_settings_is_begun_anew(clips, tmp_path):
    others = shutil.copytree(clips, tmp_path / "others")
    np.save(others / "clips.npy", np.load(others / "clips.npy")[:, ::-1])
    assert dataset.fingerprint(others) != dataset.fingerprint(clips)

    def written(folder=clips, experiment=SMALL, epochs=2, **options):
        """Whether a run is trained, and not only read."""
        before = [file.stat().st_mtime_ns for file in (tmp_path / "runs").glob("*.npz")]
        run = trained(experiment, folder, tmp_path / "runs", epochs, **options)[0]
        (file,) = (tmp_path / "runs").glob("*.npz")
        assert len(run.model.history.epoch_rows) == epochs == len(Model.load(file).history.epoch_rows)
        return [file.stat().st_mtime_ns] != before

    assert written()
    assert not written()
    assert written(others)
    assert not written(others)
    assert written()
    assert written(experiment=replace(SMALL, network=partial(SMALL.network, units=(5,))))
    assert written()
    assert written(batch_size=8)
    assert written(experiment=replace(SMALL, learning_rate=0.01))
    assert written(limit=12)
    assert written(epochs=1, limit=12)


def test_runs_are_in_the_order_of_their_experiments_and_independent_of_it(clips, tmp_path):
    pair = [replace(SMALL, seeds=(0, 1)), replace(SMALL, name="b", seeds=(0,), protocol=BY_CLIP)]
    runs = experiments.run(pair, clips, tmp_path / "one", 1, workers=1)
    assert [(run.experiment.name, run.seed) for run in runs] == [("dense, a", 0), ("dense, a", 1), ("b", 0)]
    turned = experiments.run(pair[::-1], clips, tmp_path / "two", 1, workers=2)
    for a, b in zip(runs, (*turned[1:], turned[0])):
        assert np.array_equal(a.probabilities, b.probabilities)
    table = experiments.epochs(runs)
    assert list(table.columns[:6]) == ["network", "protocol", "schedule", "seed", "parameters", "epoch"]
    assert set(experiments.curves(runs)["protocol"]) == {BY_SOURCE, BY_CLIP}


def test_metrics_and_answers_are_those_of_the_model_on_held_out_clips(clips, tmp_path):
    run = trained(SMALL, clips, tmp_path)[0]
    parts = [dataset.load(clips, split) for split in ("validation", "test")]
    expected = [run.model.predict(part[0])[:, 0] for part in parts]
    assert np.allclose(run.probabilities[-1], np.concatenate(expected), atol=1e-6)
    metrics, row = run.model.evaluate(*parts[0][:2]), run.model.history.epoch_rows[-1]
    assert row["val_loss"] == pytest.approx(metrics["loss"], rel=1e-4)
    assert row["val_accuracy"] == pytest.approx(metrics["accuracy"])


def test_by_clip_divides_recordings_and_by_source_does_not(clips):
    _, labels, table, _ = dataset.load(clips)
    sizes = {}
    for protocol in (BY_SOURCE, BY_CLIP):
        rows = experiments.split(table, labels, protocol)
        assert sorted(np.concatenate(list(rows.values()))) == list(range(len(table)))
        sizes[protocol] = {name: np.bincount(labels[part]).tolist() for name, part in rows.items()}
        both = set(table["recording"][rows["train"]]) & set(table["recording"][rows["validation"]])
        assert len(both) == (0 if protocol == BY_SOURCE else pytest.approx(len(set(table["recording"])), abs=3))
    assert sizes[BY_SOURCE] == sizes[BY_CLIP]


def test_a_falling_learning_rate_ends_near_zero(clips, tmp_path):
    constant, falling = (
        trained(replace(SMALL, schedule=rate), clips, tmp_path)[0].model for rate in (CONSTANT, FALLING)
    )
    assert constant.optimizer.learning_rate == 1e-3
    assert falling.optimizer.learning_rate == pytest.approx(0.5e-3)  # in the second of two epochs


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_convolutions_keep_their_start_and_all_else_learns(clips, tmp_path, frozen):
    experiment = Experiment("thesis", thesis_network, (0,), frozen=frozen)
    model, start = trained(experiment, clips, tmp_path, epochs=1)[0].model, thesis_network()
    same = {name for name, array in model.params.items() if np.array_equal(array, start.params[name])}
    convolutions = {name for name in model.params if name.startswith("conv2d")}
    assert same == (convolutions if frozen else set())


def test_permuted_pictures_hold_the_same_values_in_one_order():
    samples = np.random.default_rng(0).standard_normal((3, 16000)).astype(np.float32) / 9
    targets = np.eye(2)[[0, 1, 0]]
    mel = MelSpectrogram()
    mel.build((16000,), None)
    plain = mel.forward(samples).reshape(3, -1)
    pictures, same = experiments.permuted_pictures()(samples, targets, None)
    permuted = pictures.reshape(3, -1)
    assert same is targets
    assert np.array_equal(np.sort(permuted), np.sort(plain))
    assert not np.array_equal(permuted, plain)
    where = [{value: i for i, value in enumerate(row)} for row in plain]
    unique = [i for i, value in enumerate(permuted[0]) if (plain[0] == value).sum() == 1]
    assert len(unique) > 1000
    assert all(permuted[1, i] == plain[1, where[0][permuted[0, i]]] for i in unique)


def test_a_network_of_pictures_is_the_network_of_samples_behind_the_spectrogram():
    samples = np.random.default_rng(1).standard_normal((2, 16000)).astype(np.float32) / 9
    mel = MelSpectrogram()
    mel.build((16000,), None)
    for network in (thesis_network, dense_network):
        whole, behind = network(), network(sound="pictures")
        assert np.allclose(whole.predict(samples), behind.predict(mel.forward(samples)), atol=1e-6)


def table_of(right, clips=(10, 30, 20, 40), labels=("Piano", "Piano", "Other", "Other"), part="validation"):
    """A table of answers: `right` has a column a run."""
    rows = {"protocol": BY_SOURCE, "split": part, "recording": range(len(clips)), "label": labels, "clips": clips}
    return pd.DataFrame(rows | right)


def test_an_accuracy_is_that_of_the_clips_and_its_interval_holds_it():
    table = table_of({"a | by source | constant | 0": (5, 30, 10, 40), "a | by source | constant | 1": (5, 20, 10, 30)})
    found = convolution.accuracies(table).iloc[0]
    assert found["seeds"] == 2
    assert found["accuracy"] == pytest.approx((85 + 65) / 200)
    assert found["low"] < found["accuracy"] < found["high"]
    sure = convolution.accuracies(table_of({"a | by source | constant | 0": (10, 30, 20, 40)})).iloc[0]
    assert (sure["low"], sure["accuracy"], sure["high"]) == (1, 1, 1)


def test_a_difference_is_paired_over_recordings():
    """One network has the same errors as the other, and five clips more in each recording: nothing is uncertain."""
    clips = np.array([20] * 12)
    labels = ["Piano", "Other"] * 6
    right = np.random.default_rng(0).integers(0, 15, 12)
    names = [f"{name} | by source | constant | 0" for name in ("b", "a")]
    table = table_of(dict(zip(names, (right + 5, right))), clips, labels)
    pair = [(name, BY_SOURCE, CONSTANT) for name in ("b", "a")]
    assert convolution.difference(table, *pair) == pytest.approx((0.25, 0.25, 0.25))
    table[names[0]] = (right + 5)[::-1]  # the negative control: other recordings are wrong
    mean, low, high = convolution.difference(table, *pair)
    assert mean == pytest.approx(0.25)
    assert low < 0.2 < 0.3 < high


def test_the_interval_of_an_accuracy_covers_the_truth_as_often_as_it_says():
    """Recordings whose clips are all right or all wrong, half of each: the interval must be that of recordings."""
    rng, hits = np.random.default_rng(1), 0
    for _ in range(40):
        right = rng.integers(0, 2, 60) * 50
        table = table_of({"a | by source | constant | 0": right}, [50] * 60, ["Piano", "Other"] * 30)
        found = convolution.accuracies(table).iloc[0]
        hits += found["low"] <= 0.5 <= found["high"]
    assert 34 <= hits <= 40


def test_answers_count_the_clips_of_each_held_out_recording(clips, tmp_path):
    runs = experiments.run([SMALL, replace(SMALL, protocol=BY_CLIP)], clips, tmp_path, 3, workers=1)
    answers = convolution.answers(runs, clips)
    _, labels, table, _ = dataset.load(clips, "validation")
    part = answers.query("protocol == 'by source' and split == 'validation'")
    assert part["clips"].tolist() == table.groupby("recording", sort=False).size().tolist()
    right = runs[0].model.predict(dataset.load(clips, "validation")[0]).argmax(axis=1) == labels
    name = convolution.column(runs[0])
    assert part[name].sum() == right.sum()
    assert part[convolution.column(runs[1])].isna().all()
    best = int(runs[0].model.history.epochs["val_loss"].argmin())
    test_labels = dataset.load(clips, "test")[1]
    chosen = (runs[0].probabilities[best, len(labels) :] > 0.5) == (test_labels == 0)
    assert answers.query("protocol == 'by source' and split == 'test'")[name].sum() == chosen.sum()


def test_shifts_move_and_transpose_and_change_nothing_by_zero():
    time = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)[np.newaxis]
    assert np.array_equal(convolution.shifted(tone), tone)
    assert np.array_equal(convolution.shifted(tone, frames=10)[0, 1600:], tone[0, :-1600])

    def pitch(samples):
        return np.abs(np.fft.rfft(samples[0])).argmax()

    assert pitch(convolution.shifted(tone, semitones=12)) == pytest.approx(880, abs=2)
    assert pitch(convolution.shifted(tone, semitones=-12)) == pytest.approx(220, abs=2)


def test_recordings_are_judged_whole_and_by_seconds():
    clips, table = convolution.sample_clips(ROOT / "data" / "samples")
    assert set(table["label"]) == {"Piano", "Other"}
    released = Model.load(ROOT / "data" / "model.npz")
    rows = convolution.on_recordings({"released": [released], "untrained": [thesis_network()]}, clips, table)
    found = convolution.recording_accuracies(rows)
    assert found.loc["released", "recordings"] == 1
    assert found.loc["released", "recordings_low"] == pytest.approx(0.025 ** (1 / 11))
    assert found.loc["released", "seconds"] > 0.95 > 0.8 > found.loc["untrained", "seconds"]
