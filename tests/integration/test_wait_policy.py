"""Threads sleep where other work has the cores, unless the user has said something else."""

import subprocess
import sys

import pytest

from unblank.wait_policy import must_sleep

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only libgomp is told")

CODE = """
import os
os.getloadavg = lambda: ({load}, 0.0, 0.0)
os.sched_getaffinity = lambda pid: {{0, 1}}
from pathlib import Path
Path.read_text = lambda path: "0.1 0.1 0.1 {running}/90 1234"
from unblank.wait_policy import choose_wait_policy, describe_wait_policy
choose_wait_policy()
print(os.environ.get("OMP_WAIT_POLICY"), describe_wait_policy(), sep="")
"""


def chosen(load, running=4, **environment):
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(load=load, running=running)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), **environment},
        check=True,
    )
    return done.stdout.strip()


@linux_only
def test_threads_sleep_on_a_busy_machine_and_the_header_says_so():
    assert chosen(load=3.0).startswith("passive (asleep while they wait")
    assert chosen(load=0.1) == "None"
    assert chosen(load=3.0, OMP_NUM_THREADS="1") == "None"
    assert chosen(load=3.0, OMP_WAIT_POLICY="active") == "active"
    assert chosen(load=3.0, GOMP_SPINCOUNT="5") == "None"


@linux_only
def test_what_has_ended_by_now_is_no_load():
    assert chosen(load=3.0, running=1) == "None"
    assert chosen(load=0.1, running=4) == "None"


def test_a_single_thread_waits_for_none_and_free_cores_are_spun_on():
    assert not must_sleep(threads=1, load=9.0, cores=2)
    assert not must_sleep(threads=2, load=0.4, cores=2)
    assert must_sleep(threads=2, load=1.0, cores=2)
    assert not must_sleep(threads=4, load=3.0, cores=8)
