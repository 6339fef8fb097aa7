"""What Sphinx must know of the book, and the pages of the code."""

import html
import sys
from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

sys.path.insert(0, str(Path(__file__).parents[1]))
from book import ROOT, code_files

project = "Piano or Other"
html_title = "Piano or Other"
language = "en"
copyright = "the authors; MIT licence"
extensions = ["myst_nb"]
root_doc = "index"

nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}
nb_code_prompt_show = nb_code_prompt_hide = "Code"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4
myst_url_schemes = {"http": None, "https": None, "mailto": None, "code": None}
mathjax_path = "tex-svg.js"  # formulas as SVG need no fonts

html_theme = "furo"
html_static_path = ["static", "../node_modules/mathjax/es5/tex-svg.js"]
html_css_files = ["book.css"]
html_favicon = "../icon.svg"
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_use_index = False
html_domain_indices = False
templates_path = ["templates"]
pygments_style, pygments_dark_style = "tango", "github-dark"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#2f5fd0", "color-brand-content": "#2f5fd0"},
    "dark_css_variables": {"color-brand-primary": "#7aa5ff", "color-brand-content": "#7aa5ff"},
}
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "site.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}


def page_of(path):
    """The name of a module's page."""
    return f"code/{path.with_suffix('').as_posix()}"


def link_code(app, doctree, document):
    """Turn `code:nn/dense.py#L26` into the way to that line's page."""
    for node in doctree.findall(nodes.reference):
        if node.get("refuri", "").startswith("code:"):
            place, _, anchor = node["refuri"].removeprefix("code:").partition("#")
            page = page_of(Path(place)) if place else "code/index"
            node["refuri"] = app.builder.get_relative_uri(document, page) + (f"#{anchor}" if anchor else "")
            node["internal"] = True


def code_pages(app):
    """A page for each module, with an anchor for each line."""
    lexer, formatter = PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)
    index = {"title": "The code", "link": ""}
    for path in code_files():
        page, name = page_of(path), html.escape(path.as_posix())
        lines = highlight((ROOT / path).read_text(encoding="utf-8"), lexer, formatter).splitlines()
        numbered = "\n".join(
            f'<span class="line" id="L{n}"><a href="#L{n}">{n:4}</a> {line}</span>' for n, line in enumerate(lines, 1)
        )
        body = f'<h1>{name}</h1><div class="highlight source"><pre tabindex="0">{numbered}</pre></div>'
        parents = [index | {"link": app.builder.get_relative_uri(page, "code/index")}]
        yield page, {"title": name, "body": body, "parents": parents}, "page.html"


def setup(app):
    """Register both with Sphinx."""
    app.connect("doctree-resolved", link_code)
    app.connect("html-collect-pages", code_pages)
