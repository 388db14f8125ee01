"""Odd files, answered by three processes: what one process writes, says and ends with."""

import json
import re

import pytest
from labelled_toys import toys
from launched import run_program

__all__ = ["toys"]

PROGRAM = """
import json, os, sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
import torch
from unblank import cli

torch.set_num_threads(1)
cli._TURN = 0.0  # of the others, before they say what the main one says

model, task, folder, output = map(Path, sys.argv[1:5])
output.mkdir(exist_ok=True)
rank, ends = int(os.environ.get("RANK", "0")), {}

def command(name, *words):
    said, status = StringIO(), 0
    try:
        with redirect_stderr(said):
            cli.main([*map(str, words)])
    except SystemExit as end:
        status = end.code
    # How long it took, and a bar, which appears after half a second, are no answers.
    ends[name] = [status, [line.replace(str(output), "OUT") for line in said.getvalue().splitlines()
                           if "tokens/s" not in line and "━" not in line]]

for path in sorted(folder.iterdir()):
    kind, size = path.stem, ["--batch-size", 2]
    command(f"{kind} fill", "fill", model, "--input", path, "--text-field", "blanked",
            "--output", output / f"{kind}.filled.jsonl", "--max-tokens", 4, *size)
    command(f"{kind} score", "score", model, "--input", path, "--text-field", "blanked",
            "--output", output / f"{kind}.scored.csv", "--candidates", "fine", "very poor", *size)
    command(f"{kind} generate", "generate", model, "--input", path, "--source", "text",
            "--output", output / f"{kind}.written.jsonl", "--max-tokens", 4, *size)
    command(f"{kind} predict", "predict", model, path, output / f"{kind}.labels.tsv",
            "--task", task, *size)
    command(f"{kind} evaluate", "evaluate", model, "--suite", "perplexity", "--file", path,
            "--output", output / f"{kind}.measured.json")
    command(f"{kind} index", "index", path, "--output", output / f"{kind}.index")
if rank == 0:
    print("RESULT", json.dumps(ends))
"""


@pytest.fixture(scope="module")
def given_folder(tmp_path_factory):
    """Files of two records, of none, and of eight, one of which cannot be answered."""
    folder = tmp_path_factory.mktemp("given")
    records = [
        {
            "blanked": f"the film was [MASK] {'a ' * n}",
            "text": f"the film {'was ' * n}",
            "label": "good",
        }
        for n in range(1, 8)
    ]
    broken = [*records[:3], {"blanked": "no blank", "text": "", "label": "other"}, *records[3:]]
    for name, lines in {"two": records[:2], "empty": [], "broken": broken}.items():
        content = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(content)
    return folder


def files_of(folder):
    """Return name -> content of all files but pictures, without place, time and speed."""
    differing = rb'"(seconds|finished|checksum|output)": [^,\n}]*'
    return {
        str(path.relative_to(folder)): re.sub(differing, b"", path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".png"
    }


def test_three_processes_end_as_one_does(toys, given_folder, tmp_path):
    given = [str(path) for path in (toys["model"], toys["task"], given_folder)]
    one = run_program(PROGRAM, *given, str(tmp_path / "one"))
    three = run_program(PROGRAM, *given, str(tmp_path / "three"), num_processes=3)
    assert {name: end for name, end in three.items() if end != one[name]} == {}
    assert {status for status, _ in one.values()} == {0, 2}
    assert files_of(tmp_path / "three") == files_of(tmp_path / "one")
