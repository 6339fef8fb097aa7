"""Experiments: runs that go on where they stopped, protocols, ablations, and what is concluded from the runs."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nn import MelSpectrogram, Model
from pipeline.corpus import dataset, tiny
from pipeline.learning.networks import dense_network, thesis_network
from pipeline.studies import experiments
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
    assert list(table.columns[:6]) == ["network", "protocol", "learning_rate", "seed", "parameters", "epoch"]
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
        trained(replace(SMALL, learning_rate=rate), clips, tmp_path)[0].model for rate in (CONSTANT, FALLING)
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
