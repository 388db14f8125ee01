"""`evaluate` is killed outright, alone or in one of three processes, and started again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from labelled_toys import toys

__all__ = ["toys"]

PROGRAM = """
import os, signal, sys
from unblank.cli import main
from unblank.evaluation import batch_cache

batch_cache._SECONDS = -1.0  # each batch is written
usual, left = batch_cache.AnswerFile.append, [int(os.environ.get("KILLED_AFTER", "0"))]

def append(file, lines):
    usual(file, lines)
    left[0] -= 1
    if not left[0] and os.environ.get("RANK", "1") == "1":
        os.kill(os.getpid(), signal.SIGKILL)

batch_cache.AnswerFile.append = append
main(sys.argv[1:])
"""


@pytest.fixture
def evaluate(toys, tmp_path):
    """Return what measures a file in some processes, and is killed after some batches."""
    program, texts = tmp_path / "program.py", tmp_path / "texts.jsonl"
    program.write_text(PROGRAM)
    words = ["the", "film", "was", "fine", "we", "poor"]
    lines = [
        {"text": " ".join(words[(number * place) % 6] for place in range(1, number % 9 + 3))}
        for number in range(40)
    ]
    texts.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def evaluated(name: str, num_processes: int, killed_after: int = 0) -> int:
        launcher = ["-m", "torch.distributed.run", "--standalone"]
        launcher += [f"--nproc-per-node={num_processes}"]
        output = ["--output", str(tmp_path / name), "--max-tokens", "3", "--batch-size", "2"]
        done = subprocess.run(
            [sys.executable, *(launcher if num_processes > 1 else []), str(program), "evaluate",
             str(toys["model"]), "--suite", "infilling", "--file", str(texts), *output],
            env={**os.environ, "OMP_NUM_THREADS": "1", "KILLED_AFTER": str(killed_after)},
            capture_output=True, check=False, timeout=550,
        )  # fmt: skip
        return done.returncode

    return evaluated


def measured(path: Path) -> str:
    """Return a result as text, but for the time that it took."""
    content = json.loads(path.read_text())
    assert content["complete"]
    for score in content["scores"]:
        del score["seconds"]
    return json.dumps({name: content[name] for name in ("scores", "predictions")})


@pytest.mark.slow
@pytest.mark.parametrize("num_processes", [1, 3])
def test_an_evaluation_that_was_killed_goes_on(num_processes, evaluate, tmp_path):
    assert evaluate("whole.json", 1) == 0
    for batches in (2, 1):
        status = evaluate("killed.json", num_processes, killed_after=batches)
        assert status == (-signal.SIGKILL if num_processes == 1 else 1)
    kept = sorted(tmp_path.glob("killed.json.batches*"))
    assert len(kept) >= num_processes
    assert evaluate("killed.json", num_processes) == 0
    assert measured(tmp_path / "killed.json") == measured(tmp_path / "whole.json")
    assert not list(tmp_path.glob("killed.json.batches*"))
