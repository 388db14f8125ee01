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


def core_count() -> int:
    """Return how many cores this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")  # on Linux
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def thread_count() -> int:
    """Return the threads that torch will have in this process, which need not be loaded."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() else core_count()


def process_count() -> int:
    """Return how many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def process_rank() -> int:
    """Return the number of this process among those of torchrun; 0 is the main one."""
    return int(os.environ.get("RANK") or 0)


def local_count() -> int:
    """Return how many processes torchrun has started on this machine; 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE") or 1)


def local_rank() -> int:
    """Return the number of this process among those of torchrun on this machine."""
    return int(os.environ.get("LOCAL_RANK") or 0)


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
