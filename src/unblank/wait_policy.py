"""How torch's threads wait for one another: a command chooses it before torch is loaded.

OpenMP's threads (libgomp, on Linux) spin while they wait. On a machine with other work a spinning
thread keeps the core that the awaited one needs: two threads were over six times slower than one
(docs/log.md). There they are better asleep, which costs some time where cores are free.
"""

import os
import sys
import time
from pathlib import Path

from unblank.process import core_count, thread_count

__all__ = ["choose_wait_policy", "describe_wait_policy"]

_POLICY, _SPINS = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"

_NUM_LOOKS = 6
_SECONDS_BETWEEN_LOOKS = 0.01


def choose_wait_policy() -> None:
    """Let threads sleep while they wait, if other work has the cores; torch is loaded later.

    What the user has set stays, and so does a process that has loaded torch.
    """
    if sys.platform != "linux" or "torch" in sys.modules:
        return
    if _POLICY in os.environ or _SPINS in os.environ:
        return
    threads, cores = thread_count(), core_count()
    # The mean of a minute still holds what has ended by now: an installation before a first run.
    if all(must_sleep(threads, load(), cores) for load in (_load_of_the_minute, _load_now)):
        os.environ[_POLICY] = "passive"


def describe_wait_policy() -> str:
    """Return what the header says behind the number of threads; nothing if they spin."""
    policy = os.environ.get(_POLICY, "").lower()
    return f" (asleep while they wait, {_POLICY} is passive)" if policy == "passive" else ""


def must_sleep(threads: int, load: float, cores: int) -> bool:
    """Return whether threads would wait for cores that others have.

    Args:
        threads: of this process.
        load: other threads that want a core.
        cores: that this process may use.
    """
    return threads > 1 and threads + load > cores + 0.5


def _load_of_the_minute() -> float:
    return os.getloadavg()[0]


def _load_now() -> float:
    """Return how many threads but this one run or wait for a core, the mean of a few looks."""
    looks = []
    for _ in range(_NUM_LOOKS):
        running = Path("/proc/loadavg").read_text().split()[3].partition("/")[0]  # of "running/all"
        looks.append(int(running) - 1)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return sum(looks) / len(looks)
