"""A user's type checker sees our types: a script is checked against the package as installed.

The wheel is built and unpacked into an environment of its own, in which torch and transformers are
missing: their names are Any then, and the check takes seconds.
"""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

SCRIPT = """
from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

import unblank

assert_type(unblank.__version__, str)
model = unblank.load("runs/mine", device="cpu", dtype="fp32")
assert_type(model, unblank.Unblank)

assert_type(model.fill("The [MASK] sat.").text, str)
assert_type([result.text for result in model.fill(["a [MASK]"], num_beams=5)], list[str])
for event in model.fill_stream("The [MASK] sat."):
    print(event)

scores = model.score("The [MASK] sat.", ["cat", "dog"], normalization="mean")
assert_type(scores.best.text, str)
assert_type(scores.best.score, float)

assert_type(model.generate("A man sleeps.", num_beams=5).text, str)
assert_type(model.generate(["A man sleeps."])[0].log_probability, float)

unblank.convert("glm-2b", Path("runs/glm-2b"), tokenizer="vocabulary", dtype="bf16")

model.fill("The [MASK] sat.", num_beam=5)  # type: ignore[call-overload]
unblank.load(["runs/mine"])  # type: ignore[arg-type]
"""


@pytest.fixture(scope="module")
def installed_python(tmp_path_factory):
    """The interpreter of an environment that holds the package as its wheel has it."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        assert "unblank/py.typed" in archive.namelist()
        archive.extractall(packages)
    return folder / "venv" / "bin" / "python"


def test_a_users_script_is_checked_against_our_types(installed_python, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    checked = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "script.py",
            "--python-executable", str(installed_python), "--cache-dir", str(tmp_path / "cache"),
        ],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
