"""The book: the executed notebooks, their exercises and the docs as pages, with a search and the code they link to.

Sphinx reads copies whose links into the repository are rewritten; `conf.py` says how the pages look.
"""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from string import Template

BOOK = Path(__file__).parent
ROOT = BOOK.parents[1]
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[\w-]+)?(?=\))")
WIDGET = "application/vnd.jupyter.widget-view+json"
CODE = ("nn", "pipeline", "figures", "tests")
# Styles within a page are those of tables, formulas and highlighted code; scripts within it are named by their hash.
POLICY = (
    "default-src 'none'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; media-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'"
)


def build(folder):
    """Write the book into `folder`. A warning of Sphinx ends the build."""
    with tempfile.TemporaryDirectory() as stage:
        write_sources(Path(stage))
        options = ["-W", "--keep-going", "-q", "-b", "html", "-c", BOOK, "-d", Path(stage, ".doctrees")]
        if subprocess.run([sys.executable, "-m", "sphinx", *options, stage, folder]).returncode:
            sys.exit("The book was not built: Sphinx's words are above.")
    for name in (".buildinfo", "objects.inv"):
        (folder / name).unlink(missing_ok=True)
    for page in folder.rglob("*.html"):
        page.write_text(with_policy(page.read_text(encoding="utf-8")), encoding="utf-8")


def documents():
    """The pages by part of the book: {heading: [paths]}."""
    return {
        "Notebooks": sorted((ROOT / "notebooks").glob("*.ipynb")),
        "Exercises": sorted((ROOT / "notebooks" / "exercises").glob("*.ipynb")),
        "Docs": [*sorted((ROOT / "docs").glob("*.md")), ROOT / "data" / "SOUNDS.md"],
    }


def write_sources(stage):
    """Copy the pages, and the files that they link to, into the folder `stage`, and write the first page."""
    parts = documents()
    pages = {path for paths in parts.values() for path in paths}
    for path in sorted(pages):
        copy = stage / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".md":
            copy.write_text(relinked(text, path, pages, stage), encoding="utf-8")
        else:
            copy.write_text(json.dumps(prepared(json.loads(text), path, pages, stage)), encoding="utf-8")
    (stage / "index.md").write_text(first_page(parts), encoding="utf-8")
    (stage / "code").mkdir()
    (stage / "code" / "index.md").write_text(code_index(), encoding="utf-8")


def first_page(parts):
    """The book's first page, with the README's table of notebooks and the table of contents."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.search(r"^\| notebook .*?(?=^$)", readme, re.MULTILINE | re.DOTALL)[0]
    trees = []
    for part, paths in parts.items():
        if paths:
            names = ["/" + path.relative_to(ROOT).with_suffix("").as_posix() for path in paths]
            trees += ["```{toctree}", ":hidden:", f":caption: {part}", *names, "```", ""]
    template = Template((BOOK / "index.md").read_text(encoding="utf-8"))
    return template.substitute(notebooks=table, trees="\n".join(trees))


def prepared(notebook, path, pages, stage):
    """A notebook with rewritten links; cells that Jupyter hides fold here too, and widgets leave their picture."""
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = relinked("".join(cell["source"]), path, pages, stage)
        elif cell["metadata"].get("jupyter", {}).get("source_hidden"):
            cell["metadata"].setdefault("tags", []).append("hide-input")
        if "outputs" in cell:
            cell["outputs"] = [output for output in map(still, cell["outputs"]) if output]
    return notebook


def still(output):
    """An output without its widget: its picture if it has one, None if only its name is left."""
    if output.get("data", {}).pop(WIDGET, None) and set(output["data"]) <= {"text/plain"}:
        return None
    return output


def relinked(text, path, pages, stage):
    """Markdown of the page `path` whose links work in the book.

    Code and folders lead to `code:`, which `conf.py` resolves; other files are copied to `stage` to be downloaded.
    """

    def target(match):
        file = (path.parent / match[1]).resolve()
        if not file.exists():
            sys.exit(f"{path} links to {match[1]}, which is not there.")
        place, anchor = file.relative_to(ROOT).as_posix(), match[2] or ""
        if file in pages:
            return match[0]
        if file.is_dir():
            return f"code:#{place.replace('/', '-')}"
        if file.suffix == ".py":
            return f"code:{place}{anchor.partition('-')[0]}"
        (stage / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, stage / place)
        return match[1]

    return LINK.sub(target, text)


def code_files():
    """The modules that have a page, as paths from the top of the repository."""
    files = [path.relative_to(ROOT) for top in CODE for path in (ROOT / top).rglob("*.py")]
    return sorted(files, key=lambda path: (CODE.index(path.parts[0]), path.parent, path.name))


def code_index():
    """A page with all modules by folder, each with the first line of its docstring."""
    lines = ["# The code", "", "Every module, with lines that the notebooks link to.", ""]
    folder = None
    for path in code_files():
        if path.parent != folder:
            folder = path.parent
            name = folder.as_posix()
            lines += ["", f"({name.replace('/', '-')})=", f"## `{name}/`", ""]
        says = re.match(r'(?:#.*\n)*"""(.+?)(?:"""|\n)', (ROOT / path).read_text(encoding="utf-8"))
        lines.append(f"- [`{path.name}`](code:{path.as_posix()})" + (f": {says[1]}" if says else ""))
    return "\n".join(lines) + "\n"


def with_policy(page):
    """A page with a Content-Security-Policy that allows the scripts written in it, and no other host."""
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    policy = POLICY.format(hashes="".join(f" 'sha256-{digest}'" for digest in sorted(digests)))
    charset = '<meta charset="utf-8">'
    return page.replace(charset, f'{charset}<meta http-equiv="Content-Security-Policy" content="{policy}">', 1)
