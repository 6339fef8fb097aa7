"""A study reaches its number of trials, whatever happens to its workers."""

import json
import shutil
import signal

import numpy as np
import optuna
import pandas as pd
import psutil
import pytest
from media import tone

from pipeline.errors import PipelineError
from pipeline.studies import sweep

FAST = {"n_clips": 32, "epochs": 1}


@pytest.fixture(scope="module")
def clips_dir(tmp_path_factory):
    """A dataset of tones and noise, in the form that `pipeline.corpus.dataset.build` writes."""
    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    labels = np.arange(64) % 2
    clips = [
        rng.normal(0, 0.1, 16_000) if label else tone(1, 16_000, hertz=200 + 15 * i) for i, label in enumerate(labels)
    ]
    np.save(folder / "clips.npy", (np.stack(clips) * 32767).astype(np.int16))
    split = np.repeat(["train", "validation"], [48, 16])
    pd.DataFrame({"label": np.where(labels, "Other", "Piano"), "split": split}).to_csv(
        folder / "clips.csv", index=False
    )
    return folder


def states(study):
    return [trial.state.name for trial in study.trials]


@pytest.mark.parametrize(
    "choice",
    [
        {"filter_shape": "7x3", "pool_size": 3, "filters": 16, "depth": 5, "dropout": 0.0},
        {"filter_shape": "5x5", "pool_size": 2, "filters": 8, "depth": 2, "dropout": 0.6},
    ],
)
def test_the_network_of_a_trial_is_what_was_proposed(choice):
    network = sweep.study_network(optuna.trial.FixedTrial(choice), ("a", "b", "c"))
    convolutions = [layer for layer in network.layers if type(layer).__name__ == "Conv2D"]
    assert len(convolutions) == choice["depth"]
    assert "x".join(map(str, convolutions[0].kernel_size)) == choice["filter_shape"]
    assert network["maxpooling2d_1"].pool_size == (choice["pool_size"],) * 2
    assert network["dropout_1"].rate == choice["dropout"]
    assert network.predict(np.zeros((2, 16_000), np.float32) + 0.1).shape == (2, 3)


def test_a_study_goes_on_to_its_number_of_trials_and_a_finished_one_is_only_opened(clips_dir, tmp_path):
    storage, seen = tmp_path / "new" / "sweep.journal", []
    sweep.run_study("a", storage, clips_dir, n_trials=1, workers=1, **FAST)
    study = sweep.run_study(
        "a", storage, clips_dir, n_trials=4, workers=2, progress=lambda *step: seen.append(step), **FAST
    )
    assert states(study) == ["COMPLETE"] * 4
    assert seen == [("searching", done, 4) for done in (2, 3, 4)]
    for trial in study.trials:
        assert set(trial.params) == {
            "filter_shape",
            "pool_size",
            "filters",
            "depth",
            "dropout",
            "batch_size",
            "learning_rate",
        }
        assert trial.value == trial.user_attrs["epochs"][0]["val_accuracy"]
        assert trial.user_attrs["parameters"] > 0
    assert len({json.dumps(trial.params) for trial in study.trials}) == 4
    for no_storage in (tmp_path, clips_dir / "clips.csv", "postgresql://localhost/x", "nonsense://"):
        with pytest.raises(PipelineError, match="cannot hold a study"):
            sweep.run_study("a", no_storage, clips_dir, n_trials=1, **FAST)
    again = sweep.run_study("a", storage, tmp_path / "no clips are needed", n_trials=4, **FAST)
    assert [trial.params for trial in again.trials] == [trial.params for trial in study.trials]
    others = shutil.copytree(clips_dir, tmp_path / "others")
    np.save(others / "clips.npy", np.load(others / "clips.npy")[:, ::-1])
    with pytest.raises(PipelineError, match="begun with other clips"):
        sweep.run_study("a", storage, others, n_trials=5, **FAST)
    with pytest.raises(PipelineError, match="begun with"):
        sweep.run_study("a", storage, clips_dir, n_trials=4, n_clips=48, epochs=1)


