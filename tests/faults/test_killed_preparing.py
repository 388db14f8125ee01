"""Tables and files at URLs are prepared by two processes as by one, also after a kill."""

import csv
import http.server
import os
import signal
import threading
import time
from functools import partial
from pydoc_data.topics import topics

import pyarrow
import pytest
from forked import start_program
from launched import worlds_of
from pyarrow import parquet

from unblank.tokenization.train import train_tokenizer

PROGRAM = """
import os, sys, time
from unblank.cli import main
from unblank.data import shards

shards._SHARD_BYTES = 1  # each file is a shard
usual, seconds = shards.write_shard, float(sys.argv[1])

def write_shard(folder, documents, shard, *given):
    usual(folder, documents, shard, *given)
    print("SHARD", *shard.texts.paths, flush=True)
    time.sleep(seconds)

shards.write_shard = write_shard
main(sys.argv[2:])
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A tokenizer, and two files each of Parquet, CSV and, at a URL, JSON lines."""
    folder = tmp_path_factory.mktemp("corpus")
    texts = list(topics.values())[:60]
    train_tokenizer(texts, kind="bpe", vocab_size=300, show_progress=False).save_pretrained(
        folder / "tokenizer"
    )
    for number in (0, 1):
        part = texts[number::6], texts[number + 2 :: 6], texts[number + 4 :: 6]
        parquet.write_table(pyarrow.table({"text": part[0]}), folder / f"{number}.parquet")
        with (folder / f"{number}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["text"], *([text] for text in part[1])])
        (folder / f"{number}.txt").write_text("\n\n".join(part[2]))
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    urls = [f"http://127.0.0.1:{server.server_port}/{number}.txt" for number in (0, 1)]
    files = [str(path) for kind in ("parquet", "csv") for path in sorted(folder.glob(f"*.{kind}"))]
    yield folder / "tokenizer", [*files, *urls]
    server.shutdown()
    server.server_close()


@pytest.fixture
def start(corpus, tmp_path):
    """Return what starts to prepare the corpus in some processes, and their logs."""
    tokenizer, train = corpus

    def started(name, num_processes, seconds=0.0):
        words = ["prepare", "--model.preset", "tiny", "--tokenizer.path", str(tokenizer)]
        words += ["--data.cache-dir", str(tmp_path / name), "--data.train", *train]
        logs = [tmp_path / f"{name}.{rank}.{time.monotonic_ns()}" for rank in range(num_processes)]
        processes = [
            start_program(PROGRAM, [str(seconds), *words], log, world)
            for log, world in zip(logs, worlds_of(num_processes), strict=True)
        ]
        return processes, logs

    return started


def finish(processes, logs):
    """Return the shards that each process made."""
    for process in processes:
        process.join(timeout=200)
    printed = [log.read_text() for log in logs]
    assert [process.exitcode for process in processes] == [0] * len(processes), printed
    return [[line for line in one.splitlines() if line.startswith("SHARD")] for one in printed]


def shards_of(folder):
    """Return name -> content of the files of all shards."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.parent != folder]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(paths)}


def test_two_processes_make_what_one_does_and_find_it_after_a_kill(start, tmp_path):
    (alone,) = finish(*start("one", 1))
    shared = finish(*start("two", 2))
    assert all(shared)
    assert sorted(shared[0] + shared[1]) == sorted(alone)
    assert len(alone) == 6
    assert shards_of(tmp_path / "two") == shards_of(tmp_path / "one")

    processes, logs = start("killed", 2, seconds=0.5)
    while sum(log.read_text().count("SHARD") for log in logs) < 4:
        assert all(process.is_alive() for process in processes)
        time.sleep(0.01)
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    folder = tmp_path / "killed"
    finished = {path: path.stat().st_ino for path in folder.glob("[!.]*/tokens.bin")}
    assert finished
    left = finish(*start("killed", 2))
    assert len(left[0] + left[1]) == 6 - len(finished)
    assert {path: path.stat().st_ino for path in finished} == finished
    assert shards_of(folder) == shards_of(tmp_path / "one")
    assert not list(folder.glob(".*"))
