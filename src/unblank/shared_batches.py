"""The batches of a measurement shared out among processes that run the same program.

Within `sharing_batches` every process meets the same batches in the same order; each computes its
turns and all get all results, so that whatever follows is the same in each. Outside of it, and in
one process, nothing is shared. Results must be picklable. What a process has computed can be kept,
for the same program to go on with.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

__all__ = ["in_turns", "sharing_batches"]

_Batch = TypeVar("_Batch")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class _Processes:
    rank: int
    size: int
    gather: Callable[[Any], list[Any]]
    get: Callable[[Callable[[], Any]], Any]


_PROCESSES: ContextVar[_Processes | None] = ContextVar("processes", default=None)


@contextmanager
def sharing_batches(
    rank: int,
    size: int,
    gather: Callable[[Any], list[Any]],
    get: Callable[[Callable[[], Any]], Any] = lambda batch: batch(),
) -> Iterator[None]:
    """Share out the batches of the block.

    Args:
        rank: number of this process.
        size: number of processes.
        gather: value -> the values of all processes, in their order.
        get: what computes a batch -> what it gives; called for one batch of this process after
            another.
    """
    token = _PROCESSES.set(_Processes(rank, size, gather, get))
    try:
        yield
    finally:
        _PROCESSES.reset(token)


def in_turns(batches: Iterable[_Batch], compute: Callable[[_Batch], _Found]) -> Iterator[_Found]:
    """Yield what `compute` makes of each batch, in order.

    Neighbouring batches, which are of similar length, go to different processes.
    """
    processes = _PROCESSES.get()
    if processes is None:
        yield from map(compute, batches)
        return
    if processes.size == 1:
        for batch in batches:
            yield processes.get(partial(compute, batch))
        return
    listed = list(batches)
    turns = range(processes.rank, len(listed), processes.size)
    found: dict[int, _Found] = {}
    for part in processes.gather(
        {number: processes.get(partial(compute, listed[number])) for number in turns}
    ):
        found |= part
    yield from (found[number] for number in range(len(listed)))
