"""One contestant in a process of its own, commanded by lines over a pipe.

    python -m unblank.bench.worker '{"workload": "module:function", "arguments": {}, ...}'

The function builds the work and returns it as a callable without arguments, which does one step and
returns how many units of work that was. Every line read from standard input is one step; every
reply is one line of JSON. Its own process gives every contestant its own environment and peak
memory. Nothing heavy is imported before the memory is arranged. A step's seconds are those of the
clock on the wall, or with OMP_NUM_THREADS=1 those of the processor.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from unblank.process import LEFT_ALONE, arrange_memory

__all__ = ["Workload", "cpu_seconds"]

Workload = Callable[[], float]
"""Does one step of work and returns how many units it did."""


def cpu_seconds() -> float:
    """Return for how long this process and its ended children had a processor.

    With one thread this is what a step takes on a quiet machine, however busy this one is.
    """
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def workload_builder(path: str) -> Callable[..., Workload]:
    """Return the function that `path`, `module:function`, names."""
    module, _, name = path.partition(":")
    builder: Callable[..., Workload] = getattr(import_module(module), name)
    return builder


def peak_bytes() -> int:
    """Return the largest resident size that this process had so far."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent had when it started this process
        peaks = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(peaks[0].split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _answer_requests() -> None:
    """Build the contestant, then do one timed step for every line of standard input."""
    contestant = json.loads(sys.argv[1])
    replies = _take_stdout()
    memory = arrange_memory() if contestant["is_arranged"] else LEFT_ALONE
    build = workload_builder(contestant["workload"])
    imports_bytes = peak_bytes()
    work = build(**contestant["arguments"])
    memory.begin_steps()
    _reply(replies, {"imports_bytes": imports_bytes})
    clock = cpu_seconds if os.environ.get("OMP_NUM_THREADS") == "1" else time.perf_counter
    for _ in sys.stdin:
        started = clock()
        units = work()
        seconds = clock() - started
        _reply(replies, {"seconds": seconds, "units": units, "peak_bytes": peak_bytes()})


def _take_stdout() -> IO[str]:
    """Keep the pipe for replies: what libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return replies


def _reply(replies: IO[str], message: dict[str, Any]) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


if __name__ == "__main__":
    _answer_requests()
