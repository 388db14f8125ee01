"""The scripts in examples/ run from end to end; here with two steps, and less text."""

import runpy
from pathlib import Path
from pydoc_data.topics import topics

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FEWER_STEPS = {"own_text": ["--steps", "2"], "own_labels": ["--steps", "2"], "old_checkpoint": []}


def test_every_example_is_run():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(FEWER_STEPS)


@pytest.mark.parametrize("name", FEWER_STEPS)
@pytest.mark.filterwarnings("ignore")  # of so little training
def test_an_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.setattr("pydoc_data.topics.topics", dict(sorted(topics.items())[:25]))
    script = str(EXAMPLES / f"{name}.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [script, *FEWER_STEPS[name]])
    runpy.run_path(script, run_name="__main__")
    assert list((tmp_path / "runs" / name).rglob("model.safetensors"))
