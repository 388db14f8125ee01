"""Ctrl-C and SIGTERM end commands of several steps at once, and the same command continues."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from comparison_toys import recipe as recipe
from pair_toys import write_pairs

from unblank.untrusted.opening import tokenizer_in

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
MOST_SECONDS = 4
"""Two on a machine with nothing else to do."""
TINY = [
    *("--model.num_hidden_layers", "1", "--model.hidden_size", "32"),
    *("--model.num_attention_heads", "2", "--train.precision", "fp32"),
]


def demo(folder: Path) -> list[str]:
    rng = random.Random(0)
    words = [
        "it",
        "rained",
        "all",
        "day",
        "and",
        "the",
        "old",
        "dog",
        "slept",
        "near",
        "a",
        "stove",
    ]
    paragraphs = (" ".join(rng.choices(words, k=12)) + "." for _ in range(300))  # no near copies
    (folder / "text.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")
    return ["demo", "--text", "text.txt", "--output", "out", "--steps", "30"]


def sweep(folder: Path) -> list[str]:
    write_pairs(folder / "pairs.jsonl", 60)
    return [
        *("finetune", "--task", "seq2seq", "--data.train", "pairs.jsonl"),
        *("--data.source", "en", "--data.target", "de", "--data.validation", "pairs.jsonl"),
        *("--model.preset", "tiny", *TINY, "--tokenizer.kind", "bpe"),
        *("--tokenizer.vocab_size", "400", "--seq2seq.max_source_length", "32"),
        *("--seq2seq.max_target_length", "32", "--train.batch_tokens", "256"),
        *("--train.max_steps", "30", "--train.seeds", "0", "1", "--train.output_dir", "out"),
    ]


def compared(folder: Path, recipe: dict) -> list[str]:
    recipe["pretrain"]["train"]["max_steps"] = 30
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return ["compare", "recipe.yaml"]


def begin(words: list[str], folder: Path) -> subprocess.Popen:
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "unblank", *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def ended_by(process: subprocess.Popen, number: int, folder: Path) -> str:
    """Send a signal, and return the last line that the process printed."""
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(60) == STATUS[number], (folder / "log").read_text()
    assert time.monotonic() - began < MOST_SECONDS
    log = (folder / "log").read_text()
    assert "Traceback" not in log
    (said,) = [line for line in log.splitlines() if "stopped by" in line]
    assert number.name in said
    return said


def steps_done(folder: Path) -> int:
    return sum(len(path.read_bytes().split(b"\n")) - 1 for path in folder.rglob("metrics.jsonl"))


def begun_at(place: Callable[[], bool], process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while not place():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)


EARLY = """
import os, signal, sys
from importlib.abc import MetaPathFinder
from unblank.__main__ import _start

class Early(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "unblank.cli":
            os.kill(os.getpid(), NUMBER)

signal.signal(NUMBER, BEFORE)
sys.meta_path.insert(0, Early())
sys.argv = ["unblank", "--version"]
_start()
"""


@pytest.mark.parametrize(
    ("before", "number", "status"),
    [
        ("signal.default_int_handler", signal.SIGINT, 130),
        ("signal.SIG_DFL", signal.SIGTERM, 143),
        ("signal.SIG_DFL", signal.SIGHUP, 129),
        ("signal.SIG_IGN", signal.SIGHUP, 0),  # nohup
    ],
)
def test_a_signal_ends_a_command_that_is_not_imported_yet(before, number, status):
    program = EARLY.replace("NUMBER", str(int(number))).replace("BEFORE", before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert done.stderr == (f"unblank: stopped by {number.name}\n" if status else "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="commands are watched on Linux only")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("kind", ["demo", "sweep", "compare"])
def test_a_command_of_several_steps_is_ended_anywhere_and_continued(
    kind, number, recipe, tmp_path, tally
):
    make = {"demo": demo, "sweep": sweep, "compare": lambda folder: compared(folder, recipe)}
    words = make[kind](tmp_path)
    ends = 0
    for seconds in (1.5, 3, 6, random.uniform(6, 10)):
        process = begin(words, tmp_path)
        time.sleep(seconds)
        if process.poll() is not None:
            break
        said = ended_by(process, number, tmp_path)
        is_begun = not said.startswith("unblank: ")  # else the command is not imported yet
        assert "run the same command again to continue" in said or not is_begun
        ends += 1
    assert begin(words, tmp_path).wait(900) == 0, (tmp_path / "log").read_text()
    assert not [path for path in tmp_path.rglob("*") if ".unfinished-" in path.name]
    tally(f"signals to {kind}", sent=ends, ended_in_time=ends, continued=1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="commands are watched on Linux only")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("kind", ["unigram", "bpe", "wordpiece"])
def test_the_training_of_a_tokenizer_is_ended_and_leaves_nothing(kind, number, tmp_path, tally):
    rng = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(200_000)]
    lines = (json.dumps({"text": " ".join(rng.choices(words, k=50))}) for _ in range(60_000))
    (tmp_path / "text.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = ["--train", "text.jsonl", "--vocab-size", "8000", "--kind", kind, "--output", "out"]
    for seconds in (1.5, 4, 7):
        process = begin(["tokenize", *options], tmp_path)
        time.sleep(seconds)
        assert process.poll() is None, (tmp_path / "log").read_text()
        ended_by(process, number, tmp_path)
        if (tmp_path / "out").exists():  # trained in time, and about to be described
            assert len(tokenizer_in(tmp_path / "out")) == 8000
            shutil.rmtree(tmp_path / "out")
        assert {path.name for path in tmp_path.iterdir()} == {"text.jsonl", "log"}
    tally("signals to tokenize", sent=3, ended_in_time=3)
