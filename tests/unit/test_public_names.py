"""Names: each stands for one thing, and a module lists as public what others may rely on."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

from source_trees import FILES, SOURCE, nodes_of, tree_of

REPOSITORY = SOURCE.parents[1]
PAGES = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]


def definitions(path: Path) -> set[str]:
    """Return the names without an underscore that a file defines at its top."""
    names: set[str] = set()
    for node in tree_of(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return {name for name in names if not name.startswith("_")}


def test_no_two_things_have_one_name():
    """Every command has a `parse` and a `run`, which are called by the name of its module."""
    places: dict[str, list[str]] = {}
    for path in FILES:
        of_every_command = {"parse", "run"} if path.parent.name == "commands" else set()
        for name in definitions(path) - of_every_command:
            places.setdefault(name, []).append(str(path.relative_to(SOURCE)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def module_of(path: Path) -> str:
    """Return the dotted name of a file of ours."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def names_used_in(path: Path) -> frozenset[str]:
    """Return the dotted names that a file imports, or looks up as `module.name` or in a string."""
    names: set[str] = set()
    modules: dict[str, str] = {}
    nodes = nodes_of(path)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names.add(f"{node.module}.{alias.name}")
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value.replace(":", "."))
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.add(f"{modules.get(node.value.id)}.{node.attr}")
    return frozenset(names)


@cache
def names_on_pages() -> frozenset[str]:
    """Return the dotted names that users are told of."""
    names: set[str] = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        names.update(re.findall(r"\bunblank(?:\.\w+)+", text))
        for module, imported in re.findall(
            r"from (unblank[\w.]*) import ([^\n(]+|\([^)]*\))", text
        ):
            names.update(f"{module}.{name}" for name in re.findall(r"\w+", imported))
    return frozenset(names)


@cache
def documented_modules() -> frozenset[str]:
    """Return the modules of which the reference shows everything that they list."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return frozenset(re.findall(r"^::: ([\w.]+)", text, re.M))


@cache
def num_users() -> Counter[str]:
    """Return in how many files of ours each dotted name is used."""
    return Counter(name for path in FILES for name in names_used_in(path))


def unused_names(path: Path) -> set[str]:
    """Return what a file lists in `__all__` although nobody outside of it uses or documents it.

    A package's own file is a door for users, `api` is another; commands are found by their names.
    """
    module = module_of(path)
    is_command = path.parent.name == "commands"
    if path.name == "__init__.py" or is_command or module in ("unblank.api", *documented_modules()):
        return set()
    listed: list[str] = []
    for node in tree_of(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed = ast.literal_eval(node.value)
    own = names_used_in(path)

    def is_used(name: str) -> bool:
        return name in names_on_pages() or num_users()[name] > (name in own)

    return {name for name in listed if not is_used(f"{module}.{name}")}


def test_public_is_what_others_use():
    assert {module_of(path): unused for path in FILES if (unused := unused_names(path))} == {}
