"""A part of some examples where not all are measured: of every file its share, always the same."""

import random
from collections.abc import Callable, Sequence
from itertools import accumulate, groupby, pairwise
from typing import TypeVar

__all__ = ["draw_from_files", "drawn_places", "shares_by_size"]

Drawn = TypeVar("Drawn")

_SEED = 0
"""The same in every run, so that runs can be compared."""


def shares_by_size(sizes: Sequence[int], limit: int | None) -> list[int]:
    """Return how many of each part are taken: in proportion to its size.

    Args:
        sizes: of the parts, one or more.
        limit: how many of all, at most; None for all.

    Example:
        >>> shares_by_size([40, 20, 20], 4)
        [2, 1, 1]
    """
    ends = list(accumulate(sizes))
    total = min(ends[-1], limit or ends[-1])
    return [b - a for a, b in pairwise([0, *(end * total // ends[-1] for end in ends)])]


def draw_from_files(
    items: Sequence[Drawn], limit: int | None, place_of: Callable[[Drawn], str]
) -> list[Drawn]:
    """Return a fixed random choice of the items, of each file its share, in their order.

    Args:
        items: file after file, perhaps none.
        limit: how many of all, at most; None for all.
        place_of: item -> `FILE, line N`.

    Example:
        >>> places = [f"a.txt, line {n}" for n in range(8)] + ["b.txt, line 1", "b.txt, line 2"]
        >>> [place[:5] for place in draw_from_files(places, 5, str)]
        ['a.txt', 'a.txt', 'a.txt', 'a.txt', 'b.txt']
    """
    if limit is None or limit >= len(items):
        return list(items)
    files = [
        list(of_file)
        for _, of_file in groupby(items, key=lambda item: place_of(item).rpartition(", ")[0])
    ]
    places = drawn_places([len(of_file) for of_file in files], limit)
    pairs = zip(files, places, strict=True)
    return [of_file[place] for of_file, drawn in pairs for place in drawn]


def drawn_places(sizes: Sequence[int], limit: int | None) -> list[list[int]]:
    """Return which items of each part a fixed random choice takes, in their order.

    Args:
        sizes: of the parts, one or more.
        limit: how many of all, at most; None for all.

    Example:
        >>> drawn_places([2, 2], None)
        [[0, 1], [0, 1]]
    """
    rng = random.Random(_SEED)
    shares = zip(sizes, shares_by_size(sizes, limit), strict=True)
    return [sorted(rng.sample(range(size), share)) for size, share in shares]
