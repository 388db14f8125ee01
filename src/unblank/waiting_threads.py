"""How torch's threads wait for one another: chosen by a command, before torch is loaded.

OpenMP's threads (libgomp, on Linux) spin while they wait. On a machine with other work a spinning
thread keeps the core that the awaited one needs: two threads were over six times slower than one
(docs/log.md). There they are better asleep, which costs some time where cores are free.
"""

import os
import sys

__all__ = ["choose_waiting", "describe_waiting"]

_POLICY, _SPINS = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"


def choose_waiting() -> None:
    """Let threads sleep while they wait, if other work has the cores; torch is loaded later.

    What the user has set stays, and so does a process that has loaded torch.
    """
    if sys.platform != "linux" or "torch" in sys.modules:
        return
    if _POLICY in os.environ or _SPINS in os.environ:
        return
    cores = len(os.sched_getaffinity(0))
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if must_sleep(int(threads) if threads.isdecimal() else cores, os.getloadavg()[0], cores):
        os.environ[_POLICY] = "passive"


def describe_waiting() -> str:
    """Return what the header says behind the number of threads; nothing if they spin."""
    policy = os.environ.get(_POLICY, "").lower()
    return f" (asleep while they wait, {_POLICY} is passive)" if policy == "passive" else ""


def must_sleep(threads: int, load: float, cores: int) -> bool:
    """Return whether threads would wait for cores that others have.

    Args:
        threads: of this process.
        load: processes that want a core, the mean of a minute.
        cores: that this process may use.
    """
    return threads > 1 and threads + load > cores + 0.5
