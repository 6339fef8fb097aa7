"""The committed notebooks were executed in order, and their figures are described in words.

Each runs again, fast, in a copy of the repository, and changes no file there.
"""

import base64
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile
from nbconvert import HTMLExporter

from pipeline import notebooks
from pipeline.corpus import dataset, tiny
from pipeline.errors import SourceError

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
OURS = [path for path in NOTEBOOKS if not path.name.startswith("08")]  # 08, the demo, is tested in a browser
FIGURES = [f"3.{number}" for number in range(1, 13)]


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(params=OURS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def test_all_are_there():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06", "07", "08"]


def test_opens_as_agreed(notebook):
    first = notebook.cells[0].source
    assert re.match(r"# 0\d · \w", first), "a title with its number"
    assert re.search(r"\*\*.+[.:].*\*\*", first, re.S), "a sentence of purpose"
    assert "2 cores" in first, "the time it takes"
    assert re.search(r"\]\(0\d_\w+\.ipynb\)", first), "links"
    links = re.findall(r"\]\((0\d_\w+\.ipynb)\)", "\n".join(cell.source for cell in notebook.cells))
    assert links
    assert all((ROOT / "notebooks" / link).exists() for link in links)


TOLD = ("01", "04", "05", "07")  # notebooks that begin with what came out and end with what to take away


@pytest.mark.parametrize("number", TOLD)
def test_says_first_what_came_out_and_last_what_to_take_away(number):
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    assert re.search(r"\*\*What came out\*\*\n(- .+\n){3}\n", cells[0].source), "three lines of result"
    headings = re.findall(r"^## (.+)", "\n".join(cell.source for cell in cells), re.M)
    assert headings[-2:] == ["What to take away", "What this does not show"]


@pytest.mark.parametrize("number", TOLD)
def test_set_up_is_folded_and_every_figure_has_a_caption(number):
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    cells = code(nbformat.read(path, as_version=4))
    for cell in cells:
        is_folded = "hide-input" in cell.metadata.get("tags", [])
        assert is_folded == cell.metadata.get("jupyter", {}).get("source_hidden", False)
        assert is_folded == bool(re.search(r"^(import|from) |^PLACES = ", cell.source, re.M)), cell.source
        pages = [output.get("data", {}).get("text/html", "") for output in cell.outputs]
        assert all("<figcaption" in page for page in pages if "<img" in page), cell.source


def test_has_one_cell_of_parameters_and_no_code_of_its_own(notebook):
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert "FAST = False" in tagged[0].source
    source = "\n".join(cell.source for cell in code(notebook))
    assert not re.search(r"^\s*(class|def) ", source, re.M), "what is used twice lives in a package"


def test_cells_are_short(notebook):
    long = [cell.source for cell in code(notebook) if len(cell.source.splitlines()) > 12]
    assert not long, "a cell does one thing"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_was_executed_in_order_without_error_or_noise(path):
    cells = code(nbformat.read(path, as_version=4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source
            assert "Warning" not in output.get("text", "") + output.get("data", {}).get("text/plain", ""), cell.source


def test_every_picture_has_words(notebook):
    for cell in code(notebook):
        for output in cell.outputs:
            data = output.get("data", {})
            assert "image/png" not in data, "a picture without words"
            for tag in re.findall(r"<img[^>]*>", data.get("text/html", "")):
                assert re.match(r'<img alt="[^"]{30,}"', tag)


def test_is_a_page_with_every_picture_described(notebook):
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert "No description has been provided" not in page
    pictures = [
        output
        for cell in code(notebook)
        for output in cell.outputs
        if "<img" in output.get("data", {}).get("text/html", "")
    ]
    assert page.count('<img alt="') == len(pictures)
    assert "</html>" in page[-100:]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_small_and_names_no_machine(path):
    text = path.read_text()
    assert len(text) < (6_000_000 if path.name.startswith("08") else 3_000_000), "08 holds two animations"
    assert not re.search(r"/(home|root|tmp|work|Users|var)/", re.sub(r"base64,[^\\\"]+", "", text))


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_of_the_thesis_is_shown_and_there_for_screen_and_print(name):
    cells = [cell for path in OURS for cell in code(nbformat.read(path, as_version=4)) if f'"{name}"' in cell.source]
    assert len(cells) == 1
    assert "style.publish(" in cells[0].source
    assert any("<img" in output.get("data", {}).get("text/html", "") for output in cells[0].outputs)
    assert (ROOT / "figures" / f"figure-{name}.png").stat().st_size > 10_000
    assert (ROOT / "figures" / f"figure-{name}.svg").read_text().startswith("<?xml")


@pytest.fixture(scope="module")
def tiny_clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    tiny.build(folder, ROOT / "data" / "samples")
    return folder


def test_the_tiny_dataset_is_a_dataset_that_divides_no_song(tiny_clips):
    clips, labels, table, class_names = dataset.load(tiny_clips)
    assert class_names == ["Piano", "Other"]
    assert clips.dtype == np.int16
    assert len(clips) == len(labels) == len(table)
    assert table.groupby("recording")["split"].nunique().max() == 1
    assert table.groupby("split")["label"].nunique().tolist() == [2, 2, 2]


def test_the_tiny_dataset_needs_songs_of_both_classes(tmp_path):
    with pytest.raises(SourceError) as caught:
        tiny.build(tmp_path / "out", tmp_path)
    assert caught.value.kind == "missing"
    assert not (tmp_path / "out").exists()


def test_players_hold_the_sound_small_and_say_what_it_is(monkeypatch):
    shown = []
    monkeypatch.setattr(notebooks, "display", lambda data, raw: shown.append(data))
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)
    notebooks.listen({"a < b": tone, "loud": 3 * tone})
    page = shown[0]["text/html"]
    assert "a &lt; b" in page
    assert page.count("<audio controls") == 2
    encoded = base64.b64decode(re.search(r"base64,([^\"]+)", page).group(1))
    assert len(encoded) < 12_000
    sound, rate = soundfile.read(io.BytesIO(encoded))
    spectrum = np.abs(np.fft.rfft(sound[rate // 2 : rate // 2 + rate]))
    assert spectrum.argmax() == pytest.approx(440, abs=1)
    assert len(sound) / rate == pytest.approx(2, abs=0.05)


def test_a_run_keeps_cells_folded_and_drops_what_differs_by_machine():
    cell = nbformat.v4.new_code_cell("1", metadata={"tags": ["hide-input"], "jupyter": {"source_hidden": True}, "x": 1})
    kept = notebooks._tidied(nbformat.v4.new_notebook(cells=[cell])).cells[0].metadata
    assert kept == {"tags": ["hide-input"], "jupyter": {"source_hidden": True}}


def test_a_wrong_notebook_stops_the_run(tmp_path, capsys):
    cells = [nbformat.v4.new_code_cell("1 / 0")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "09_wrong.ipynb")
    before = (tmp_path / "09_wrong.ipynb").read_bytes()
    assert notebooks.main([str(tmp_path / "09_wrong.ipynb")]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert (tmp_path / "09_wrong.ipynb").read_bytes() == before


def test_all_run_fast_and_leave_every_file_as_it_was(tmp_path):
    skipped = shutil.ignore_patterns(
        ".git", ".venv*", "generated", "__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".hypothesis"
    )
    copy = shutil.copytree(ROOT, tmp_path / "copy", ignore=skipped)
    before = _fingerprints(copy)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.notebooks", "--fast"],
        cwd=copy,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == len(NOTEBOOKS)
    after = {path: value for path, value in _fingerprints(copy).items() if "generated" not in path.parts}
    assert after == before
    assert {path.stem.removeprefix("figure-") for path in (copy / "figures" / "generated").glob("*.png")} >= set(
        FIGURES
    )


def _fingerprints(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
