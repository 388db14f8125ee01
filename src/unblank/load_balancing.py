"""Work of known sizes divided among processes, so that all have alike much."""

import heapq
from collections.abc import Collection, Sequence

__all__ = ["padded_size", "share_out"]


def share_out(
    sizes: Sequence[int], num_processes: int, before: Sequence[int] = ()
) -> list[list[int]]:
    """Return for each process the numbers of its items, in order, so that all have alike much.

    The largest goes first, each to whom has the least.

    Args:
        sizes: of the items.
        num_processes: that share them.
        before: what each process already has, of items that were shared out earlier.

    Example:
        >>> share_out([5, 1, 3, 2], 2)
        [[0, 1], [2, 3]]
        >>> share_out([5, 1, 3, 2], 2, before=[9, 0])
        [[1], [0, 2, 3]]
    """
    shares: list[list[int]] = [[] for _ in range(num_processes)]
    loads = [(load, process) for process, load in enumerate(before or [0] * num_processes)]
    heapq.heapify(loads)
    for index in sorted(range(len(sizes)), key=lambda index: (-sizes[index], index)):
        load, process = heapq.heappop(loads)
        shares[process].append(index)
        heapq.heappush(loads, (load + sizes[index], process))
    return [sorted(share) for share in shares]


def padded_size(lengths: Collection[int]) -> int:
    """Return the positions of a batch, which is as wide as the longest of it.

    Example:
        >>> padded_size([5, 9, 1])
        27
    """
    return len(lengths) * max(lengths, default=0)
