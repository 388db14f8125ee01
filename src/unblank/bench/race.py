"""Contestants timed in turns: A B C A B C ..., one at a time, each in its own process.

On a shared machine absolute figures move by tens of percent within minutes, but two steps taken one
after the other meet the same machine. So a ratio is taken within each turn, and the median over the
turns is reported.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any, Self

__all__ = ["Contestant", "Log", "Result", "paired_ratio", "race"]

Log = Callable[[str], None]
"""Receives a line about what is being measured."""

_STDERR_TAIL = 2000
_PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """What a worker process is to do."""

    workload: str
    """`module:function` that builds the work, see `worker`."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Arguments of that function."""
    is_arranged: bool = False
    """Arrange the process's memory as `unblank pretrain` does; the others use the defaults."""
    num_threads: int | None = None
    """Threads of the process, None for the machine's default; one thread is timed in CPU
    seconds."""


@dataclass(slots=True)
class Result:
    """What was measured of one contestant.

    Attributes:
        seconds: of each timed step, see `worker`.
        units: of work in each of these steps.
        peak_bytes: largest resident size of the process.
        imports_bytes: the same when its libraries were loaded and nothing was built.
    """

    seconds: list[float] = field(default_factory=list)
    units: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    imports_bytes: int = 0

    @property
    def rates(self) -> list[float]:
        """Units of work a second, of each step."""
        return [units / seconds for units, seconds in zip(self.units, self.seconds, strict=True)]

    @property
    def rate(self) -> float:
        """Median of `rates`."""
        return statistics.median(self.rates)

    @property
    def step_seconds(self) -> float:
        """Median of `seconds`."""
        return statistics.median(self.seconds)


class Worker:
    """A contestant's process; leaving the context ends it.

    Raises:
        RuntimeError: if the process ends before it is told to; with the end of what it printed.
    """

    def __init__(self, name: str, contestant: Contestant) -> None:
        self._name = name
        environment = dict(os.environ)
        if contestant.num_threads is not None:
            environment["OMP_NUM_THREADS"] = str(contestant.num_threads)
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (lives as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "unblank.bench.worker", json.dumps(asdict(contestant))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )
        self.imports_bytes: int = self._read()["imports_bytes"]

    def step(self) -> dict[str, Any]:
        """Do one step; return its `seconds`, `units` and the `peak_bytes` so far."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("step\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None
        return self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._process.communicate(timeout=_PATIENCE_SECONDS)  # closes its input: it ends
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._errors.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._failure()
        message: dict[str, Any] = json.loads(line)
        return message

    def _failure(self) -> RuntimeError:
        status = self._process.wait()
        self._errors.seek(0)
        tail = self._errors.read()[-_STDERR_TAIL:]
        hint = "killed, perhaps for lack of memory: try a smaller --size" if status == -9 else tail
        return RuntimeError(
            f"the process that measures {self._name} ended with status {status}: {hint}"
        )


def race(
    contestants: Mapping[str, Contestant], repeats: int, log: Log, *, warmups: int = 2
) -> dict[str, Result]:
    """Return what was measured of each contestant, in turns.

    Args:
        contestants: by name; in every turn each takes one step, in this order.
        repeats: timed turns.
        log: called with what is being done.
        warmups: turns before these, not counted (the first step allocates the optimiser's state).

    Raises:
        RuntimeError: if a worker fails.
    """
    results = {name: Result() for name in contestants}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for name, contestant in contestants.items():
            log(f"building {name}")
            workers[name] = stack.enter_context(Worker(name, contestant))
            results[name].imports_bytes = workers[name].imports_bytes
        for turn in range(-warmups, repeats):
            for name, worker in workers.items():
                log(f"{name}, " + ("warming up" if turn < 0 else f"turn {turn + 1} of {repeats}"))
                measured = worker.step()
                results[name].peak_bytes = measured["peak_bytes"]
                if turn >= 0:
                    results[name].seconds.append(measured["seconds"])
                    results[name].units.append(measured["units"])
    return results


def paired_ratio(ours: Result, theirs: Result) -> float:
    """Return how many times faster we are: the median of the ratios of rates within each turn."""
    pairs = zip(ours.rates, theirs.rates, strict=True)
    return statistics.median(our_rate / their_rate for our_rate, their_rate in pairs)
