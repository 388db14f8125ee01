"""The machine that figures belong to, and how much of it others used meanwhile."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from unblank.bench.worker import cpu_seconds
from unblank.process import core_count

__all__ = ["OthersShare", "machine"]

_PACKAGES = ("unblank", "torch", "transformers", "tokenizers", "numpy")


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, memory, versions, time."""
    return {
        "processor": _processor(),
        "cores": core_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


class OthersShare:
    """Watches, from its making on, how busy other processes keep the processors (Linux)."""

    def __init__(self) -> None:
        self._start = _busy_and_total_ticks()
        self._own_start = cpu_seconds()

    def measure(self) -> float | None:
        """Return their share of all processor time since the making; None if it is not known."""
        now = _busy_and_total_ticks()
        if self._start is None or now is None:
            return None
        busy, total = now[0] - self._start[0], now[1] - self._start[1]
        own = (cpu_seconds() - self._own_start) * os.sysconf("SC_CLK_TCK")
        return max(0.0, (busy - own) / max(total, 1))


def _busy_and_total_ticks() -> tuple[int, int] | None:
    statistics = Path("/proc/stat")
    if not statistics.is_file():
        return None
    first_line = statistics.read_text(encoding="ascii").partition("\n")[0]
    user, nice, system, idle, wait, *interrupts = map(int, first_line.split()[1:9])
    busy = user + nice + system + sum(interrupts)
    return busy, busy + idle + wait


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
