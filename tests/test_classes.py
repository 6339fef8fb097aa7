"""Folders of one's own become a model: divided without leaks, refused where that cannot be, and told about honestly."""

import os
import unicodedata
from collections import Counter
from concurrent.futures import Future

import numpy as np
import pandas as pd
import pytest
import soundfile

from nn import Model
from nn.history import History
from pipeline import Recognizer
from pipeline.__main__ import main
from pipeline.corpus import dataset, sounds
from pipeline.errors import SourceError
from pipeline.learning import classes, report
from pipeline.workers import WorkerDied

RATE = 16_000
KINDS = {"Violín solo": 1, "Piano": 2, "White & <b>noise": 3}


def make_sound(kind, seed):
    """A sine, a chord that dies away, or noise: three seconds."""
    rng, t = np.random.default_rng(seed), np.arange(3 * RATE) / RATE
    pitch = rng.uniform(200, 800)
    if kind == 1:
        return 0.3 * np.sin(2 * np.pi * pitch * t)
    if kind == 2:
        return 0.3 * sum(np.sin(2 * np.pi * pitch * k * t) / k for k in (1, 2, 3, 5)) * np.exp(-3 * (t % 0.5))
    return 0.2 * rng.standard_normal(len(t))


def make_folder(folder, counts):
    """A folder with `counts` {class: files} of silence-free sound; returns it."""
    for name, n in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(n):
            soundfile.write(folder / name / f"take {i}.wav", make_sound(KINDS.get(name, 3), i), RATE)
    return folder


def test_classes_of_ones_own_on_a_cluster_from_the_command_line_to_a_label(tmp_path, capsys, cluster):
    folder, out = make_folder(tmp_path / "sounds", dict.fromkeys(KINDS, 7)), tmp_path / "own.npz"
    command = [
        "train",
        str(folder),
        "--out",
        str(out),
        "--clips",
        "288",
        "--epochs",
        "4",
        "--dask",
        cluster.scheduler_address,
    ]
    assert main(command) == 0
    assert "of the test recordings are classified correctly" in capsys.readouterr().out
    model = Model.load(out)
    assert sorted(model.class_names) == sorted(KINDS)
    assert model.metadata["test accuracy"] == 1.0
    page = (tmp_path / "own.html").read_text()
    assert "Violín solo" in page
    assert "White &amp; &lt;b&gt;noise" in page
    assert "<b>noise" not in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.html", "own.npz", "sounds"]
    answer = Recognizer(out).recognize(str(folder / "Violín solo" / "take 0.wav"))
    assert answer.label == "Violín solo"
    assert set(answer.probabilities) == set(KINDS)
    before = out.read_bytes()
    assert main(command) == 2
    assert "there already" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_a_page_of_ones_own_is_left_alone(tmp_path):
    folder, page = make_folder(tmp_path / "sounds", {"A": 3, "B": 3}), tmp_path / "notes.html"
    page.write_text("my own")
    with pytest.raises(SourceError, match=r"notes.html is there already"):
        classes.learn(folder, tmp_path / "notes.npz")
    with pytest.raises(SourceError, match=r"ends in .npz"):
        classes.learn(folder, page)
    assert page.read_text() == "my own"
    assert not (tmp_path / "notes.npz.work").exists()


def test_what_cannot_be_used_is_named_at_once_and_left_out_or_removed_without_losing_clips(tmp_path, capsys):
    folder, out = make_folder(tmp_path / "sounds", {"A": 3, "B": 4, ".hidden": 1}), tmp_path / "own.npz"
    command = ["train", str(folder), "--out", str(out), "--clips", "24", "--epochs", "1", "--workers", "1"]
    soundfile.write(folder / "B" / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "stray.wav", make_sound(3, 0), RATE)
    (folder / "A" / "broken.wav").write_bytes(b"no sound")
    (folder / "A" / "empty.mp3").touch()
    (folder / "empty class").mkdir()
    for name in ("A/._take 0.wav", ".DS_Store", "B/Thumbs.db", "B/notes.txt"):
        (folder / name).write_bytes(b"x")
    assert main(command) == 2
    reasons = "A/broken.wav (not audio), A/empty.mp3 (empty), B/silent.wav (silent), empty class (no sound)"
    assert f"These cannot be used: {reasons}, stray.wav (in no class); mend" in capsys.readouterr().err
    assert not (tmp_path / "own.npz.work").exists()

    def stop(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classes, "train", stop)
        assert main([*command, "--skip-broken"]) == 130
    assert f"Left out: {reasons}, stray.wav (in no class)." in capsys.readouterr().err
    clips = (tmp_path / "own.npz.work" / "clips.npy").stat().st_mtime_ns
    for name in ("A/broken.wav", "A/empty.mp3", "B/silent.wav", "stray.wav"):
        (folder / name).unlink()
    (folder / "empty class").rmdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classes, "evaluate", stop)
        assert main(command) == 130
    assert (tmp_path / "own.npz.work" / "clips.npy").stat().st_mtime_ns == clips
    assert main(command) == 0
    assert "left out: nothing" in out.with_suffix(".html").read_text()


