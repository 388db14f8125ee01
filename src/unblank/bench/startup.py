"""The time from the command `pretrain` to its first step, on a text that was prepared before."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from unblank.bench.sizes import SIZES, Size
from unblank.bench.worker import Workload

__all__ = ["imports_alone", "pretrain_start"]

_IMPORTS = "import torch; from transformers import PreTrainedModel, PreTrainedTokenizerFast"
_PATIENCE_SECONDS = 600
_POLL_SECONDS = 0.01


def pretrain_start(size: str) -> Workload:
    """Prepare a text by one run, and return the start of another one; unit: starts."""
    folder = tempfile.TemporaryDirectory(prefix="unblank-bench-")
    root = Path(folder.name)
    text = root / "text.txt"
    text.write_text(_synthetic_text(documents=400, words=1000), encoding="utf-8")
    command = _command(SIZES[size], text, root / "shards")
    first = root / "first"
    subprocess.run(
        [*command, "--train.output-dir", str(first), "--train.max-steps", "1"],
        check=True,
        stdout=sys.stderr,
    )
    starts = 0

    def step() -> float:
        nonlocal starts
        starts += 1
        output = Path(folder.name) / f"run{starts}"
        tokenizer = ["--tokenizer.path", str(first)]
        with subprocess.Popen(
            [*command, *tokenizer, "--train.output-dir", str(output)], stdout=sys.stderr
        ) as process:
            _await_line(output / "metrics.jsonl", process)
            _end(process)
        return 1

    return step


def imports_alone() -> Workload:
    """Return the start of a Python that only loads torch and transformers; unit: starts."""

    def step() -> float:
        subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
        return 1

    return step


def _command(size: Size, text: Path, shards: Path) -> list[str]:
    options = {
        "model.preset": "small",
        "model.num_hidden_layers": size.layers,
        "model.hidden_size": size.width,
        "model.num_attention_heads": size.heads,
        "tokenizer.vocab_size": size.vocabulary,
        "data.train": text,
        "data.cache_dir": shards,
        "data.max_length": size.row_length,
        "train.batch_size": size.batch,
        "train.micro_batch_size": size.batch,
        "train.log_every": 1,
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "unblank", "pretrain", *flags]


def _await_line(path: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (path.is_file() and path.stat().st_size):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"unblank pretrain wrote nothing to {path.name}")
        time.sleep(_POLL_SECONDS)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a command; if it watches another process, that one, whose time then counts with its."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    watched = children.read_text().split() if children.is_file() else []
    for pid in watched:
        os.kill(int(pid), signal.SIGKILL)
    if not watched:
        process.kill()


def _synthetic_text(documents: int, words: int) -> str:
    """Return documents of random words (frequencies fall as in language), a blank line between."""
    draw = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["".join(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    return "\n\n".join(
        " ".join(draw.choices(vocabulary, weights, k=words)) + "." for _ in range(documents)
    )
