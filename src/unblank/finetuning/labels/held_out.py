"""Which held-out examples are measured where not all are: of every file its share."""

from collections.abc import Sequence
from itertools import groupby

from unblank.data.drawing import shares_by_size
from unblank.prompting.examples import TaskExample

__all__ = ["measured_examples"]


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
    shares = shares_by_size([len(of_file) for of_file in files], limit)
    pairs = zip(files, shares, strict=True)
    return tuple(example for of_file, share in pairs for example in of_file[:share])


def _file_of(example: TaskExample) -> str:
    """Return the file of an example, whose place is `FILE, line N`."""
    return example.place.rpartition(", ")[0]
