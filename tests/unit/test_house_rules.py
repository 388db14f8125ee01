"""The shape of the code: imports go downward, files stay small, names say something."""

import ast
import graphlib
import re
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import get_type_hints

import pytest
from source_trees import FILES, SOURCE, nodes_of, tree_of

from unblank.families.table import FAMILIES
from unblank.finetuning.settings import FinetuneSettings
from unblank.pretraining.settings import PretrainSettings

MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}


def imports_of(path: Path, *, deferred: bool) -> set[str]:
    """Return the modules of ours that a file imports, without the leading `unblank.`.

    Args:
        path: of the file.
        deferred: also those that functions import when they are called, and those that are named
            in a string, as `unblank.some.module:name`.
    """
    names = set()
    for node in nodes_of(path) if deferred else tree_of(path).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value.partition(":")[0])
    ours = {name.removeprefix("unblank.") for name in names if name.startswith("unblank.")}
    return ours & set(MODULES)


@cache
def imports_of_all() -> dict[str, set[str]]:
    """Return module -> the modules of ours that it imports, also those that its functions do."""
    return {module: imports_of(path, deferred=True) for module, path in MODULES.items()}


def room_of(module: str) -> str:
    return module.partition(".")[0]


def test_no_modules_import_one_another_in_a_circle():
    at_once = {name: imports_of(path, deferred=False) - {name} for name, path in MODULES.items()}
    graphlib.TopologicalSorter(at_once).prepare()


def test_no_modules_import_one_another_when_called_either():
    """Settings stand in a file of their own, which a command and what it calls both import."""
    all_of_them = {name: imported - {name} for name, imported in imports_of_all().items()}
    graphlib.TopologicalSorter(all_of_them).prepare()


def test_no_packages_import_one_another_in_a_circle():
    rooms = {room_of(module): set() for module in MODULES}
    for module, imported in imports_of_all().items():
        rooms[room_of(module)] |= {room_of(name) for name in imported} - {room_of(module)}
    graphlib.TopologicalSorter(rooms).prepare()


@pytest.mark.parametrize(
    ("room", "others"),
    [
        ("engine", {"families", "pretraining", "finetuning", "commands"}),
        ("families", {"conversion", "generation", "pretraining", "finetuning"}),
        ("generation", {"api", "evaluation"}),
        ("data", {"models", "engine"}),
    ],
)
def test_a_room_does_not_know_what_stands_on_it(room, others):
    """As docs/architecture.md says; no circle alone would not keep these apart."""
    for module, imported in imports_of_all().items():
        if room_of(module) == room:
            assert not {room_of(name) for name in imported} & others, module


def rows_of_the_map() -> dict[str, int]:
    """Return room -> its row in docs/architecture.md, counted from the top; each has one."""
    page = (SOURCE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = page.partition("```text\n")[2].partition("```")[0]
    rows: dict[str, int] = {}
    for number, line in enumerate(drawn.splitlines()):
        for room in re.split(r" {3,}", line)[0].split():
            assert room not in rows, room
            rows[room] = number
    return rows


def test_the_map_of_the_house_shows_every_room():
    rooms = {path.stem for path in SOURCE.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert set(rows_of_the_map()) == {room for room in rooms if not room.startswith("_")}


def test_no_room_imports_from_a_row_above_its_own():
    """The command line finds a command by its name, which is no import."""
    rows = rows_of_the_map()
    upward = {
        (room_of(module), room_of(name))
        for module, imported in imports_of_all().items()
        for name in imported
        if rows.get(room_of(name), 0) < rows.get(room_of(module), -1)
    }
    assert upward == set()


def test_the_readme_names_every_package():
    page = (SOURCE.parents[1] / "README.md").read_text(encoding="utf-8")
    drawn = page.partition("src/unblank/\n")[2].partition("```")[0]
    packages = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()}
    assert packages <= set(re.findall(r"(\w+)/", drawn))


def test_files_are_small_and_say_what_they_are_for():
    """All in one test: hundreds of tests of a millisecond take seconds to begin and to end."""
    files = {str(path.relative_to(SOURCE)): path for path in FILES}
    lengths = {
        name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in files.items()
    }
    assert {name: length for name, length in lengths.items() if length > 600} == {}
    assert [name for name, path in files.items() if not ast.get_docstring(tree_of(path))] == []
    vague = ("utils", "helpers", "common", "misc")
    assert [name for name, path in files.items() if path.stem in vague] == []


def test_no_function_is_longer_than_a_hundred_lines():
    for path in FILES:
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < 100, f"{path.name}: {node.name}"


FAMILY_NAMES = {name for one in FAMILIES.values() for name in (one.name, one.model_type)}


@cache
def model_classes() -> frozenset[str]:
    """Return the names of all classes of models."""
    nodes = (node for path in (SOURCE / "models").rglob("*.py") for node in nodes_of(path))
    return frozenset(node.name for node in nodes if isinstance(node, ast.ClassDef))


def asks_for_a_family(node: ast.AST) -> bool:
    """Return whether code checks for a class of models, or compares the name of a family."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
        named = {getattr(part, "id", getattr(part, "attr", "")) for part in ast.walk(node.args[1])}
        return bool(named & model_classes())
    if isinstance(node, ast.Compare):
        if ast.unparse(node.comparators[0]).endswith(".applies"):  # a section, not a family
            return False
        values = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
        return bool(values & FAMILY_NAMES)
    return False


def test_what_differs_between_families_is_asked_of_the_family():
    found = []
    for path in FILES:
        if path.relative_to(SOURCE).parts[0] in ("families", "models"):
            continue
        for node in nodes_of(path):
            if asks_for_a_family(node):
                found.append(f"{path.relative_to(SOURCE)}:{node.lineno}: {ast.unparse(node)}")
    assert not found, found


@cache
def annotations() -> frozenset[tuple[str, str]]:
    """Return what is written at the parameters of all functions, with the file of each."""
    return frozenset(
        (str(path.relative_to(SOURCE)), ast.unparse(node.annotation))
        for path in FILES
        for node in nodes_of(path)
        if isinstance(node, ast.arg) and node.annotation is not None
    )


@cache
def takers(settings: str) -> frozenset[str]:
    """Return the files with a function that takes settings of a class."""
    word = re.compile(rf"\b{settings}\b")
    return frozenset(path for path, written in annotations() if word.search(written))


def test_the_settings_of_a_run_are_taken_apart_where_it_begins():
    """Below, a function gets the sections or the values that it uses."""
    whole = takers("PretrainSettings") | takers("FinetuneSettings")
    assert {path for path in whole if "/" not in path} == set()
    assert {path.split("/")[0] for path in whole} <= {"commands", "pretraining", "finetuning"}


@pytest.mark.parametrize("kind", [PretrainSettings, FinetuneSettings])
def test_no_section_of_settings_travels_far(kind):
    for name, section in get_type_hints(kind).items():
        if is_dataclass(section):
            assert len(takers(section.__name__)) <= 15, name
