"""From recordings to clips on disk: balanced, split by recording, repeatable, and complete after a kill."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import soundfile

from pipeline.corpus import catalogue, dataset, sounds
from pipeline.corpus.collection import Recording
from pipeline.corpus.sounds import Excerpt
from pipeline.errors import SourceError

RATE = dataset.RATE


@pytest.fixture(autouse=True)
def decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(sounds, "DECODED", tmp_path / "decoded")


@pytest.fixture
def folder(tmp_path):
    """Two classes of ten files each: low tones and high tones."""
    rng = np.random.default_rng(0)
    for label, low in (("Piano", 200), ("Other", 2000)):
        (tmp_path / "own" / label).mkdir(parents=True)
        for i in range(20):
            t = np.arange(8 * RATE) / RATE
            sound = 0.3 * np.sin(2 * np.pi * low * (1 + i / 20) * t) + 0.01 * rng.standard_normal(len(t))
            soundfile.write(tmp_path / "own" / label / f"{i}.wav", sound, RATE)
    return tmp_path / "own"


def make(out, folder, n=300, **options):
    return dataset.build(out, sources=(), n_clips=n, folders=[folder], **options)


def test_a_dataset_is_balanced_and_split_by_recording(tmp_path, folder):
    report = make(tmp_path / "out", folder, jobs=1)
    clips, _labels, table, names = dataset.load(tmp_path / "out")
    assert names == ["Piano", "Other"]
    assert clips.shape == (300, RATE)
    assert clips.dtype == np.int16
    assert isinstance(clips, np.memmap)
    assert len(table) == 300
    assert table["split"].value_counts().to_dict() == {"train": 240, "validation": 30, "test": 30}
    for _, part in table.groupby("split"):
        assert part["label"].value_counts().nunique() == 1  # as many of each
    assert table.groupby("recording")["split"].nunique().max() == 1
    assert report["train Piano"]["clips"] == 120
    assert report["train Piano"]["distinct seconds of sound"] <= 120
    sizes = 0
    for split in ("train", "validation", "test"):
        part, ids, rows, _ = dataset.load(tmp_path / "out", split)
        assert len(part) == len(ids) == len(rows)
        assert isinstance(part, np.memmap)
        assert set(rows["split"]) == {split}
        assert np.array_equal(ids == 0, rows["label"] == "Piano")
        sizes += len(part)
    assert sizes == 300
    levels = np.sqrt((clips.astype(float) ** 2).mean(1))
    assert levels.min() > 5


def test_the_same_seed_makes_the_same_clips(tmp_path, folder):
    for name, options in (("a", {"jobs": 1}), ("b", {"jobs": 2}), ("c", {"jobs": 1, "seed": 1})):
        make(tmp_path / name, folder, n=60, **options)
    a, b, c = (np.load(tmp_path / name / "clips.npy") for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    assert (tmp_path / "a" / "clips.csv").read_text() == (tmp_path / "b" / "clips.csv").read_text()


def test_a_build_goes_on_after_kill_9(tmp_path, folder):
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "pipeline.corpus.dataset",
        "--out",
        str(out),
        "--clips",
        "620",
        "--sources",
        "--folder",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(out.glob("shards/*.csv")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {p: p.stat().st_mtime_ns for p in out.glob("shards/*.csv")}
    assert done
    assert not (out / "clips.csv").exists()
    with pytest.raises(SourceError, match="no complete dataset"):
        dataset.load(out)
    make(out, folder, n=620)
    assert all(p.stat().st_mtime_ns == when for p, when in done.items())  # what was done stayed
    make(tmp_path / "again", folder, n=620)
    np.testing.assert_array_equal(
        np.load(out / "clips.npy", mmap_mode="r"), np.load(tmp_path / "again" / "clips.npy", mmap_mode="r")
    )
    assert not [p for p in out.rglob("*.tmp") if "shards" not in p.parts]


def test_two_datasets_are_never_mixed(tmp_path, folder):
    make(tmp_path / "out", folder, n=60, jobs=1)
    for other in ({"n": 80}, {"seed": 1}):
        with pytest.raises(SourceError, match="another dataset"):
            make(tmp_path / "out", folder, **{"n": 60, "jobs": 1} | other)
    shutil.copytree(folder, tmp_path / "elsewhere" / "own")
    with pytest.raises(SourceError, match="another dataset"):
        make(tmp_path / "out", tmp_path / "elsewhere" / "own", n=60, jobs=1)
    (folder / "Piano" / "0.wav").rename(folder / "Piano" / "20.wav")
    with pytest.raises(SourceError, match="another dataset"):
        make(tmp_path / "out", folder, n=60, jobs=1)


def test_a_damaged_file_is_named_with_its_folder_before_anything_is_made(tmp_path, folder):
    (folder / "Other" / "3.wav").write_bytes(b"no sound")
    with pytest.raises(SourceError, match=r"Other/3\.wav cannot be used: 3\.wav cannot be read as sound"):
        make(tmp_path / "out", folder, n=60, jobs=1)
    assert not (tmp_path / "out").exists()


def test_a_dataset_that_is_complete_is_left_alone(tmp_path, folder):
    report = make(tmp_path / "out", folder, n=60, jobs=1)
    shutil.rmtree(tmp_path / "out" / "shards")
    before = (tmp_path / "out" / "clips.npy").stat().st_mtime_ns
    assert make(tmp_path / "out", folder, n=60, jobs=1) == report
    assert (tmp_path / "out" / "clips.npy").stat().st_mtime_ns == before


def test_any_number_of_classes(tmp_path, folder):
    (tmp_path / "own" / "007").mkdir()
    for i in range(20):
        soundfile.write(
            tmp_path / "own" / "007" / f"{i}.wav", 0.1 * np.random.default_rng(i).standard_normal(4 * RATE), RATE
        )
    make(tmp_path / "out", folder, n=60, jobs=1)
    _, labels, _table, names = dataset.load(tmp_path / "out")
    assert names == ["Piano", "Other", "007"]
    assert set(labels) == {0, 1, 2}
    assert json.loads((tmp_path / "out" / "report.json").read_text())["train 007"]["clips"] == 16


def test_one_class_is_refused(tmp_path, folder):
    for path in (folder / "Other").iterdir():
        path.unlink()
    with pytest.raises(SourceError, match="at least two classes"):
        make(tmp_path / "out", folder, jobs=1)


class Fixed:
    def __init__(self, samples, keep=None):
        self.samples, self.keep = np.asarray(samples, np.float32), keep

    def excerpt(self, rng, seconds):
        return Excerpt(self.samples, 10.0, "fixed", self.keep)


def recording(sound=None, kind="k", weight=1.0):
    return Recording("r", "Piano", "s", "g", "CC0", kind, "i", "train", sound, weight)


def cut(sound, seed=0):
    return list(dataset.cut(recording(sound), np.random.default_rng(seed)))


def test_each_shard_is_another(tmp_path):
    noise = Fixed(0.1 * np.random.default_rng(0).standard_normal(6 * RATE))
    for number in (0, 1):
        dataset._make_shard([recording(noise)], ("train", "Piano", number, 4), 0, tmp_path / f"{number}.npy")
    assert not np.array_equal(*(np.load(tmp_path / f"{number}.npy") for number in (0, 1)))


def test_kinds_have_their_shares_and_recordings_their_weights():
    found = [
        recording(kind="performance"),
        recording(kind="performance", weight=3),
        recording(kind="recorded", weight=9),
    ]
    played, recorded = (catalogue.shares()["Piano"][kind] for kind in ("performance", "recorded"))
    shares = np.array([played / 4, 3 * played / 4, recorded]) / (played + recorded)
    assert dataset._probabilities(found, "Piano") == pytest.approx(shares)


def test_silence_and_what_is_no_mixture_are_left_out():
    rng = np.random.default_rng(0)
    loud = rng.standard_normal(6 * RATE) * 0.1
    loud[2 * RATE : 3 * RATE] *= 1e-3
    rows = [row[-1] for _, row in cut(Fixed(loud, np.array([True, True, True, True, False, True])))]
    assert set(rows) <= {10, 11, 13, 15}
    assert 13 in rows
    assert cut(Fixed(np.zeros(6 * RATE))) == []
    assert cut(Fixed(loud[: RATE // 2], np.array([], bool))) == []  # a mixture is kept by whole seconds


def test_what_lies_under_the_noise_is_left_out(monkeypatch):
    loud, noise = 0.1 * np.random.default_rng(0).standard_normal((2, 6 * RATE)).astype(np.float32)
    noise[: 3 * RATE], noise[4 * RATE :] = 0, 0
    monkeypatch.setattr(dataset, "augment", lambda samples, rng, recipe: (samples, noise))
    assert [row[-1] for _, row in cut(Fixed(loud, np.ones(6, bool)))] == [10, 11, 12, 14, 15]


def test_all_but_mixtures_are_played_faster_or_slower_at_times(monkeypatch):
    loud, played = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE), []
    monkeypatch.setattr(dataset, "augment", lambda samples, rng, recipe: (samples, None))
    monkeypatch.setattr(dataset, "resample_speed", lambda samples, rng: played.append(samples) or samples)
    for seed in range(20):
        cut(Fixed(loud, np.ones(2, bool)), seed)
    assert not played
    for seed in range(200):
        cut(Fixed(loud), seed)
    assert len(played) / 200 == pytest.approx(dataset.SPEED, abs=0.12)


def test_some_clips_end_early_as_the_last_of_a_song_and_tails_stay():
    rng = np.random.default_rng(0)
    decay = rng.standard_normal(6 * RATE) * 0.3 * np.repeat(10.0 ** (-np.arange(6) * 5 / 20), RATE)  # 5 dB a second
    clips = [clip for seed in range(40) for clip, _ in cut(Fixed(decay, np.ones(6, bool)), seed)]
    padded = [len(clip) - len(np.trim_zeros(clip, "b")) for clip in clips]
    assert len(clips) > 200
    assert 0.01 < np.mean(np.array(padded) > 100) < 0.1
    assert max(padded) <= 0.7 * RATE


def test_a_clip_that_ends_early_still_holds_the_recording(monkeypatch):
    monkeypatch.setattr(dataset, "LAST", 1.0)
    late = np.zeros(6 * RATE)
    late[RATE - 1000 :: RATE] = 1.0  # one click a second, close to its end
    clips = [clip for seed in range(40) for clip, _ in cut(Fixed(late, np.ones(6, bool)), seed)]
    assert 0 < len(clips) < 40
    assert all(np.abs(clip[RATE - 2000 :]).max() > 0 for clip in clips)


def test_a_short_file_is_one_clip_and_a_click_none():
    rng = np.random.default_rng(0)
    clips = cut(Fixed(rng.standard_normal(RATE // 2) * 0.1))
    assert len(clips) == 1
    assert clips[0][0].shape == (RATE,)
    assert cut(Fixed(rng.standard_normal(RATE // 10))) == []


def test_a_command_error_is_one_sentence(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pipeline.corpus.dataset",
        "--out",
        str(tmp_path / "out"),
        "--sources",
        "--folder",
        str(tmp_path / "none"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("There is no folder")
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_one_sentence_and_the_build_goes_on_afterwards(tmp_path, folder):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipeline.corpus.dataset", "--out", str(out), "--clips", "60", "--sources"]
    command += ["--folder", str(folder)]

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=small_files)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"{out}/shards cannot be written (File too large); choose another folder."
    assert "Traceback" not in done.stderr
    assert make(out, folder, n=60)["train Piano"]["clips"] == 24


def test_the_report_counts_distinct_seconds():
    row = {"split": "train", "label": "Piano", "recording": "a", "group": "g", "kind": "k", "music": "m", "second": 1}
    table = pd.DataFrame([row, row, row | {"recording": "b"}, row | {"second": 2}])
    report = dataset.describe(table)["train Piano"]
    assert (report["clips"], report["distinct seconds of sound"], report["distinct seconds of music"]) == (4, 3, 2)
