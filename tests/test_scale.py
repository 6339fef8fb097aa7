"""The study of scale can be had in parts, and its page says what was measured."""

import json
import shutil

import numpy as np
import pytest

from pipeline import files
from pipeline.studies import findings, lengths, scale

PAGE, RESULTS = lengths.ROOT / "docs/scale.md", lengths.ROOT / "data/results/scale.json"


def test_the_study_goes_on_part_by_part_and_then_writes_its_page(tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    page, results, tiny = (
        shutil.copy(PAGE, tmp_path / "docs"),
        tmp_path / "data/results/scale.json",
        ["--tiny", "--into", str(tmp_path)],
    )
    files.write_section(page, "scale", "old")
    with pytest.raises(SystemExit):
        scale.main(["--tiny"])  # which would overwrite what was measured
    assert scale.main([*tiny, "lists", "stages", "datasets"]) == 0
    assert "Still to be measured: processes, dask, batches" in capsys.readouterr().out
    known = json.loads(results.read_text())
    assert {row["stage"] for row in known["stages"]} == {"decoding", "cleaning", "features", "inference", "training"}
    assert scale.main([*tiny, "processes", "batches"]) == 0
    found = json.loads(results.read_text())
    assert {name: found[name] for name in known} == known
    assert files.section(page, "scale") == "old"
    assert [row["workers"] for row in found["processes"]] == [1, 2]
    assert set(found["processes"][0]["real_time"]) == set(findings.WORKS)
    assert (
        found["batches"][0]["listened"] == scale.TINY.listened < found["batches"][0]["songs"]
    )  # a share, and it says so
    files.write_json(results, found | {"dask": found["processes"]})
    assert scale.main(tiny) == 0  # nothing is left to measure
    assert files.section(page, "scale") == findings.markdown(json.loads(results.read_text()))
    assert len(list((tmp_path / "figures").glob("figure-scale-*.png"))) == 4
    files.write_json(results, found | {"machine": "another"})
    scale.main([*tiny, "lists"])
    assert "stages" not in json.loads(results.read_text())
    with pytest.raises(SystemExit):
        scale.main([*tiny, "everything"])


def test_repeated_clips_are_read_from_all_over_and_a_share_ends_early():
    clips = np.repeat(np.arange(10, dtype=np.float32), 4).reshape(10, 4)
    labels = np.arange(1000) % 2
    share = lengths.Share(lengths.Repeated(clips, 1000), labels, 2, 8, shuffle=True, most=5)
    assert len(share) == 5
    assert share[4][0].shape == (8, 4)
    assert max(share._order[:40]) > 500
    assert set(np.concatenate([share[i][0][:, 0] for i in range(5)])) == set(range(10))


def test_a_million_songs_cost_what_the_rate_of_two_workers_says():
    results = {
        "song_seconds": 240,
        "song_bytes": 4_000_000,
        "processes": [{}, {"real_time": {"labelling": 600.0}}],
        "batches": [{"journal_bytes_per_song": 3000}],
    }
    costs = findings.costs(results)
    assert costs["core_hours"] == pytest.approx(1e6 * 240 * 2 / 600 / 3600)
    assert costs["days"]["listening, 2 cores"] == pytest.approx(1e6 * 240 / 600 / 3600 / 24)
    assert costs["days"]["downloading, 300 an hour"] == pytest.approx(1e6 / 300 / 24)
    assert (costs["sound_tb"], costs["rows_gb"]) == (4.0, 3.0)


def test_the_page_says_what_was_measured_and_the_goals_are_reached():
    if not RESULTS.exists():
        assert files.section(PAGE, "scale") == "Not measured yet."
        return
    results = json.loads(RESULTS.read_text())
    assert files.section(PAGE, "scale") == findings.markdown(results)
    assert results["song_seconds"] == scale.Size.song_seconds
    assert [what for what, (_, _, reached) in findings.goals(results).items() if not reached] == []
