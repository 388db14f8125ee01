"""UTF-8, byte by byte, up to the class of the character: a table for any division into classes.

Shapes: `N` nodes, `P` code points.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEAD", "Utf8Table", "utf8_table"]

DEAD = -1
"""Where no UTF-8 leads."""


@dataclass(frozen=True, slots=True)
class Utf8Table:
    """Where bytes lead inside a character.

    Attributes:
        step: int32[N, 256]: the next node, `DEAD`, or N + the class of the character that ends.
            Node 0 is between two characters; the bytes that the others have seen lead, whatever
            follows, to the same classes.
    """

    step: NDArray[np.int32]

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.step)


def utf8_table(class_P: NDArray[np.int32]) -> Utf8Table:
    """Return the table of classes.

    Args:
        class_P: int32[P], the class of each code point.
    """
    # Classes are -2 and below until the number of nodes is known.
    class_P = -2 - class_P
    class_P[0xD800:0xE000] = DEAD  # surrogates have no UTF-8
    nodes: list[NDArray[np.int32]] = [np.zeros(0, dtype=np.int32)]
    last = _merged(class_P.reshape(-1, 64), nodes)
    middle = last.reshape(-1, 64).copy()
    three = middle[:16].copy()
    three[0, :32] = DEAD  # what has a shorter form
    of_three = _merged(three, nodes)
    fourth = np.full((5, 64), DEAD, dtype=np.int32)
    fourth.reshape(-1)[16 : len(middle)] = _merged(middle[16:], nodes)
    of_four = _merged(fourth, nodes)
    root = np.full(256, DEAD, dtype=np.int32)
    root[:128] = class_P[:128]
    root[0xC2:0xE0] = last[2:32]
    root[0xE0:0xF0] = of_three
    root[0xF0:0xF5] = of_four
    step = np.full((len(nodes), 256), DEAD, dtype=np.int32)
    step[0] = root
    for number, row in enumerate(nodes[1:], start=1):
        step[number, 0x80:0xC0] = row
    return Utf8Table(np.where(step < DEAD, len(nodes) - 2 - step, step).astype(np.int32))


def _merged(rows: NDArray[np.int32], nodes: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Return the number of each row's node; equal rows are one, and a row of `DEAD` is none."""
    numbers = {np.full(64, DEAD, dtype=np.int32).tobytes(): DEAD}
    rows = np.ascontiguousarray(rows, dtype=np.int32)
    # Most rows are as the one before: only the first of each run is looked up.
    is_first = np.ones(len(rows), dtype=np.bool_)
    is_first[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    of_runs: list[int] = []
    for row in rows[is_first]:
        key = row.tobytes()
        if key not in numbers:
            numbers[key] = len(nodes)
            nodes.append(row)
        of_runs.append(numbers[key])
    numbers_of_runs: NDArray[np.int32] = np.array(of_runs, dtype=np.int32)
    return np.repeat(numbers_of_runs, np.diff(np.flatnonzero(is_first), append=len(rows)))
