"""A process of one of two hosts, or a host, is killed while it trains or saves; the run goes on.

A host is a torchrun of its own with one process; they meet on this machine, where the administrator
may each in a network of its own. A torchrun that is killed itself does not come back into its run:
the c10d rendezvous of torch 2.13 then waits for it. So a scheduler ends the other, too, and starts
both again by the same commands.
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
from dataclasses import dataclass
from pydoc_data.topics import topics

import pytest
from counts import hard_count

from unblank.engine.checkpoint import list_checkpoints
from unblank.integrity import CHECKPOINTS_NAME, MANIFEST_NAME, find_damage
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


@dataclass(frozen=True)
class Host:
    """Where a host runs: what stands before its command, its address, its interface."""

    prefix: tuple[str, ...]
    address: str
    interface: str


HERE = [Host((), "127.0.0.1", "lo")] * 2


@pytest.fixture
def networks():
    """Two hosts that see each other over a cable alone."""
    name = f"unblank{os.getpid()}"
    hosts = [
        Host(("ip", "netns", "exec", f"{name}-{n}"), f"10.77.0.{n + 1}", "cable") for n in (0, 1)
    ]
    done = []

    def do(*words):
        done.append(subprocess.run(words, capture_output=True, check=False).returncode)

    for number in (0, 1):
        do("ip", "netns", "add", f"{name}-{number}")
    first, second = ("netns", f"{name}-0"), ("netns", f"{name}-1")
    do("ip", "link", "add", "cable", *first, "type", "veth", "peer", "name", "cable", *second)
    for number, host in enumerate(hosts):
        inside = ("ip", "-n", f"{name}-{number}")
        do(*inside, "addr", "add", f"{host.address}/24", "dev", "cable")
        do(*inside, "link", "set", "cable", "up")
        do(*inside, "link", "set", "lo", "up")
    try:
        if any(done):
            pytest.skip("only the administrator can make networks")
        yield hosts
    finally:
        for number in (0, 1):
            do("ip", "netns", "del", f"{name}-{number}")


def start_host(number, port, words, output, hosts):
    """Start one of two hosts."""
    own = hosts[number]
    command = [
        *own.prefix,
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"),
        *("--max-restarts=99", "--rdzv-backend=c10d", "--rdzv-id=test"),
        f"--rdzv-endpoint={hosts[0].address}:{port}",
        f"--rdzv-conf=is_host={1 - number},timeout=120",
        *(f"--local-addr={own.address}", "-m", "unblank", "pretrain", *words),
        *("--train.output-dir", str(output)),
    ]
    log = output.with_name(f"{output.name}.{number}.printed").open("a")
    return subprocess.Popen(
        command,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": own.interface},
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


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_until(is_so):
    deadline = time.monotonic() + 240
    while not is_so():
        assert time.monotonic() < deadline, "the run is stuck"
        time.sleep(0.001)


def wait_for_steps(output):
    """Wait until the run has done some steps more."""
    begun = len(lines_of(output))
    wait_until(lambda: len(lines_of(output)) >= min(begun + 3, STEPS - 5))


def unfinished(output, file=""):
    """Return the checkpoints that are being written, or were when a process was killed."""
    return {*(output / CHECKPOINTS_NAME).glob(f".step-*.unfinished-*/{file}")}


def wait_for_save(output, file=""):
    """Wait until the run, some steps later, is writing a checkpoint, and a file of it is there."""
    wait_for_steps(output)
    before = unfinished(output, file)
    wait_until(lambda: unfinished(output, file) - before)


MOMENTS = {
    "training": (wait_for_steps, 0.5),
    "saving": (wait_for_save, 0.05),
    "completing": (lambda output: wait_for_save(output, MANIFEST_NAME), 0.005),
}
"""What is waited for, and how many seconds more at most."""


def kill_in(moment, output, kill, host):
    """Kill at a moment, and return whether a checkpoint was being written."""
    wait, seconds = MOMENTS[moment]
    wait(output)
    before = unfinished(output)
    time.sleep(random.uniform(0, seconds))
    is_saving = bool(unfinished(output) & before)
    kill(host)
    return is_saving


def kill_host(host):
    if host.poll() is None:
        os.killpg(host.pid, signal.SIGKILL)
        host.wait(timeout=60)


def printed_by(output):
    return "".join(output.with_name(f"{output.name}.{n}.printed").read_text() for n in range(2))


def run_two_hosts(words, output, moment="", lose=0):
    """Run to the end; `lose` times, the process of one host is killed at a moment."""
    port = free_port()
    started = [start_host(number, port, words, output, HERE) for number in range(2)]
    try:
        saves = [
            kill_in(moment, output, kill_process_of, random.choice(started)) for _ in range(lose)
        ]
        statuses = [host.wait(timeout=400) for host in started]
    finally:
        for host in started:
            kill_host(host)
    assert statuses == [0, 0], printed_by(output)
    return sum(saves)


def run_again_and_again(words, output, moment, lose, hosts):
    """Run to the end; `lose` times, a host is killed, then the other, and both start again."""
    port, saves = free_port(), 0
    for number in range(lose + 1):
        started = [start_host(one, port, words, output, hosts) for one in range(2)]
        try:
            if number < lose:
                saves += kill_in(moment, output, kill_host, random.choice(started))
                time.sleep(random.uniform(0, 0.5))
            else:
                assert [host.wait(timeout=400) for host in started] == [0, 0], printed_by(output)
        finally:
            for host in started:
                kill_host(host)
        assert not any(map(find_damage, list_checkpoints(output / CHECKPOINTS_NAME)))
    return saves


def require_same(output, other):
    assert "damaged" not in printed_by(output)
    assert not unfinished(output)
    assert lines_of(output) == lines_of(other)
    weights = [(one / "model.safetensors").read_bytes() for one in (output, other)]
    assert weights[0] == weights[1]


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    """A run that nothing disturbs."""
    output = tmp_path_factory.mktemp("undisturbed") / "whole"
    run_two_hosts(settings, output)
    return output


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_goes_on_when_a_process_on_one_of_two_hosts_is_killed(
    moment, settings, whole, tmp_path, tally
):
    lose = hard_count(2, 10)
    saves = run_two_hosts(settings, tmp_path / "lost", moment, lose)
    require_same(tmp_path / "lost", whole)
    tally(f"a process killed while {moment}", tried=lose, while_a_checkpoint_was_written=saves)
    # torchrun may end the other process, too, before that has seen who is gone.
    logs = printed_by(tmp_path / "lost")
    assert "gone: killed" in logs or "failed (exitcode: -9)" in logs


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_goes_on_when_hosts_of_two_networks_are_killed_and_started_again(
    moment, settings, whole, tmp_path, networks, tally
):
    lose = hard_count(2, 10)
    saves = run_again_and_again(settings, tmp_path / "lost", moment, lose, networks)
    require_same(tmp_path / "lost", whole)
    tally(f"a host killed while {moment}", tried=lose, while_a_checkpoint_was_written=saves)
