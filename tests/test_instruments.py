"""The study of many classes: solos are rendered once, a half that is done is not done again, and the page says what came out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from pipeline import files
from pipeline.studies import instruments

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs/many-classes.md", ROOT / "data/results/instruments.json"


class Tones:
    """A player whose every solo is a chord of its family."""

    def __init__(self, hertz):
        self.hertz = hertz

    def render(self, score, start, seconds, touch=None):
        return np.sin(2 * np.pi * self.hertz * np.arange(int(seconds * 16_000)) / 16_000)


class Pieces:
    """What `pipeline.corpus.sounds.Piece` gives of a file of MIDI."""

    def __init__(self, name):
        self.name = name

    def score(self):
        from pipeline.corpus.scores import improvise

        return improvise(np.random.default_rng(0), 10, None)


def test_each_instrument_is_played_by_each_family_and_what_is_there_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(instruments, "SECONDS", 2)
    monkeypatch.setattr(instruments, "_pieces", lambda: [Pieces("A piece"), Pieces("another")])
    monkeypatch.setattr(
        instruments, "_players", lambda program, samples: {"one": Tones(300 + program), "two": Tones(400 + program)}
    )
    instruments.write(tmp_path, 2)
    groups = pd.read_csv(tmp_path / "groups.csv")
    assert len(groups) == 2 * 2 * len(instruments.INSTRUMENTS)
    assert set(groups["group"]) == {"one", "two"}
    assert sorted(groups["file"]) == sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*"))
    samples, rate = soundfile.read(tmp_path / groups["file"][0])
    assert len(samples) / rate > 1.9
    assert abs(samples).max() > 0.45
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    gone = tmp_path / groups["file"][5]
    gone.unlink()
    instruments.write(tmp_path, 2)
    assert [path for path in before if path.stat().st_mtime_ns != before[path]] == [gone]


def test_the_study_goes_on_half_by_half_and_writes_its_page(tmp_path):
    (tmp_path / "docs").mkdir()
    page, folder, results = (
        shutil.copy(PAGE, tmp_path / "docs"),
        tmp_path / "solos",
        tmp_path / "data/results/instruments.json",
    )
    rng, rows = np.random.default_rng(0), []
    for label, hertz in (("Flute", 1000), ("French horn", 250)):
        for family in ("one", "two", "three"):
            for i in range(3):
                name = f"{label}/{family}-{i}.flac"
                (folder / label).mkdir(parents=True, exist_ok=True)
                soundfile.write(
                    folder / name,
                    0.3 * np.sin(2 * np.pi * hertz * rng.uniform(0.9, 1.1) * np.arange(48_000) / 16_000),
                    16_000,
                )
                rows.append((name, family))
    pd.DataFrame(rows, columns=["file", "group"]).to_csv(folder / "groups.csv", index=False)
    instruments.study(folder, tmp_path / "model", tmp_path, ["family"], n_clips=96, epochs=1)
    known = json.loads(results.read_text())
    assert len(known["family"]["test families"]) == 1
    assert sum(map(sum, map(dict.values, known["family"]["confusion"].values()))) == 6
    assert "| family |" in files.section(page, "instruments")
    assert "| file |" not in files.section(page, "instruments")
    instruments.study(
        folder, tmp_path / "model", tmp_path, n_clips=96, epochs=1
    )  # the model of the first half is left alone
    found = json.loads(results.read_text())
    assert found["family"] == known["family"]
    assert found["file"]["test families"] == []
    assert files.section(page, "instruments") == instruments.markdown(found)
    assert (tmp_path / "figures/figure-classes-confusion.png").exists()
    (tmp_path / "model-file.npz").unlink()
    (tmp_path / "model-file.html").unlink()
    instruments.study(
        folder, tmp_path / "model", tmp_path, n_clips=96, epochs=1
    )  # known results, as in a fresh clone, but no model
    assert (tmp_path / "model-file.npz").exists()


def test_the_matrix_on_the_page_is_that_of_the_results():
    half = {
        "test recordings": 3,
        "test families": ["timgm"],
        "accuracy": 0.6667,
        "interval": [0.2, 1.0],
        "confusion": {"Flute": {"Flute": 2, "Violin": 0}, "Violin": {"Flute": 1, "Violin": 0}},
    }
    page = instruments.markdown({"recordings": 12, "clips": 6600, "epochs": 6, "family": half})
    assert "| family | solos of timgm | 3 | 66.7% | 20.0% to 100.0% |" in page
    assert "| | Flute | Violin |\n|---|---|---|\n| **Flute** | 2 |  |\n| **Violin** | 1 |  |" in page


def test_the_page_says_what_was_measured():
    shown = files.section(PAGE, "instruments")
    assert shown == (instruments.markdown(json.loads(RESULTS.read_text())) if RESULTS.exists() else "Not measured yet.")
