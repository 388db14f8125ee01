"""A process that is gone is named by one of the others, which end at once."""

import os
import signal
import time

import pytest
from forked import start_program
from launched import worlds_of

PROGRAM = """
import os, sys, time
from unblank.cli import _fail
from unblank.engine import replicas
from unblank.engine.heartbeats import LostProcess
from unblank.engine.parallel import join_world

seconds, kind = float(sys.argv[1]), sys.argv[2]
replicas._LOST_AFTER = seconds
try:
    joined = join_world("cpu", seconds) if kind == "a run" else replicas.join_replicas()
    with joined as world:
        while True:
            world.sum([1.0])
            if world.is_main:
                print("PIDS", *world.gather(os.getpid()), flush=True)
            else:
                world.gather(os.getpid())
            time.sleep(0.01)
except LostProcess as error:
    _fail(str(error))
"""


@pytest.fixture
def three(tmp_path, request):
    """Three processes at work and their logs; how long they wait for one another, at what."""
    logs = [tmp_path / str(rank) for rank in range(3)]
    processes = [
        start_program(PROGRAM, [*map(str, request.param)], log, world)
        for log, world in zip(logs, worlds_of(3), strict=True)
    ]
    try:
        deadline = time.monotonic() + 60
        while "PIDS" not in logs[0].read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield processes, logs
    finally:
        for process in processes:
            process.kill()


@pytest.mark.parametrize(
    ("three", "number", "lost"),
    [
        ((300, "a run"), signal.SIGKILL, 1),
        ((300, "a run"), signal.SIGKILL, 0),
        ((300, "a file"), signal.SIGKILL, 2),
        pytest.param((3, "a run"), signal.SIGSTOP, 2, marks=pytest.mark.slow),
        pytest.param((3, "a file"), signal.SIGSTOP, 1, marks=pytest.mark.slow),
    ],
    ids=["killed", "the main one killed", "killed at a file", "silent", "silent at a file"],
    indirect=["three"],
)
def test_a_lost_process_is_named_once(three, number, lost):
    processes, logs = three
    os.kill(processes[lost].pid, number)
    left = [process for process in processes if process is not processes[lost]]
    for process in left:
        process.join(timeout=30)
    said = "".join(log.read_text() for log in logs)
    assert [process.exitcode for process in left] == [2, 2], said
    assert said.count("gone") == 1, said
    assert f"process {lost} (" in said
