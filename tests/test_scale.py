"""The study of scale is measured part by part, and its page says what was measured."""

import json
import shutil

import pytest

from pipeline import files
from pipeline.studies import scale, scale_page

PAGE, RESULTS = scale.ROOT / "docs/scale.md", scale.ROOT / "data/results/scale.json"


TINY = scale.Size(song_seconds=8, repeats=1, songs=4, rounds=1, most=1000, labelled=4, batches=2)


def test_the_study_goes_on_part_by_part_and_then_writes_its_page(tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    page, results = shutil.copy(PAGE, tmp_path / "docs"), tmp_path / "data/results/scale.json"
    files.write_section(page, "scale", "old")
    scale.measure(["lists", "stages", "datasets"], TINY, tmp_path)
    assert "Still to be measured: workers, batches" in capsys.readouterr().out
    known = json.loads(results.read_text())
    assert set(known["stages"][0]) == {"decoding", "cleaning", "features", "inference"}
    assert files.section(page, "scale") == "old"
    scale.measure((), TINY, tmp_path)
    found = json.loads(results.read_text())
    assert {name: found[name] for name in known} == known
    workers = [(row["engine"], row["workers"]) for row in found["workers"]]
    assert workers == [("joblib", 1), ("joblib", 2), ("Dask", 1), ("Dask", 2)]
    (batch,) = found["batches"]
    assert batch["labelled"] == TINY.labelled < batch["songs"]
    assert files.section(page, "scale") == scale_page.markdown(found)
    assert len(list((tmp_path / "figures").glob("figure-scale-*.png"))) == 2
    files.write_json(results, found | {"machine": "another"})
    scale.measure(["lists"], TINY, tmp_path)
    assert "stages" not in json.loads(results.read_text())


def test_a_part_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        scale.main(["everything"])
    assert "no such part: everything; choose from lists, stages" in capsys.readouterr().err


def test_the_page_says_what_was_measured_and_the_goals_are_reached():
    results = json.loads(RESULTS.read_text())
    assert files.section(PAGE, "scale") == scale_page.markdown(results)
    assert results["song_seconds"] == scale.Size.song_seconds
    assert [goal["what"] for goal in scale_page.goals(results) if not goal["is_reached"]] == []
