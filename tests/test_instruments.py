"""The study of many classes: solos are rendered once, a half that is done stays, the page says what was measured."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from media import tone

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


def test_the_study_goes_on_half_by_half_and_writes_its_page(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    page, folder = shutil.copy(PAGE, tmp_path / "docs"), tmp_path / "solos"
    results = tmp_path / "data/results/instruments.json"
    rng, rows = np.random.default_rng(0), []
    for label, hertz in (("Flute", 1000), ("French horn", 250)):
        (folder / label).mkdir(parents=True)
        for family in ("one", "two", "three"):
            for i in range(3):
                name = f"{label}/{family}-{i}.flac"
                soundfile.write(folder / name, tone(3, 16_000, hertz=hertz * rng.uniform(0.9, 1.1)), 16_000)
                rows.append((name, family))
    pd.DataFrame(rows, columns=["file", "group"]).to_csv(folder / "groups.csv", index=False)

    def study():
        instruments.study(folder, tmp_path / "model", tmp_path, n_clips=96, epochs=1)
        return json.loads(results.read_text())

    def stop(folder, out, groups, *_):
        if groups is None:
            raise KeyboardInterrupt
        return learn(folder, out, groups, *_)

    learn = instruments.classes.learn
    monkeypatch.setattr(instruments.classes, "learn", stop)
    with pytest.raises(KeyboardInterrupt):
        study()
    monkeypatch.setattr(instruments.classes, "learn", learn)
    known, model = json.loads(results.read_text()), (tmp_path / "model-family.npz").stat().st_mtime_ns
    assert len(known["family"]["test families"]) == 1
    assert sum(map(sum, map(dict.values, known["family"]["confusion"].values()))) == 6
    assert "file" not in known
    found = study()
    assert found["family"] == known["family"]
    assert (tmp_path / "model-family.npz").stat().st_mtime_ns == model
    assert found["file"]["test families"] == []
    assert files.section(page, "instruments") == instruments.markdown(found)
    assert (tmp_path / "figures/figure-classes-confusion.png").exists()
    (tmp_path / "model-file.npz").unlink()
    (tmp_path / "model-file.html").unlink()
    study()  # known results, as in a fresh clone, but no model
    assert (tmp_path / "model-file.npz").exists()


def test_the_page_says_what_was_measured():
    results = json.loads(RESULTS.read_text())
    assert files.section(PAGE, "instruments") == instruments.markdown(results)
    family, (low, high) = results["family"], results["family"]["interval"]
    row = f"{family['test recordings']} | {family['accuracy']:.1%} | {low:.1%} to {high:.1%} |"
    assert row in PAGE.read_text(encoding="utf-8")
