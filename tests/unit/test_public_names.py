"""Names: each stands for one thing, and a module lists as public what others may rely on."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

from source_trees import FILES, SOURCE, nodes_of, tree_of

REPOSITORY = SOURCE.parents[1]
PAGES = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]


def definitions(path: Path) -> dict[str, ast.stmt]:
    """Return what a file defines at its top under names without an underscore."""
    found: dict[str, ast.stmt] = {}
    for node in tree_of(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update((target.id, node) for target in targets if isinstance(target, ast.Name))
    return {name: node for name, node in found.items() if not name.startswith("_")}


def test_no_two_things_have_one_name():
    """Every command has a `parse` and a `run`, which are called by the name of its module."""
    places: dict[str, list[str]] = {}
    for path in FILES:
        of_every_command = {"parse", "run"} if path.parent.name == "commands" else set()
        for name in definitions(path).keys() - of_every_command:
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


def names_in_text(text: str) -> set[str]:
    """Return the dotted names in a text, and those that its code imports or looks up in modules.

    Files of tests are many, and read by patterns in a tenth of the time that a parser takes.
    """
    names = set(re.findall(r"\bunblank(?:\.\w+)+", text))
    modules: dict[str, str] = {}
    for module, imported in re.findall(r"from (unblank[\w.]*) import ([^\n(]+|\([^)]*\))", text):
        for name, alias in re.findall(r"(\w+)(?: as (\w+))?", imported):
            names.add(f"{module}.{name}")
            modules[alias or name] = f"{module}.{name}"
    looked_up = re.findall(rf"\b({'|'.join(modules)})\.(\w+)", text) if modules else ()
    return names | {f"{modules[module]}.{name}" for module, name in looked_up}


@cache
def names_on_pages() -> frozenset[str]:
    """Return the dotted names that users are told of."""
    texts = (page.read_text(encoding="utf-8") for page in PAGES)
    return frozenset().union(*map(names_in_text, texts))


@cache
def documented_modules() -> frozenset[str]:
    """Return the modules of which the reference shows everything that they list."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return frozenset(re.findall(r"^::: ([\w.]+)", text, re.M))


@cache
def num_users() -> Counter[str]:
    """Return in how many files of ours each dotted name is used."""
    return Counter(name for path in FILES for name in names_used_in(path))


def names_listed_in(path: Path) -> list[str]:
    """Return what a file lists in `__all__`."""
    for node in tree_of(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def unused_names(path: Path) -> set[str]:
    """Return what a file lists in `__all__` although nobody outside of it uses or documents it.

    A package's own file is a door for users, `api` is another; commands are found by their names.
    """
    module = module_of(path)
    is_command = path.parent.name == "commands"
    if path.name == "__init__.py" or is_command or module in ("unblank.api", *documented_modules()):
        return set()
    own = names_used_in(path)

    def is_used(name: str) -> bool:
        return name in names_on_pages() or num_users()[name] > (name in own)

    return {name for name in names_listed_in(path) if not is_used(f"{module}.{name}")}


def types_of(definition: ast.stmt) -> set[str]:
    """Return the names in the annotations and among the bases of a definition."""
    annotations: list[ast.AST | None] = []
    for node in ast.walk(definition):
        if isinstance(node, ast.arg | ast.AnnAssign):
            annotations.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            annotations.append(node.returns)
        elif isinstance(node, ast.ClassDef):
            annotations.extend(node.bases)
    if isinstance(definition, ast.Assign):  # perhaps an alias of types
        annotations.append(definition.value)
    nodes = [node for annotation in annotations if annotation for node in ast.walk(annotation)]
    quoted = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        word for text in quoted if isinstance(text, str) for word in re.findall(r"\w+", text)
    }


@cache
def names_known_to_tests() -> frozenset[str]:
    """Return the dotted names that tests and benchmarks use, who may look into single files."""
    folders = ("tests", "benchmarks")
    paths = [path for name in folders for path in (REPOSITORY / name).rglob("*.py")]
    texts = (path.read_text(encoding="utf-8") for path in paths)
    return frozenset().union(*map(names_in_text, texts))


def is_found_by_name(path: Path, name: str, definition: ast.stmt) -> bool:
    """Return whether a definition is looked up by its name, or stands for one of that name."""
    if name.endswith("Error"):  # callers may catch it
        return True
    if isinstance(definition, ast.ClassDef):
        return name in {base.attr for base in definition.bases if isinstance(base, ast.Attribute)}
    if isinstance(definition, ast.FunctionDef) and path.parent.name == "bench":
        return definition.returns is not None and ast.unparse(definition.returns) == "Workload"
    return path.parent.name == "commands" and name in ("parse", "run")


def needlessly_public_names(path: Path) -> set[str]:
    """Return the names without an underscore that are needed nowhere outside of a file.

    The types in the signature of a public name are public too.
    """
    module, defined, own = module_of(path), definitions(path), names_used_in(path)
    if path.name == "__init__.py" or module in documented_modules():
        return set()

    def is_used(name: str) -> bool:
        dotted = f"{module}.{name}"
        return (
            dotted in names_known_to_tests()
            or dotted in names_on_pages()
            or num_users()[dotted] > (dotted in own)
            or is_found_by_name(path, name, defined[name])
        )

    public = {name for name in defined if is_used(name)}
    waiting = list(public)
    while waiting:
        types = types_of(defined[waiting.pop()]) & defined.keys() - public
        public |= types
        waiting.extend(types)
    return defined.keys() - public


def test_what_is_used_in_one_file_alone_is_private_to_it():
    assert {
        module_of(path): names for path in FILES if (names := needlessly_public_names(path))
    } == {}


def test_what_other_files_use_is_listed_as_public():
    unlisted: dict[str, set[str]] = {}
    for path in FILES:
        module, own = module_of(path), names_used_in(path)
        if path.name == "__init__.py" or path.parent.name == "commands":
            continue
        dotted = {name: f"{module}.{name}" for name in definitions(path)}
        used = {name for name, full in dotted.items() if num_users()[full] > (full in own)}
        if missing := used - set(names_listed_in(path)):
            unlisted[module] = missing
    assert unlisted == {}


def test_public_is_what_others_use():
    assert {module_of(path): unused for path in FILES if (unused := unused_names(path))} == {}
