"""Examples side by side in rows of fixed length, without padding waste.

Pure functions on numpy arrays. The examples of a row carry different segment ids, and the mask rule
(`visible_keys`, the plain statement of what the models compute) keeps them apart. What rows the
stream consists of is in `loader`.

Shapes: `R` positions of a row, `T` of an example.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unblank.examples import IGNORE_INDEX, Example, IntArray

__all__ = ["Row", "lay_out", "pack", "pack_window", "visible_keys"]


@dataclass(frozen=True, slots=True)
class Row:
    """Packed examples, then padding.

    Attributes:
        input_ids: int64[R].
        position_ids: int64[2, R], starting again at each example.
        labels: int64[R], `IGNORE_INDEX` where nothing is scored.
        segment_ids: int64[R], 1, 2, ... for the examples, 0 for padding.
        is_prefix: bool[R], True on Part A.
        sample_numbers: the sample number of each example.
        objectives: the objective of each example.
        num_used: positions that are not padding.
    """

    input_ids: IntArray
    position_ids: IntArray
    labels: IntArray
    segment_ids: IntArray
    is_prefix: NDArray[np.bool_]
    sample_numbers: tuple[int, ...]
    objectives: tuple[str, ...]
    num_used: int

    @property
    def num_positions(self) -> int:
        """Positions of the row, padding included."""
        return len(self.input_ids)


def pack(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Divide items into rows: longest first, each into the row that it leaves the least room in.

    Args:
        lengths: positions of each item.
        row_length: positions of a row.

    Returns:
        The indices of the items of each row, ascending; every item is in exactly one row.

    Raises:
        ValueError: if an item is empty or longer than a row.

    Example:
        >>> pack([3, 5, 2, 4], row_length=7)
        [[1, 2], [0, 3]]
    """
    rows: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (free positions, row), ascending
    for item in sorted(range(len(lengths)), key=lambda item: (-lengths[item], item)):
        length = lengths[item]
        if not 0 < length <= row_length:
            raise ValueError(
                f"an example of {length} positions does not fit into rows of {row_length}: "
                "row_length must be at least max_length"
            )
        place = bisect_left(rooms, (length, 0))
        if place == len(rooms):
            room, row = row_length, len(rows)
            rows.append([])
        else:
            room, row = rooms.pop(place)
        rows[row].append(item)
        insort(rooms, (room - length, row))
    return [sorted(row) for row in rows]


def lay_out(
    sample_numbers: Sequence[int], examples: Sequence[Example], *, row_length: int, pad_id: int
) -> Row:
    """Return the row that holds `examples` one after another, padded with `pad_id`."""
    input_ids = np.full(row_length, pad_id, dtype=np.int64)
    position_ids = np.zeros((2, row_length), dtype=np.int64)
    labels = np.full(row_length, IGNORE_INDEX, dtype=np.int64)
    segment_ids = np.zeros(row_length, dtype=np.int64)
    is_prefix = np.zeros(row_length, dtype=np.bool_)
    start = 0
    for segment, example in enumerate(examples, start=1):
        stop = start + len(example)
        input_ids[start:stop] = example.input_ids
        position_ids[:, start:stop] = example.position_ids
        labels[start:stop] = example.labels
        segment_ids[start:stop] = segment
        is_prefix[start : start + example.prefix_length] = True
        start = stop
    return Row(
        input_ids,
        position_ids,
        labels,
        segment_ids,
        is_prefix,
        tuple(sample_numbers),
        tuple(example.objective for example in examples),
        start,
    )


def pack_window(
    sample_numbers: Sequence[int],
    examples: Sequence[Example],
    *,
    row_length: int,
    pad_id: int,
    rng: np.random.Generator,
) -> list[Row]:
    """Return the examples packed into rows, the rows in an order drawn from `rng`.

    Raises:
        ValueError: if an example is longer than a row.
    """
    # Packing puts the longest examples into the first rows, so the rows are shuffled.
    packed = pack([len(example) for example in examples], row_length)
    return [
        lay_out(
            [sample_numbers[item] for item in packed[row]],
            [examples[item] for item in packed[row]],
            row_length=row_length,
            pad_id=pad_id,
        )
        for row in rng.permutation(len(packed))
    ]


def visible_keys(
    segment_ids: IntArray, is_prefix: NDArray[np.bool_], branch_ends: IntArray | None = None
) -> NDArray[np.bool_]:
    """Return bool[T, T], whether query position q (row) sees key position k (column).

    Both must be in the same segment, and the key in the prefix or in the query's own past:
    `is_prefix[k] or k <= q < branch_ends[k]`.

    Args:
        segment_ids: int64[T].
        is_prefix: bool[T].
        branch_ends: int64[T], one past the last query that sees key k, where Part B holds several
            branches; default: the end of the row.
    """
    place = np.arange(len(segment_ids))
    ends = np.full_like(place, len(place)) if branch_ends is None else branch_ends
    in_past = (place[None, :] <= place[:, None]) & (place[:, None] < ends[None, :])
    same_segment = segment_ids[:, None] == segment_ids[None, :]
    visible: NDArray[np.bool_] = same_segment & (is_prefix[None, :] | in_past)
    return visible
