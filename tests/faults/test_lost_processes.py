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
from unblank.engine.heartbeats import LostProcess
from unblank.engine.parallel import join_world

try:
    with join_world("cpu", lost_after=float(sys.argv[1])) as world:
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
    """Three processes at work; how long they wait for a sign of life, their logs, and the first's
    last line."""
    logs = [tmp_path / str(rank) for rank in range(3)]
    processes = [
        start_program(PROGRAM, [str(request.param)], log, world)
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
        (300, signal.SIGKILL, 1),
        (300, signal.SIGKILL, 0),
        pytest.param(3, signal.SIGSTOP, 2, marks=pytest.mark.slow),
    ],
    ids=["killed", "the main one killed", "silent"],
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
