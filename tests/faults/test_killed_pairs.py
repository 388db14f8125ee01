"""Two processes that are killed together, at any instant, go on as if nothing had been.

`unblank prepare` of many small shards, and a sharded model whose checkpoints the clock asks for.
"""

import json
import os
import random
import signal
import time
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from counts import hard_count
from forked import start_program
from launched import worlds_of

from unblank.tokenization.train import train_tokenizer

pytestmark = pytest.mark.slow
PROGRAM = """
import unblank.data.shards as shards
from unblank.cli import main
shards._SHARD_BYTES = 2_000
main()
"""
"""Runs a command whose shards are so small that there are many."""
NUM_KILLS = hard_count(2, 30)
SMALL = [
    *("--model.preset", "tiny", "--model.num_hidden_layers", "1", "--model.hidden_size", "32"),
    *("--model.num_attention_heads", "2", "--model.hidden_dropout", "0.1"),
    *("--data.max_length", "32", "--data.text_unit", "paragraph", "--data.num_workers", "1"),
    *("--train.batch_size", "4", "--train.micro_batch_size", "2", "--train.log_every", "3"),
    *("--train.precision", "fp32", "--train.max_steps", "80", "--train.save_every", "1000"),
    *("--train.parallel", "fsdp"),
]
TIMED = ("tokens_per_second", "seconds")


class Pair:
    """A command in two processes, each the leader of its own group."""

    def __init__(self, words, folder):
        self.logs = [folder / f"log-{rank}" for rank in range(2)]
        self.processes = [
            start_program(PROGRAM, list(map(str, words)), log, world)
            for log, world in zip(self.logs, worlds_of(2), strict=True)
        ]

    def kill(self):
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes:
            process.join(timeout=60)

    def finish(self):
        for process in self.processes:
            process.join(timeout=400)
        said = "".join(log.read_text() for log in self.logs)
        assert [process.exitcode for process in self.processes] == [0, 0], said

    def is_at_work(self):
        return all(process.is_alive() for process in self.processes)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    texts = list(topics.values())
    (folder / "train").mkdir()
    for number, text in enumerate(texts):
        (folder / "train" / f"{number:03}.txt").write_text(text, encoding="utf-8")
    tokenizer = train_tokenizer(texts[:9], kind="wordpiece", vocab_size=400, show_progress=False)
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


def words_of(command, corpus, cache, output):
    where = ["--data.train", corpus / "train", "--tokenizer.path", corpus / "tokenizer"]
    where += ["--data.cache_dir", cache, "--train.output_dir", output]
    return [command, *SMALL, *where]


def contents(folder):
    """Return what every file holds, hidden ones included, but for the cache of hashes.

    Only files that were two seconds old when they were read are in that one.
    """
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "known_text.json"
    ]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def num_finished(cache):
    found = cache.glob("*/offsets.bin")
    return sum(not path.parent.name.startswith(".") for path in found)


def kill_at(pair, reached):
    """Kill both processes a moment after something is reached; return whether they still ran."""
    deadline = time.monotonic() + 300
    while not reached():
        if not pair.is_at_work():
            pair.finish()
            return False
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.05))
    pair.kill()
    return True


def test_a_corpus_that_two_killed_processes_prepare_is_that_of_undisturbed_ones(
    corpus, tmp_path, tally
):
    Pair(words_of("prepare", corpus, corpus / "whole", tmp_path / "run"), tmp_path).finish()
    expected, killed, trials = contents(corpus / "whole"), 0, 0
    total = num_finished(corpus / "whole")
    assert total > 30
    while killed < NUM_KILLS:
        cache, goes_on = tmp_path / f"shards-{trials}", True
        words, trials = words_of("prepare", corpus, cache, tmp_path / "run"), trials + 1
        while goes_on and killed < NUM_KILLS:
            wanted = num_finished(cache) + random.randint(0, total // 2)
            pair = Pair(words, tmp_path)
            goes_on = kill_at(pair, lambda: num_finished(cache) >= wanted)  # noqa: B023
            killed += goes_on
        Pair(words, tmp_path).finish()
        found = contents(cache)
        assert sorted(found) == sorted(expected)
        assert [name for name in found if found[name] != expected[name]] == []
    tally("kill -9 of two that prepare", kills=killed, corpora_of_equal_bytes=trials)


def lines_of(run: Path) -> list[dict]:
    path = run / "metrics.jsonl"
    text = path.read_text() if path.is_file() else ""
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [{k: v for k, v in line.items() if k not in TIMED} for line in lines]


def test_a_sharded_run_saved_by_the_clock_and_killed_goes_on_exactly(corpus, tmp_path, tally):
    def words(output):
        return words_of("pretrain", corpus, corpus / "shards", output)

    Pair(words(tmp_path / "whole"), tmp_path).finish()
    run, killed, step = tmp_path / "run", 0, 0
    by_clock = [*words(run), "--train.save_minutes", "0.002"]
    while killed < min(NUM_KILLS, 8):
        step += random.randint(3, 15)
        pair = Pair(by_clock, tmp_path)
        if not kill_at(pair, lambda: any(x["step"] >= step for x in lines_of(run))):  # noqa: B023
            break
        killed += 1
    assert list((run / "checkpoints").glob("step-*"))
    Pair(by_clock, tmp_path).finish()
    assert lines_of(run) == lines_of(tmp_path / "whole")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert weights[0] == weights[1]
    assert not [path for path in run.rglob("*") if ".unfinished-" in path.name]
    tally("kill -9 of a sharded pair", kills=killed, runs_of_equal_bits=1)
