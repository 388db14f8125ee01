"""The command's own process: its memory, arranged before torch is loaded, and its end.

PyTorch's CPU allocator hands big blocks back to the system after every step and faults them in
again: a third of a small model's step. Huge pages and a malloc that keeps its memory avoid that
(`docs/training.md` has the figures). oneDNN keeps a kernel for each of the last 1,024 shapes it
met, which batches of many lengths fill up; fewer do. Only commands arrange it, never `import
unblank`: a library does not change its host's environment. Numbers are not changed, only speed and
memory.
"""

import ctypes
import os
import signal
import sys
from dataclasses import dataclass

__all__ = [
    "LEFT_ALONE",
    "MemoryArrangement",
    "arrange_memory",
    "core_count",
    "end_with_the_parent",
    "is_main_process",
    "local_count",
    "local_rank",
    "meeting_point",
    "process_count",
    "process_rank",
    "thread_count",
]

# From malloc.h of glibc.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_LARGEST_INT = 2**31 - 1
_USUAL_MMAP_MAX = 65536
_USUAL_MMAP_THRESHOLD = 32 * 2**20
"""Where glibc stops raising the threshold by itself as large blocks are freed; setting any of these
parameters turns that rule off for good."""

_VARIABLES = {
    "THP_MEM_ALLOC_ENABLE": "1",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
}
"""Variables that torch and oneDNN read once, when they are loaded."""

_PR_SET_PDEATHSIG = 1  # from prctl.h of Linux
_START = (
    "start several processes with torchrun, which sets RANK, WORLD_SIZE, MASTER_ADDR and "
    "MASTER_PORT, or give each of them all four; for a single process, unset them"
)


def core_count() -> int:
    """Return how many cores this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")  # on Linux
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def thread_count() -> int:
    """Return the threads that torch will have in this process, which need not be loaded."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() else core_count()


def process_count() -> int:
    """Return how many processes torchrun has started; 1 without it.

    Raises:
        ValueError: WORLD_SIZE is no such number.
    """
    return _number("WORLD_SIZE", 1, least=1)


def process_rank() -> int:
    """Return the number of this process among those of torchrun; 0 is the main one.

    Raises:
        ValueError: RANK is no such number, or not below WORLD_SIZE, or only one of them is set.
    """
    count, rank = process_count(), _number("RANK", 0)
    if count > 1 and not os.environ.get("RANK"):
        raise ValueError(f"WORLD_SIZE is {count}, but RANK is not set: {_START}")
    if rank >= count:
        size = f"WORLD_SIZE is {count}" if os.environ.get("WORLD_SIZE") else "WORLD_SIZE is not set"
        raise ValueError(f"RANK is {rank}, but {size}: {_START}")
    return rank


def local_count() -> int:
    """Return how many processes torchrun has started on this machine; 1 without it.

    Raises:
        ValueError: LOCAL_WORLD_SIZE is no such number.
    """
    return _number("LOCAL_WORLD_SIZE", 1, least=1)


def local_rank() -> int:
    """Return the number of this process among those of torchrun on this machine.

    Raises:
        ValueError: LOCAL_RANK is no such number.
    """
    return _number("LOCAL_RANK", 0)


def meeting_point() -> tuple[str, int]:
    """Return address and port at which the processes of torchrun find each other.

    Raises:
        ValueError: MASTER_ADDR or MASTER_PORT is not set, or the latter is no port.
    """
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(name):
            raise ValueError(f"WORLD_SIZE is {process_count()}, but {name} is not set: {_START}")
    return os.environ["MASTER_ADDR"], _number("MASTER_PORT", 0, least=1, most=65535)


def _number(name: str, absent: int, *, least: int = 0, most: int | None = None) -> int:
    """Return the number in a variable of torchrun's."""
    text = os.environ.get(name) or str(absent)
    if text.isdecimal() and int(text) >= least and (most is None or int(text) <= most):
        return int(text)
    allowed = f"a number from {least} on" if most is None else f"a number from {least} to {most}"
    raise ValueError(f"{name} is {text!r}, which is not {allowed}: {_START}")


def is_main_process() -> bool:
    """Whether this process writes and talks: the first of torchrun, or the only one."""
    return (os.environ.get("RANK") or "0") == "0"


@dataclass(frozen=True, slots=True)
class MemoryArrangement:
    """What was arranged, and what is still to be done when the training steps begin."""

    description: str
    """A line for the header of a run."""
    keeps_freed_memory: bool = False
    """Whether `begin_steps` and `end_steps` have an effect."""

    def begin_steps(self) -> None:
        """From now on let malloc keep what is freed; what came before is given back first.

        To be called right before the first step: reading and tokenizing text takes far more
        memory than a step, and would be kept too.
        """
        if self.keeps_freed_memory:
            library = ctypes.CDLL(None)
            # First, or the memory of reading and tokenizing would be kept for good.
            library.malloc_trim(0)
            # All blocks from the heap, whose top is never trimmed: others are unmapped when freed.
            library.mallopt(_M_MMAP_MAX, 0)
            library.mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT)

    def end_steps(self) -> None:
        """Give back what the steps kept, and keep no more, as malloc usually does.

        For a process that does something else after its training: measuring a model, or reading
        the data of the next one, takes memory that would be kept on top of the steps' own.
        """
        if self.keeps_freed_memory:
            library = ctypes.CDLL(None)
            library.mallopt(_M_MMAP_MAX, _USUAL_MMAP_MAX)
            library.mallopt(_M_MMAP_THRESHOLD, _USUAL_MMAP_THRESHOLD)
            library.mallopt(_M_TRIM_THRESHOLD, 2 * _USUAL_MMAP_THRESHOLD)
            library.malloc_trim(0)


LEFT_ALONE = MemoryArrangement("left as the system has it")


def arrange_memory(enabled: bool = True) -> MemoryArrangement:
    """Arrange this process's memory for training, before torch is loaded."""
    if not enabled:
        return MemoryArrangement("left as the system has it (train.arrange_memory is off)")
    if sys.platform != "linux":
        return MemoryArrangement(
            f"left as the system has it (nothing to arrange on {sys.platform})"
        )
    done = []
    # Once torch is loaded it has read them.
    if "torch" not in sys.modules:
        for name, value in _VARIABLES.items():
            # What the user has set wins.
            os.environ.setdefault(name, value)
    if os.environ.get("THP_MEM_ALLOC_ENABLE") == "1":
        done.append("huge pages")
    keeps_freed_memory = _has_glibc_malloc()
    if keeps_freed_memory:
        done.append("freed memory is kept for the next step")
    if not done:
        return MemoryArrangement("left as the system has it (malloc is not glibc's)")
    switch = "--train.no-arrange-memory turns this off"
    return MemoryArrangement(f"{', '.join(done)} ({switch})", keeps_freed_memory)


def end_with_the_parent() -> None:
    """Let the system end this process when the one that started it is gone (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _has_glibc_malloc() -> bool:
    try:
        library = ctypes.CDLL(None)
    except OSError:  # another C library
        return False
    return hasattr(library, "mallopt") and hasattr(library, "malloc_trim")
