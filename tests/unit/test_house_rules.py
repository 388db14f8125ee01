"""The shape of the code: imports go downward, files stay small, names say something."""

import ast
from pathlib import Path

import pytest

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
