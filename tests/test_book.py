"""The book of the site: its links, and its pages in Chromium as a reader meets them."""

import json
import sys
from html.parser import HTMLParser
from pathlib import PurePosixPath
from posixpath import normpath
from urllib.parse import unquote, urlsplit

import browser
import pytest
from playwright.sync_api import expect
from test_site import opened

sys.path.insert(0, str(browser.ROOT / "site"))
import book

pytestmark = pytest.mark.xdist_group("site")

PAGES = [
    path.relative_to(browser.ROOT).with_suffix(".html").as_posix()
    for paths in book.documents().values()
    for path in paths
]
BY_HAND = "book/notebooks/03_network_by_hand.html"


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium("--autoplay-policy=no-user-gesture-required") as chromium:
        yield chromium


class Page(HTMLParser):
    """The anchors of a page, and what it links to, shows or loads."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loaded = {""}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes.get("id"), attributes.get("name")}
        if tag == "a":
            self.links.append(attributes.get("href"))
        else:
            self.loaded += [attributes.get("href"), attributes.get("src"), attributes.get("poster")]


def test_every_link_leads_to_a_page_and_a_place_on_it(site_folder):
    pages = {
        path.relative_to(site_folder).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in site_folder.rglob("*.html")
    }
    assert {f"book/{page}" for page in PAGES} <= set(pages)
    broken = []
    for name, page in pages.items():
        for link in [*filter(None, page.links), *filter(None, page.loaded)]:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                if not (url.scheme == "data" or link in page.links):
                    broken.append((name, link[:80]))
                continue
            target = normpath(PurePosixPath(name).parent / unquote(url.path)) if url.path else name
            anchors = pages[target].anchors if target in pages else {""}
            if not (site_folder / target).is_file() or unquote(url.fragment) not in anchors:
                broken.append((name, link))
    assert broken == []


def test_every_page_is_whole_dark_and_narrow_and_asks_nobody_else(chromium, site):
    options = {"viewport": {"width": 360, "height": 800}, "color_scheme": "dark"}
    with opened(chromium, site, "book/index.html", **options) as page:
        assert browser.unreadable(page, "body") == []
        for name in (*PAGES, "code/index.html", "code/nn/dense.html"):
            page.goto(f"{site}book/{name}")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 360, f"{name} is {width} pixels wide"
            shown = page.evaluate(
                "[...document.images].every((image) => image.loading == 'lazy' || image.naturalWidth)"
            )
            assert shown, f"a picture of {name} is not shown"


def test_the_site_leads_to_the_book_and_the_book_back(chromium, site):
    with opened(chromium, site, "index.html") as page:
        page.get_by_role("link", name="The book", exact=True).click()
        page.get_by_role("cell", name="03 network by hand").get_by_role("link").click()
        expect(page).to_have_title("03 · The network by hand - Piano or Other")
        page.locator(".sidebar-drawer").get_by_role("link", name="Demo", exact=True).click()
        page.locator(".po-stage").wait_for()


def test_formulas_are_drawn(chromium, site):
    with opened(chromium, site, BY_HAND) as page:
        page.locator("mjx-container").first.wait_for()
        page.evaluate("MathJax.startup.promise.then(() => true)")
        sizes = page.evaluate("[...document.querySelectorAll('mjx-container')].map((one) => one.offsetHeight)")
        assert len(sizes) > 40
        assert min(sizes) > 0
        assert page.locator("mjx-merror, .math:not(:has(mjx-container))").count() == 0


def test_a_link_to_a_line_of_code_marks_that_line(chromium, site):
    with opened(chromium, site, BY_HAND) as page:
        page.get_by_role("link", name="Dense.forward").click()
        line = page.locator(".line:target")
        expect(line).to_contain_text("def forward")
        expect(line).to_be_in_viewport()


def test_search_finds_a_word_and_shows_it_on_its_page(chromium, site):
    with opened(chromium, site, "book/docs/onnx.html") as page:
        page.get_by_role("textbox", name="Search").fill("backpropagation")
        page.keyboard.press("Enter")
        found = page.locator("#search-results li")
        found.first.wait_for()
        titles = found.locator("a").all_inner_texts()
        assert any("network by hand" in title for title in titles), titles


def test_sounds_and_films_play(chromium, site):
    for name, kind in (("02_sound_to_image", "audio"), ("08_demo", "video")):
        with opened(chromium, site, f"book/notebooks/{name}.html") as page:
            players = page.locator(kind)
            assert players.count() > 0
            for player in players.all():
                assert player.evaluate("(one) => { one.muted = true; return one.play().then(() => one.duration); }") > 1
            heard = "(one) => new Promise((done) => { one.ontimeupdate = () => one.currentTime > 0.1 && done(true); })"
            assert players.last.evaluate(heard)


def test_cells_that_jupyter_hides_are_folded(site_folder, tmp_path):
    path = browser.ROOT / "notebooks" / "made.ipynb"
    cells = [
        {"cell_type": "code", "metadata": {"jupyter": {"source_hidden": True}}, "source": "1", "outputs": []},
        {"cell_type": "code", "metadata": {}, "source": "2", "outputs": []},
    ]
    made = book.prepared({"metadata": {}, "cells": cells}, path, set(), tmp_path)
    assert [cell["metadata"].get("tags", []) for cell in made["cells"]] == [["hide-input"], []]
    for path in book.documents()["Notebooks"]:
        notebook = book.prepared(json.loads(path.read_text()), path, set(book.documents()["Notebooks"]), tmp_path)
        hidden = sum("hide-input" in cell["metadata"].get("tags", []) for cell in notebook["cells"])
        page = site_folder / "book" / path.relative_to(browser.ROOT).with_suffix(".html")
        assert page.read_text(encoding="utf-8").count("<details class=") == hidden, path


def test_a_widget_leaves_its_picture():
    widget, picture = (
        {book.WIDGET: {"model_id": "1"}, "text/plain": "VBox()"},
        {"text/html": "<img alt='' src='data:,'>"},
    )
    assert book.still({"data": dict(widget)}) is None
    assert book.still({"data": widget | picture})["data"] == {"text/plain": "VBox()"} | picture
    stream = {"output_type": "stream", "text": "1"}
    assert book.still(stream) == stream


def test_a_link_to_a_file_that_is_missing_ends_the_build(tmp_path):
    with pytest.raises(SystemExit, match=r"onnx\.md links to \.\./nn/gone\.py, which is not there"):
        book.relinked("[code](../nn/gone.py#L3)", browser.ROOT / "docs" / "onnx.md", set(), tmp_path)
