"""Every link in the pages leads somewhere, and the README shows what its first command prints."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from pipeline.notebooks import line_of, update_links

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("data/*.md"), *ROOT.glob("notebooks/*.ipynb")]


def text_of(page):
    """The Markdown of a page or of a notebook, without code blocks."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(page):
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def broken(page):
    """The relative links of a page that lead nowhere."""
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"https://|attachment:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            missing.append(link)
    lines = re.findall(r"\[`([\w.]+)`\]\((\S+\.py)#L(\d+)\)", text_of(page))
    stale = [f"{file}#L{line}" for name, file, line in lines if line_of(page.parent / file, name) != int(line)]
    return missing + stale  # `python -m pipeline.notebooks --links` updates these


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert not broken(page)


def test_a_broken_link_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    (tmp_path / "code.py").write_text("\n\ndef f():\n    pass\n")
    links = "[a](#a-title) [b](#no-title) [c](nowhere.md) [d](page.md#a-title) [`f`](code.py#L3) [`f`](code.py#L2)"
    page.write_text(f"# A title\n{links}")
    assert broken(page) == ["#no-title", "nowhere.md", "code.py#L2"]
    update_links(page)
    assert broken(page) == ["#no-title", "nowhere.md"]


def test_the_readme_shows_what_the_command_prints():
    command = [sys.executable, "-m", "pipeline", "label", "data/samples"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed in (ROOT / "README.md").read_text(encoding="utf-8")
