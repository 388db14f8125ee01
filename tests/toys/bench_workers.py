"""Contestants without torch for the real worker process, and a worker inside this process."""

import time

from unblank.bench.race import Contestant
from unblank.bench.worker import peak_bytes, workload_builder


def sleeping(milliseconds: int):
    def step() -> float:
        print("what a library prints must not disturb the replies")
        time.sleep(milliseconds / 1000)
        return 10.0

    return step


def half_asleep(milliseconds: int):
    def step() -> float:
        time.sleep(milliseconds / 1000)
        started = time.process_time()
        while time.process_time() - started < milliseconds / 1000:
            pass
        return 1.0

    return step


def failing():
    def step() -> float:
        raise ArithmeticError("the toy broke")

    return step


class InProcessWorker:
    """Stands in for `race.Worker` where starting a process for each contestant takes too long."""

    def __init__(self, name: str, contestant: Contestant) -> None:
        self.imports_bytes = peak_bytes()
        self._work = workload_builder(contestant.workload)(**contestant.arguments)

    def step(self) -> dict[str, float]:
        started = time.perf_counter()
        units = self._work()
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "units": units, "peak_bytes": peak_bytes()}

    def __enter__(self):
        return self

    def __exit__(self, *exception: object) -> None: ...