def test_other_recordings_than_those_of_the_clips_are_refused(tmp_path):
    folder = make_folder(tmp_path / "sounds", {"A": 3, "B": 3})
    dataset.build(tmp_path / "own.npz.work", recordings=classes.recordings(folder, seed=1), n_clips=12, jobs=1)
    with pytest.raises(SourceError, match=r"own.npz.work holds another dataset .* delete it to begin anew"):
        classes.learn(folder, tmp_path / "own.npz", n_clips=12, workers=1)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "own.npz.work").write_text("a file")
    with pytest.raises(SourceError, match=r"own.npz.work cannot be written"):
        classes.learn(make_folder(tmp_path / "sounds", {"A": 3, "B": 3}), tmp_path / "own.npz", n_clips=12)


def test_a_file_that_ends_the_process_which_decodes_it_is_named(tmp_path, monkeypatch):
    class FatalPool(classes.Pool):
        def submit(self, function, path, name):
            task = super().submit(function, path, name)
            if name == "A/take 1.wav":
                task.exception(60)
                task = Future()
                task.set_exception(WorkerDied())
            return task

    monkeypatch.setattr(classes, "Pool", FatalPool)
    assert classes.faults(make_folder(tmp_path, {"A": 3, "B": 1}), workers=1) == {"A/take 1.wav": "ends its process"}


