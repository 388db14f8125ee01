"""The split of labelled examples: which are learned from, and which measure what was learned.

By a hash of the record: the same text falls on the same side wherever it stands, and all blanks of
a text stay together. The hash is another one than that of held-out training data, which would put
all of those on one side.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Parts", "parts_of"]

_LEAST = 30
"""Fewest answers to learn from, and fewest to measure."""

_NUM_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Parts:
    """Numbers of answers.

    Attributes:
        fitted: of those that are learned from.
        measured: of the others.
        folds: for each of the fitted, a part of them that is held out in choosing between curves.
    """

    fitted: list[int]
    measured: list[int]
    folds: list[int]


def parts_of(keys: Sequence[str], share: float) -> Parts:
    """Return which answers are learned from and which are measured.

    Args:
        keys: text of the record of each answer.
        share: of the records that are measured, in (0, 1).

    Raises:
        ValueError: too few answers.
    """
    places = [_place(key, "part") for key in keys]
    fitted = [number for number, place in enumerate(places) if place >= share]
    measured = [number for number, place in enumerate(places) if place < share]
    if min(len(fitted), len(measured)) < _LEAST:
        wanted = round(_LEAST / min(share, 1 - share) * 1.5)
        raise ValueError(
            f"{len(keys)} known answers are too few: {len(fitted)} would be learned from and "
            f"{len(measured)} measured, at least {_LEAST} each are needed: give about {wanted} or "
            "more, or another --measured"
        )
    folds = [int(_NUM_FOLDS * _place(keys[number], "fold")) for number in fitted]
    if len(set(folds)) < 2:
        raise ValueError(
            "nearly all records are the same text, so nothing can be learned from some and tried "
            "on others: give different ones"
        )
    return Parts(fitted, measured, folds)


def _place(key: str, purpose: str) -> float:
    """Return where a text falls, from 0 to 1."""
    text = f"calibration, {purpose}\n{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest()) / 2**48
