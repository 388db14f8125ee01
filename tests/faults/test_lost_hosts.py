"""A process on one of two hosts is killed at a random instant; the run goes on without a person.

A host is a torchrun of its own with one process; they meet on this machine. A torchrun that is
killed itself does not come back into its run: the c10d rendezvous of torch 2.13 then waits for it.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pydoc_data.topics import topics

import pytest
from counts import hard_count

from unblank.tokenization.train import train_tokenizer

STEPS = 30


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    texts = [text.replace("\n\n", "\n") for text in list(topics.values())[:8]]
    (folder / "train.txt").write_text("\n\n".join(texts), encoding="utf-8")
    tokenizer = train_tokenizer(texts, kind="wordpiece", vocab_size=300, show_progress=False)
    tokenizer.save_pretrained(folder / "tokenizer")
    settings = {
        "model.preset": "tiny",
        "model.num_hidden_layers": 2,
        "model.hidden_size": 32,
        "model.num_attention_heads": 2,
        "tokenizer.path": folder / "tokenizer",
        "data.train": folder / "train.txt",
        "data.cache_dir": folder / "shards",
        "data.text_unit": "paragraph",
        "data.max_length": 64,
        "train.max_steps": STEPS,
        "train.batch_size": 4,
        "train.micro_batch_size": 2,
        "train.save_every": 2,
        "train.log_every": 1,
        "train.precision": "fp32",
        "train.parallel": "fsdp",
    }
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def start_host(number, port, words, output):
    """Start one of two hosts."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"),
        *("--max-restarts=9", "--rdzv-backend=c10d", "--rdzv-id=test"),
        f"--rdzv-endpoint=127.0.0.1:{port}",
        f"--rdzv-conf=is_host={1 - number},timeout=120",
        *("--local-addr=127.0.0.1", "-m", "unblank", "pretrain", *words),
        *("--train.output-dir", str(output)),
    ]
    log = output.with_name(f"{output.name}.{number}.printed").open("a")
    return subprocess.Popen(
        command,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def kill_process_of(host):
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(host.pid)], capture_output=True, text=True, check=False
    )
    for pid in listed.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def lines_of(output):
    path = output / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [{key: one[key] for key in ("step", "loss", "tokens")} for one in found]


def run_two_hosts(words, output, lose=0):
    """Run to the end; `lose` times, the process of one host is killed at a random instant."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    hosts = [start_host(number, port, words, output) for number in range(2)]
    try:
        for _ in range(lose):
            begun = len(lines_of(output))
            deadline = time.monotonic() + 240
            while len(lines_of(output)) < min(begun + 3, STEPS - 5):
                assert time.monotonic() < deadline, "the run is stuck"
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.5))
            kill_process_of(random.choice(hosts))
        statuses = [host.wait(timeout=400) for host in hosts]
    finally:
        for host in hosts:
            if host.poll() is None:
                os.killpg(host.pid, signal.SIGKILL)
    logs = "".join(output.with_name(f"{output.name}.{n}.printed").read_text() for n in range(2))
    assert statuses == [0, 0], logs
    return logs


@pytest.mark.slow
def test_a_run_goes_on_when_a_process_on_one_of_two_hosts_is_killed(settings, tmp_path):
    run_two_hosts(settings, tmp_path / "whole")
    logs = run_two_hosts(settings, tmp_path / "lost", lose=hard_count(2, 10))
    assert lines_of(tmp_path / "lost") == lines_of(tmp_path / "whole")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("lost", "whole")]
    assert weights[0] == weights[1]
    # torchrun may end the other process, too, before that has seen who is gone.
    assert "gone: killed" in logs or "failed (exitcode: -9)" in logs
