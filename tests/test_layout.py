"""The README's map is the repository: folders and modules are where it says, and no import runs back up in it."""

import ast
import re
from pathlib import Path

import pytest

from pipeline import files

ROOT = Path(__file__).parents[1]
HELPERS = "pipeline/*"  # the modules of the first row of pipeline/, which all the others use


def modules(root=ROOT):
    """Every Python file of the project but the tests: {dotted name: path}."""
    found = {}
    for path in sorted(path for top in ("nn", "pipeline", "figures") for path in (root / top).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path, known):
    """The modules among `known` that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & known or {node.module}
    return found & known


def rows(text):
    """The rows of the map: [(folder or file, its description), ...] in their order, paths from the top."""
    found, top = [], ""
    for indent, name, description in re.findall(r"^( *)([\w.]+/?)  +(.+)$", text, re.MULTILINE):
        top = "" if not indent else top
        found.append((top + name.rstrip("/"), description))
        top = name if not indent else top
    return found


def named(folder, description):
    """The modules, or folders, that a row of the map names: the single words between commas, colons and semicolons."""
    words = [word.strip().strip("`") for word in re.split("[,:;]", description)]
    return [f"{folder}/{word.rstrip('/')}" for word in words if re.fullmatch(r"[a-z_]+/?", word)]


def floors(text):
    """For each folder and module of the map the number of its row; the modules of `nn` and of `nn/fast` share one."""
    found = {"pipeline": 1000}  # the way in for Python, which hands out what stands further down
    for number, (place, description) in enumerate(rows(text)):
        if place == "pipeline":
            found |= dict.fromkeys(named(place, description), number)
        elif place != "nn/fast":
            found |= dict.fromkeys(
                [place, *(f"pipeline/{name}" for name in re.findall(r"\w+(?=\.py)", description))], number
            )
    return {place.removesuffix(".py"): number for place, number in found.items()}


def floor(module, floors):
    """The number of the row that holds a module."""
    place = module.replace(".", "/")
    while place and place not in floors:
        place = place.rpartition("/")[0]
    return floors.get(place)


def runs_back_up(graph, floors):
    """The imports of {module: imported modules} that lead to a later row of the map."""
    return [f"{a} imports {b}" for a, others in graph.items() for b in others if floor(a, floors) < floor(b, floors)]


def circle(graph):
    """A list of modules each of which imports the next, and the last the first; None if there is no such list."""
    done = set()

    def search(module, way):
        if module in way:
            return [*way[way.index(module) :], module]
        if module not in done:
            for other in sorted(graph[module]):
                if found := search(other, [*way, module]):
                    return found
        done.add(module)

    return next(filter(None, (search(module, []) for module in graph)), None)


def patches(source):
    """The lines of a module that change, while it is imported, something that it has imported itself."""
    tree = ast.parse(source)
    imported = {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(tree)
        for alias in getattr(node, "names", [])
        if isinstance(alias, ast.alias)
    }
    found, todo = [], list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        todo += ast.iter_child_nodes(node)
        targets = (
            getattr(node, "targets", [getattr(node, "target", None)])
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
            else []
        )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("setattr", "delattr"):
            targets = [ast.Attribute(node.args[0], "")]
        for target in targets:
            while isinstance(target, ast.Attribute) and isinstance(target.value, ast.Attribute):
                target = target.value
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id in imported:
                found.append(node.lineno)
    return found


@pytest.fixture(scope="module")
def text():
    return files.section(ROOT / "README.md", "layout")


@pytest.fixture(scope="module")
def graph():
    known = modules()
    return {name: imports(path, set(known)) - {name} for name, path in known.items()}


def test_what_the_map_names_is_there(text):
    for place, description in rows(text):
        assert (ROOT / place).exists(), place
        if place.partition("/")[0] in ("nn", "pipeline"):
            for name in named(place, description):
                assert (ROOT / f"{name}.py").is_file() or (ROOT / name).is_dir(), f"{name} of the row {place}"


def test_every_folder_and_module_is_named_in_the_map_or_by_its_package(text):
    places = dict(rows(text))
    for name, path in modules().items():
        folder = path.parent.relative_to(ROOT).as_posix()
        if path.name == "__init__.py":
            assert folder in places or folder.startswith("figures/"), f"{folder} stands in no row of the map"
        elif folder == "pipeline":
            assert floor(name, floors(text)) not in (None, 1000), f"{name} stands in no row of the map"
        elif folder.startswith("pipeline"):
            words = (ast.get_docstring(ast.parse((path.parent / "__init__.py").read_text())) or "") + places.get(
                folder, ""
            )
            assert re.search(rf"\b{path.stem}\b", words), f"neither the map nor {folder}/__init__.py names {path.stem}"


def test_no_import_runs_back_up_in_the_map(text, graph):
    assert len(graph) > 60
    assert sum(map(len, graph.values())) > 100
    assert runs_back_up(graph, floors(text)) == []


def test_no_import_goes_round_in_a_circle(graph):
    assert circle(graph) is None


def test_no_module_changes_another_while_it_is_imported():
    for name, path in modules().items():
        assert patches(path.read_text()) == [], name


def test_these_checks_can_fail(text):
    assert runs_back_up({"pipeline.song.audio": {"pipeline.app.form"}}, floors(text))
    assert runs_back_up({"nn.model": {"pipeline.errors"}}, floors(text))
    assert not runs_back_up({"pipeline.app.form": {"pipeline.song.audio", "nn.model"}}, floors(text))
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert patches("from nn import Model\nif True:\n    Model.predict = print\n") == [3]
    assert patches("import nn\nsetattr(nn.Model, 'predict', print)\n") == [2]
    assert patches("import nn\ndef f():\n    nn.Model.predict = print\n") == []
