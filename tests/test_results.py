"""What the documents say of the model is what the results say, and the results are of the model that ships."""

import json
from pathlib import Path

import pytest

from nn import Model
from pipeline.learning.weights import markdown
from pipeline.recognition import MODEL_PATH

CARD = Path("docs/model-card.md").read_text(encoding="utf-8")
FIGURES = json.loads(Path("data/results/model.json").read_text())


def test_the_results_are_of_the_model_that_ships():
    assert Model.load(MODEL_PATH).metadata["figures"] == FIGURES


def test_the_model_card_shows_the_results():
    missing = [line for line in markdown(FIGURES).splitlines() if line not in CARD]
    assert not missing
    with pytest.raises(AssertionError):  # and would notice another figure
        changed = json.loads(json.dumps(FIGURES))
        changed["test clips"]["precision"] -= 0.1
        assert all(line in CARD for line in markdown(changed).splitlines())


def test_the_shipped_model_is_as_good_as_it_must_be():
    real = FIGURES["real recordings"]["by majority vote"]
    assert real["n"] == 26 and real["f1"] >= 0.92 and real["auc"] >= 0.98
    assert round(FIGURES["real clips"]["balanced_accuracy"], 2) >= 0.90 and FIGURES["real clips"]["auc"] >= 0.96
