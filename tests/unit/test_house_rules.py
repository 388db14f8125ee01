"""The shape of the code: imports go downward, files stay small, names say something."""

import ast
from pathlib import Path

import pytest

from unblank.families.table import FAMILIES

SOURCE = Path(__file__).resolve().parents[2] / "src" / "unblank"
FILES = sorted(SOURCE.rglob("*.py"))

# A layer may import itself and what stands before it.
LAYERS = {
    "compatibility": set(),
    "integrity": set(),
    "process": set(),
    "tokenization": {"data.sources", "data.progress"},
    "objectives": {"data.types", "tokenization"},
    "data": {"objectives", "process", "tokenization"},
    "models": {"data.types", "compatibility"},
    "conversion": {"data.sources", "integrity", "models", "tokenization"},
    "generation": {"integrity", "models", "tokenization", "data.sources", "data.types"},
    "generation.command": {"api", "data.sources", "generation"},
    "generation.generate_command": {"api", "data.sources", "evaluation.text_scores", "generation"},
    "generation.generate_input": {"data.fields", "data.records", "generation"},
    "generation.generate_settings": {"evaluation.text_scores", "generation"},
    "adapters": {
        "conversion.writer", "generation", "integrity", "models", "prompting.soft",
        "prompting.soft_deep", "tokenization",
    },
    "api": {"adapters", "generation", "models", "tokenization"},
    "evaluation": {
        "adapters.record", "api", "data", "generation", "integrity", "models", "objectives",
        "prompting", "tokenization",
    },
    "training": {
        "api", "compatibility", "conversion", "data", "generation", "integrity", "models",
        "objectives", "process", "tokenization",
    },
    "prompting": {
        "data", "evaluation.metrics", "generation", "integrity", "models", "objectives",
        "tokenization",
    },
    "finetuning": {
        "adapters", "api", "compatibility", "conversion", "data", "evaluation", "generation",
        "integrity", "models", "objectives", "process", "prompting", "tokenization", "training",
    },
    "trimming": {
        "conversion.provenance", "conversion.writer", "data.shards", "data.sources", "data.types",
        "generation.loading", "integrity", "models", "tokenization",
    },
    "comparing": {
        "evaluation", "finetuning", "integrity", "process", "tokenization", "training",
    },
    "demo": {"api", "data", "generation", "objectives", "process", "tokenization", "training"},
    "bench": {
        "api", "conversion", "data", "generation", "models", "objectives", "process",
        "tokenization", "training",
    },
    "cli": {"process"},
}  # fmt: skip


def imports_of(path: Path) -> set[str]:
    """Return the modules of ours that a file imports, without the leading `unblank.`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.removeprefix("unblank.") for name in names if name.startswith("unblank.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_downward_only(path):
    module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    layer = module if module in LAYERS else module.partition(".")[0]
    if layer not in LAYERS:
        assert layer in ("__init__", "__main__"), f"{layer} has no place among the layers"
        return
    allowed = LAYERS[layer] | {layer}
    for name in imports_of(path):
        assert any(name == part or name.startswith(f"{part}.") for part in allowed), (
            f"{layer} must not import unblank.{name}"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_are_small_and_say_what_they_are_for(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 600
    assert ast.get_docstring(ast.parse(text))
    assert path.stem not in ("utils", "helpers", "common", "misc")


def test_no_function_is_longer_than_a_hundred_lines():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < 100, f"{path.name}: {node.name}"


MODELS = SOURCE / "models"
MODEL_CLASSES = {
    node.name
    for path in MODELS.rglob("*.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.ClassDef)
}
FAMILY_NAMES = {name for one in FAMILIES.values() for name in (one.name, one.model_type)}


def asks_for_a_family(node: ast.AST) -> bool:
    """Return whether code checks for a class of models, or compares the name of a family."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
        named = {getattr(part, "id", getattr(part, "attr", "")) for part in ast.walk(node.args[1])}
        return bool(named & MODEL_CLASSES)
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
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if asks_for_a_family(node):
                found.append(f"{path.relative_to(SOURCE)}:{node.lineno}: {ast.unparse(node)}")
    assert not found, found
