"""The batches of a measurement shared out among processes that run the same program.

Within `sharing_batches` every process meets the same batches in the same order; each computes its
share and all get all results, so that whatever follows is the same in each. A batch goes to whom
has had least so far, as measurements often have fewer batches than there are processes. Outside of
it, and in one process, nothing is shared. Results must be picklable. What a process has computed
can be kept, for the same program to go on with.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from unblank.load_balancing import share_out

__all__ = ["compute_batches", "sharing_batches"]

_Batch = TypeVar("_Batch")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class _Processes:
    rank: int
    size: int
    gather: Callable[[Any], list[Any]]
    get: Callable[[Callable[[], Any]], Any]
    loads: list[int] = field(default_factory=list)
    """What each process has had so far."""


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


def compute_batches(
    batches: Sequence[_Batch],
    compute: Callable[[_Batch], _Found],
    costs: Sequence[int],
) -> Iterator[_Found]:
    """Yield what `compute` makes of each batch, in order.

    Args:
        batches: the same in every process.
        compute: a batch -> what it gives.
        costs: how much each batch takes, by which shares are balanced.
    """
    processes = _PROCESSES.get()
    if processes is None:
        yield from map(compute, batches)
        return
    if processes.size == 1:
        for batch in batches:
            yield processes.get(partial(compute, batch))
        return
    own = _share(processes, costs)
    found: dict[int, _Found] = {}
    for part in processes.gather(
        {number: processes.get(partial(compute, batches[number])) for number in own}
    ):
        found |= part
    yield from (found[number] for number in range(len(batches)))


def _share(processes: _Processes, costs: Sequence[int]) -> list[int]:
    """Return the numbers of the batches that this process computes."""
    shares = share_out(costs, processes.size, processes.loads)
    loads = processes.loads or [0] * processes.size
    processes.loads[:] = [
        load + sum(costs[number] for number in share)
        for load, share in zip(loads, shares, strict=True)
    ]
    return shares[processes.rank]
