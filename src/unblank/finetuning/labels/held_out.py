"""Which held-out examples are measured where not all are: of every file its share, drawn once."""

import random
from collections.abc import Sequence
from itertools import groupby

from unblank.data.drawing import shares_by_size
from unblank.prompting.examples import TaskExample

__all__ = ["measured_examples"]

_SEED = 0
"""The same in every run, so that runs can be compared."""


def measured_examples(
    examples: Sequence[TaskExample], limit: int | None
) -> tuple[TaskExample, ...]:
    """Return a fixed random choice of the examples, of every file its share, in their order.

    Questions that are judged together stay together.

    Args:
        examples: file after file, perhaps none.
        limit: how many of all, at most; None for all.
    """
    if limit is None or limit >= len(examples):
        return tuple(examples)
    files = [list(of_file) for _, of_file in groupby(examples, key=_file_of)]
    shares = shares_by_size([len(of_file) for of_file in files], limit)
    rng = random.Random(_SEED)
    pairs = zip(files, shares, strict=True)
    return tuple(example for of_file, share in pairs for example in _drawn(of_file, share, rng))


def _drawn(examples: Sequence[TaskExample], share: int, rng: random.Random) -> list[TaskExample]:
    groups = [
        [number for number, _ in group]
        for _, group in groupby(enumerate(examples), key=lambda pair: pair[1].group or pair[0])
    ]
    rng.shuffle(groups)
    taken: list[int] = []
    for group in groups:
        if share and (not taken or len(taken) + len(group) <= share):
            taken += group
    return [examples[number] for number in sorted(taken)]


def _file_of(example: TaskExample) -> str:
    """Return the file of an example, whose place is `FILE, line N`."""
    return example.place.rpartition(", ")[0]
