"""The memory of the command's own process, arranged before torch is loaded.

PyTorch's CPU allocator hands big blocks back to the system after every step and faults them in
again: a third of a small model's step. Huge pages and a malloc that keeps its memory avoid that
(`docs/training.md` has the figures). Only commands call this, never `import unblank`: a library
does not change its host's environment. Numbers are not changed, only their speed.
"""

import ctypes
import os
import sys

__all__ = ["arrange_memory"]

# From malloc.h of glibc.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_LARGEST_INT = 2**31 - 1


def arrange_memory(enabled: bool = True) -> str:
    """Arrange this process's memory for training, and return a line that says what was done.

    Args:
        enabled: False changes nothing.

    Returns:
        The line for a run's header.
    """
    if not enabled:
        return "as the system has it (train.arrange_memory is off)"
    if sys.platform != "linux":
        return f"as the system has it (nothing to arrange on {sys.platform})"
    done = []
    if "torch" not in sys.modules:  # torch reads the variable once, when it is loaded
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if os.environ.get("THP_MEM_ALLOC_ENABLE") == "1":
        done.append("huge pages")
    if _keep_freed_memory():
        done.append("freed memory is kept for the next step")
    switch = "--train.arrange_memory False leaves it alone"
    return f"{', '.join(done)} ({switch})" if done else "as the system has it (malloc is not glibc)"


def _keep_freed_memory() -> bool:
    """Tell glibc's malloc to use no separate mappings and to return nothing to the system."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT))
