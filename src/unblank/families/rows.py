"""How the examples of a family share a row of the stream: packed, or grouped by length.

A *row* is a packed row, several of which are one forward pass, or a group of examples of similar
length, which is a forward pass by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from unblank.data.length_groups import group_by_length, window_size
from unblank.data.packing import pack

__all__ = ["GROUPED", "PACKED", "RowKind"]

Sides = Sequence[tuple[int, int]]
"""(source length, target length) of each example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowKind:
    """What a row of the stream is.

    Attributes:
        name: in the plural, for people.
        is_forward_pass: whether a row is a forward pass by itself. The size of a micro-batch then
            decides which examples share a row, and with it what is computed.
        measure: sides of examples, positions of a row -> rows, and their positions, padding
            included.
    """

    name: Literal["packed rows", "groups of similar length"]
    is_forward_pass: bool
    measure: Callable[[Sides, int], tuple[int, int]]

    def rows_per_pass(self, micro_batch_size: int) -> int:
        """Return the rows of a forward pass."""
        return 1 if self.is_forward_pass else micro_batch_size

    def group_size(self, micro_batch_size: int) -> int:
        """Return how many rows of a batch, as settings count them, one process must take."""
        return micro_batch_size if self.is_forward_pass else 1

    def row_length(self, length: int, micro_batch_size: int) -> int:
        """Return the positions of a row, where `micro_batch_size * length` are one forward pass."""
        return length * micro_batch_size if self.is_forward_pass else length

    def window_size(self, mean_text_length: float, row_length: int) -> int | None:
        """Return how many samples are divided into rows together; None packs as they come."""
        return window_size(mean_text_length, row_length) if self.is_forward_pass else None


def _measure_packed(sides: Sides, row_length: int) -> tuple[int, int]:
    num_rows = len(pack([sum(side) for side in sides], row_length))
    return num_rows, num_rows * row_length


def _measure_grouped(sides: Sides, row_length: int) -> tuple[int, int]:
    groups = group_by_length(sides, row_length)
    return len(groups), sum(_rectangle([sides[item] for item in group]) for group in groups)


def _rectangle(sides: Sides) -> int:
    """Return the positions of a group, padding included."""
    sources, targets = zip(*sides, strict=True)
    return len(sides) * int(max(sources) + max(targets))


PACKED = RowKind(name="packed rows", is_forward_pass=False, measure=_measure_packed)
GROUPED = RowKind(name="groups of similar length", is_forward_pass=True, measure=_measure_grouped)