def test_a_worker_of_a_cluster_that_dies_loses_one_trial(clips_dir, tmp_path, cluster):
    victim = psutil.Process(next(iter(cluster.workers.values())).pid)

    def kill(step, done, total):
        if done == 1 and victim.is_running():
            victim.send_signal(signal.SIGKILL)

    study = sweep.run_study(
        "b", tmp_path / "sweep.journal", clips_dir, n_trials=5, dask=cluster.scheduler_address, progress=kill, **FAST
    )
    assert states(study).count("COMPLETE") == 5
    assert set(states(study)) <= {"COMPLETE", "FAIL"}
    assert len(study.trials) <= 6


def test_a_task_that_is_run_again_after_its_trial_has_ended_adds_no_other(clips_dir, tmp_path):
    """As Dask does when a worker dies between the end of its trial and the moment when its result is fetched."""
    storage = str(tmp_path / "sweep.journal")
    study = sweep.run_study("c", storage, clips_dir, n_trials=1, workers=1, **FAST)
    for sampler_seed, run, n_trials in ((7, "x", 2), (7, "x", 2), (8, "x", 3), (8, "y", 4)):
        sweep.run_trial("c", storage, str(clips_dir), {"seed": 0, **FAST}, sampler_seed, run)
        assert states(study) == ["COMPLETE"] * n_trials


def test_a_weak_trial_is_pruned(clips_dir):
    """After five perfect trials, a trial at chance level is pruned after its first epoch."""
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=5))
    for _ in range(5):
        earlier = optuna.trial.create_trial(value=1.0, intermediate_values={0: 1.0, 1: 1.0, 2: 1.0})
        study.add_trial(earlier)
    slow = {
        "filter_shape": "3x3",
        "pool_size": 3,
        "filters": 8,
        "depth": 2,
        "dropout": 0.6,
        "batch_size": 128,
        "learning_rate": 1e-4,
    }
    study.enqueue_trial(slow)
    study.optimize(lambda trial: sweep.train(trial, clips_dir, 32, epochs=3, seed=0), n_trials=1)
    assert states(study)[-1] == "PRUNED"
    assert len(study.trials[-1].user_attrs["epochs"]) == 1
    study.enqueue_trial(slow)
    study.optimize(lambda trial: sweep.train(trial, clips_dir, 32, epochs=1, seed=0), n_trials=1)
    assert states(study)[-1] == "COMPLETE"  # its only epoch is no worse for being the last


def test_a_trial_is_fixed_by_its_seed(clips_dir):
    choice = {
        "filter_shape": "3x3",
        "pool_size": 3,
        "filters": 8,
        "depth": 2,
        "dropout": 0.3,
        "batch_size": 16,
        "learning_rate": 1e-3,
    }
    trials = [optuna.trial.FixedTrial(choice) for _ in range(3)]
    for trial, seed in zip(trials, (0, 0, 1)):
        sweep.train(trial, clips_dir, 32, 1, seed)
    losses = [trial.user_attrs["epochs"][0]["loss"] for trial in trials]
    assert losses[0] == losses[1] != losses[2]


def test_the_command_says_what_was_best_also_of_a_study_in_a_database(clips_dir, tmp_path, capsys):
    storage = f"sqlite:///{tmp_path / 'sweep.db'}"
    budget = ["--trials", "1", "--n-clips", "32", "--epochs", "1", "--workers", "1"]
    arguments = [str(clips_dir), "--storage", storage, *budget]
    assert sweep.main(arguments) == 0
    assert "validation accuracy" in capsys.readouterr().out
    assert sweep.main([str(tmp_path), *arguments[1:], "--name", "other"]) == 2
    assert "no complete dataset" in capsys.readouterr().err
    begun = optuna.create_study(study_name="pruned", storage=storage)
    begun.set_user_attr("settings", {"n_clips": 32, "epochs": 1, "seed": 0})
    begun.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.PRUNED))
    assert sweep.main([*arguments, "--name", "pruned"]) == 1
    assert "all trials were pruned" in capsys.readouterr().err
    assert optuna.load_study(study_name="sweep", storage=storage).best_value > 0