def test_a_disk_that_keeps_no_decoded_sound(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(sounds, "DECODED", tmp_path / "file" / "decoded")
    found = classes.recordings(make_folder(tmp_path / "sounds", {"A": 3, "B": 3}))
    assert len(found[0].sound.samples()) == 3 * RATE


def test_names_that_are_no_text_and_names_in_two_spellings(tmp_path):
    folder, table = (
        make_folder(tmp_path / "sounds", {"A": 3, unicodedata.normalize("NFD", "Violín"): 3}),
        tmp_path / "groups.csv",
    )
    rows = [(f"{label}/take {i}.wav", f"{label} {i}") for label in ("A", "Violín") for i in range(3)]
    pd.DataFrame(rows, columns=["file", "group"]).to_csv(table, index=False)
    found = classes.recordings(folder, table)
    assert [(recording.label, recording.group) for recording in found] == [
        (group.split()[0], group) for _, group in rows
    ]
    for byte in (b"\xe8", b"\xe9"):
        os.rename(
            folder / "A" / f"take {byte[0] - 232}.wav", os.path.join(os.fsencode(folder / "A"), b"caf" + byte + b".wav")
        )
    found = classes.recordings(folder)
    assert [recording.id for recording in found][:2] == ["A/caf\\udce8.wav", "A/caf\\udce9.wav"]
    dataset.build(tmp_path / "clips", recordings=found, n_clips=24, jobs=1)
    assert dataset.load(tmp_path / "clips")[2]["recording"].str.contains("caf").any()


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_two_sides_and_every_class_is_on_each(seed):
    rng = np.random.default_rng(seed)
    groups = [f"player {i}" for i in range(12)]
    pairs = [
        (label, groups[i])
        for label in "abcde"
        for i in rng.choice(12, rng.integers(8, 13), replace=False)
        for _ in range(3)
    ]
    splits = classes.divide(pairs, seed)
    assert set(splits) == {group for _, group in pairs}  # one split each
    for label in "abcde":
        assert {splits[group] for other, group in pairs if other == label} == {"train", "validation", "test"}
    assert classes.divide(pairs, seed) == splits


def test_each_class_is_divided_by_its_own_size():
    pairs = [("many", f"m{i}") for i in range(40)] + [("few", f"f{i}") for i in range(3)]
    splits = classes.divide(pairs)
    assert Counter((label, splits[group]) for label, group in pairs) == {
        ("many", "train"): 28,
        ("many", "validation"): 6,
        ("many", "test"): 6,
        ("few", "train"): 1,
        ("few", "validation"): 1,
        ("few", "test"): 1,
    }


def test_folders_that_cannot_be_used_are_refused_with_the_reason(tmp_path):
    with pytest.raises(SourceError, match="no folder"):
        classes.recordings(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="has 1 sub-folders"):
        classes.recordings(make_folder(tmp_path / "one", {"Piano": 3}))
    with pytest.raises(SourceError, match=r"^Lonely, Pair: each class needs at least three"):
        classes.recordings(make_folder(tmp_path / "lonely", {"Piano": 4, "Lonely": 1, "Pair": 2}))
    (tmp_path / "wide").mkdir()
    for i in range(51):
        (tmp_path / "wide" / f"{i}").mkdir()
        (tmp_path / "wide" / f"{i}" / "a.wav").touch()
    with pytest.raises(SourceError, match="has 51 sub-folders"):
        classes.recordings(tmp_path / "wide")


def test_a_table_of_groups(tmp_path):
    folder, table = make_folder(tmp_path / "sounds", {"A": 6, "B": 6}), tmp_path / "groups.csv"
    rows = [(f"{label}/take {i}.wav", f"player {i // 2}") for label in "AB" for i in range(6)]
    pd.DataFrame(rows, columns=["file", "group"]).to_csv(table, index=False)
    found = classes.recordings(folder, table)
    assert {recording.id: recording.group for recording in found} == dict(rows)
    sides = {recording.group: recording.split for recording in found}
    assert all(recording.split == sides[recording.group] for recording in found)
    assert set(sides.values()) == {"train", "validation", "test"}
    pd.DataFrame(rows[1:], columns=["file", "group"]).to_csv(table, index=False)
    with pytest.raises(SourceError, match=r"names no group for A/take 0.wav"):
        classes.recordings(folder, table)
    pd.DataFrame(rows, columns=["file", "player"]).to_csv(table, index=False)
    with pytest.raises(SourceError, match="needs file and group"):
        classes.recordings(folder, table)
    with pytest.raises(SourceError, match="cannot be read as a table"):
        classes.recordings(folder, tmp_path / "nothing.csv")


def test_the_figures_of_an_evaluation(tmp_path):
    truth, label = list("aaaabbbc"), ["a", "a", "a", "b", "b", "b", "a", None]
    table = pd.DataFrame(
        {
            "recording": [f"{i}.wav" for i in range(8)],
            "group": list("xyxyxyxy"),
            "truth": truth,
            "label": label,
            "confidence": 0.9,
            "message": "too short",
        }
    )
    evaluation = report.Evaluation(table, ["a", "b", "c"])
    assert evaluation.confusion.to_numpy().tolist() == [[3, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert evaluation.accuracy == pytest.approx(5 / 7)
    assert evaluation.by_class.loc["a"].tolist() == pytest.approx([4, 3 / 4, 3 / 4, 3 / 4])
    assert evaluation.by_class.loc["c", "recall"] == 0
    low, high = evaluation.interval()
    assert 0.2 < low < 5 / 7 < high <= 1
    history = History([], [{"loss": 1.0, "val_loss": 2.0}])
    report.write_page(evaluation, history, tmp_path / "page.html", "Three classes", {"seed": 0})
    page = (tmp_path / "page.html").read_text()
    assert "71.4%" in page
    assert "too short" in page
    assert page.count("0.900") == 2
    many = pd.DataFrame(
        {"recording": [f"{i}.wav" for i in range(150)], "group": "x", "truth": "a", "label": "b", "confidence": 0.8}
    )
    report.write_page(report.Evaluation(many, ["a", "b"]), history, tmp_path / "page.html", "All wrong", {})
    assert (tmp_path / "page.html").read_text().count("0.800") == 150
