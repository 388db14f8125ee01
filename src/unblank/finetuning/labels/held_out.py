"""Which held-out examples are measured where not all are: of every file its share."""

from collections.abc import Sequence
from itertools import accumulate, groupby, pairwise

from unblank.prompting.examples import TaskExample

__all__ = ["held_out_shares", "measured_examples"]


def held_out_shares(sizes: Sequence[int], limit: int | None) -> list[int]:
    """Return how many of each part are measured: in proportion to its size.

    Args:
        sizes: of the parts, one or more.
        limit: how many of all, at most; None for all.

    Example:
        >>> held_out_shares([40, 20, 20], 4)
        [2, 1, 1]
    """
    ends = list(accumulate(sizes))
    total = min(ends[-1], limit or ends[-1])
    return [b - a for a, b in pairwise([0, *(end * total // ends[-1] for end in ends)])]


def measured_examples(
    examples: Sequence[TaskExample], limit: int | None
) -> tuple[TaskExample, ...]:
    """Return the first examples of each file, of every file its share.

    Args:
        examples: file after file, perhaps none.
        limit: how many of all, at most; None for all.
    """
    if not examples:
        return ()
    files = [list(of_file) for _, of_file in groupby(examples, key=_file_of)]
    shares = held_out_shares([len(of_file) for of_file in files], limit)
    pairs = zip(files, shares, strict=True)
    return tuple(example for of_file, share in pairs for example in of_file[:share])


def _file_of(example: TaskExample) -> str:
    """Return the file of an example, whose place is `FILE, line N`."""
    return example.place.rpartition(", ")[0]
