"""The command line as a person types it, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nn import Model

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples"
PIANO = str(next(SAMPLES.glob("piano-*")))


def run(*arguments, **options):
    command = [sys.executable, "-m", "pipeline", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, **options)


def test_json_is_one_object_a_line_in_the_order_given(tmp_path):
    result = run("label", "--json", PIANO, str(tmp_path / "missing.wav"), PIANO)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 1
    assert [row["source"] for row in rows] == [PIANO, str(tmp_path / "missing.wav"), PIANO]
    assert rows[0] == rows[2]
    assert rows[0]["label"] == "Piano"
    assert set(rows[1]) == {"source", "error", "message"}
    assert rows[1]["error"] == "missing"


def test_a_folder_is_labelled_as_a_table_and_all_is_well():
    result = run("label", "data/samples")
    lines = result.stdout.splitlines()
    songs = sorted(path.name for path in SAMPLES.iterdir() if path.suffix != ".md")
    assert result.returncode == 0, result.stderr
    assert lines[0].split() == ["label", "confidence", "votes", "length", "song"]
    assert [line.split()[-1] for line in lines[1:]] == songs
    assert all(line.split()[0].lower() == song.split("-")[0] for line, song in zip(lines[1:], songs))


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path):
    for album in "ab":
        (tmp_path / album).mkdir()
        (tmp_path / album / "01.wav").write_bytes(Path(PIANO).read_bytes())
    result = run("label", "--clips", "1", str(tmp_path))
    assert [line.split()[-1] for line in result.stdout.splitlines()[1:]] == [
        os.path.join("a", "01.wav"),
        os.path.join("b", "01.wav"),
    ]


def test_a_full_disk_behind_the_output(tmp_path):
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "pipeline", "label", PIANO], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert result.returncode == 1
    assert result.stderr == "pipeline: No space left on device\n"


@pytest.mark.parametrize(("closed", "code"), [([0], 0), ([2], 0), ([0, 2], 0), ([1], 1), ([0, 1, 2], 1)])
def test_standard_streams_that_are_closed(closed, code):
    """What is written to a closed standard output is lost, which the exit code says; the others are not needed."""
    result = run("label", PIANO, preexec_fn=lambda: [os.close(number) for number in closed])
    assert result.returncode == code
    assert ("Piano" in result.stdout) == (1 not in closed)
    assert result.stderr == ("pipeline: Bad file descriptor\n" if closed == [1] else "")


def test_the_output_of_a_batch_whose_streams_are_closed(tmp_path):
    command = ["batch", PIANO.rpartition("/")[0], "--out", str(tmp_path / "out.parquet"), "--workers", "1"]
    run(*command, preexec_fn=lambda: os.closerange(0, 3))
    assert run(*command).stdout.startswith("11 labelled, 0 failed")


def test_no_temporary_folder(tmp_path):
    """The link fails with its own sentence, and the file after it is labelled."""
    code = (
        "import sys, tempfile; from pipeline.__main__ import main; "
        f"tempfile._candidate_tempdir_list = lambda: ['{tmp_path}/none']; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "label", "--json", "https://youtu.be/abcdefghijk", PIANO]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    failed, labelled = map(json.loads, result.stdout.splitlines())
    assert (failed["error"], labelled["label"]) == ("temporary_folder", "Piano")
    assert "set TMPDIR" in failed["message"]


def test_a_model_that_would_answer_with_what_is_no_number(tmp_path):
    """Weights that are no number are refused when the file is read, too large ones with the first song."""
    model = Model.load(ROOT / "data" / "model.npz")
    weights = next(layer for layer in reversed(model.layers) if layer.params).params["kernel"]
    weights[:] = np.resize([3e38, -3e38], weights.shape)
    model.save(tmp_path / "large.npz", include_optimizer=False)
    arrays = dict(np.load(ROOT / "data" / "model.npz"))
    name = next(name for name, array in arrays.items() if array.dtype == np.float32)
    np.savez(tmp_path / "nan.npz", **arrays | {name: arrays[name] * np.nan})
    for file in ("large.npz", "nan.npz"):
        for command in (["label", "--json", PIANO], ["batch", str(SAMPLES), "--out", str(tmp_path / "out.parquet")]):
            result = run(*command, "--model", str(tmp_path / file))
            assert result.returncode == 2
            assert "Traceback" not in result.stderr
            assert not result.stdout


def test_a_list_is_read_with_its_comments_and_line_ends(tmp_path):
    (tmp_path / "song.wav").write_bytes(Path(PIANO).read_bytes())
    (tmp_path / "list.txt").write_bytes(
        f"\ufeff# songs\r\n\r\n{PIANO}\r\nsong.wav\r\nhttps://example.com/x\r\n".encode()
    )
    result = run("label", "--json", "--clips", "3", "--seed", "1", str(tmp_path / "list.txt"))
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row.get("error") for row in rows] == [None, None, "other_site"]
    assert sum(rows[0]["votes"].values()) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["label"],
        ["label", "--clips", "0", PIANO],
        ["label", "--clips", "many", PIANO],
        ["label", "--seed", "-1", PIANO],
        ["label", "--nonsense", PIANO],
        ["label", "--exec=touch"],
        ["unknown"],
        ["label", "--model", "none.npz", PIANO],
        ["label", "--model", "", PIANO],
        ["batch", "https://youtu.be/abcdefghijk", "--out", "a.parquet"],
        ["batch", "data/samples", "--out", "a.csv"],
        ["batch", "", "--out", "a.parquet"],
        ["train", " ", "--out", "a.npz"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_said_and_exits_with_2(arguments):
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr
    assert not result.stdout


NEVER_AT_ONCE = {"optuna", "dask", "distributed", "pyarrow", "pandas", "sklearn", "librosa", "onnx", "onnxruntime"}
NEVER_AT_ONCE |= {"pretty_midi", "tinysoundfont", "matplotlib", "joblib", "yt_dlp"}


@pytest.mark.parametrize(
    ("statement", "left_out"),
    [
        ("main(['label', '--help'])", NEVER_AT_ONCE | {"numpy", "scipy", "av", "tqdm"}),
        ("import nn, pipeline.song.recognition, pipeline.batch.labelling", NEVER_AT_ONCE | {"av"}),
        ("import pipeline.app.app", NEVER_AT_ONCE | {"av"}),
    ],
)
def test_what_is_not_needed_is_not_imported(statement, left_out):
    code = (
        f"import sys; from pipeline.__main__ import main\ntry: {statement}\nexcept SystemExit: pass\n"
        f"print(sorted({left_out} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


def test_a_title_that_the_terminal_cannot_write(tmp_path):
    song = tmp_path / "ショパン.wav"
    song.write_bytes(Path(PIANO).read_bytes())
    result = run("label", str(song), env=os.environ | {"PYTHONIOENCODING": "cp1252"})
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].endswith("  ????.wav")


def test_names_cannot_steer_the_terminal(tmp_path):
    evil = tmp_path / "a\x1b[2Jb.mp3"
    evil.write_text("no sound")
    result = run("label", str(evil))
    assert "\x1b" not in result.stdout
    assert "a?[2Jb.mp3" in result.stdout
