"""What a reader moves in a notebook changes what is shown, in Python and in a browser."""

import os
import re

import browser
import nbformat
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

from pipeline.widgets import votes

CLIPS = """
import numpy as np, pandas as pd
rng = np.random.default_rng(0)
table = pd.DataFrame({"recording": np.repeat(np.arange(40), 5), "label": np.repeat(["Piano", "Other"] * 20, 5)})
probabilities = np.clip(np.where(table["label"] == "Piano", 0.6, 0.4) + rng.normal(0, 0.2, 200), 0, 1)
"""


@pytest.fixture(scope="module")
def clips():
    names = {}
    exec(CLIPS, names)
    return names["table"], names["probabilities"]


def test_up_to_so_many_clips_of_each_recording_vote(clips):
    table, _ = clips
    rows = votes.voters(table, 3)
    assert (table.iloc[rows].groupby("recording").size() == 3).all()
    assert votes.voters(table, 9).tolist() == list(range(200))


def test_more_voters_are_right_more_often_and_a_high_threshold_costs_recall(clips):
    one, five = (votes.over_thresholds(*clips, n_clips=n).set_index("threshold") for n in (1, 5))
    middle = one.index[len(one) // 2]
    assert five.loc[middle, "accuracy"] > one.loc[middle, "accuracy"]
    assert (np.diff(five["recall"]) <= 0).all()
    assert five["recall"].iloc[0] == 1


def test_precision_of_no_piano_is_not_a_number():
    table = pd.DataFrame({"recording": [0, 1], "label": ["Piano", "Other"]})
    row = votes.over_thresholds(table, np.array([0.2, 0.1]), 1, [0.5]).iloc[0]
    assert np.isnan(row["precision"])
    assert row["recall"] == 0


def test_the_numbers_have_exact_intervals(clips, capsys):
    votes.show(*clips, threshold=0.5, n_clips=1)
    assert re.search(
        r"one clip votes: precision \d+ of \d+ \(\d+% to \d+%\), recall \d+ of 20", capsys.readouterr().out
    )


@pytest.mark.xdist_group("browser")
def test_a_slider_moved_in_the_browser_changes_the_picture_and_the_numbers(tmp_path):
    folder = browser.scratch_copy(tmp_path / "copy")
    cells = [
        "import os; os.chdir('..') if os.path.basename(os.getcwd()) == 'notebooks' else None",
        CLIPS,
        "from pipeline.widgets import votes\nvotes.choose(table, probabilities, n_clips=5)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "notebooks" / "08_demo.ipynb")
    with browser.server("voila", folder, dict(os.environ)) as address, browser.chromium() as chromium:
        page = chromium.new_page()
        page.goto(address)
        before = page.get_by_text("Threshold 0.50, up to 5 clips vote")
        expect(before).to_be_visible(timeout=90_000)
        picture = page.locator("img[alt^='Threshold']").get_attribute("src")
        page.locator(".noUi-handle, [role=slider]").nth(1).press("ArrowLeft")
        expect(page.get_by_text("Threshold 0.50, up to 4 clips vote")).to_be_visible(timeout=90_000)
        assert page.locator("img[alt^='Threshold']").get_attribute("src") != picture
