"""Minimal pairs from files: two sentences, of which one is acceptable and the other is not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from unblank.data.records import read_records
from unblank.evaluation.suites import PairSet
from unblank.plurals import counted

__all__ = ["MinimalPair", "read_pairs"]


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """Two sentences.

    Attributes:
        place: file and line.
        good: the acceptable one.
        bad: the other one.
        group: has a row in the table; empty if pairs have no groups.
        paradigm: pairs of one kind, all of which weigh as much as those of another.
    """

    place: str
    good: str
    bad: str
    group: str
    paradigm: str

    @property
    def is_equal(self) -> bool:
        """Whether both are the same words."""
        return self.good.split() == self.bad.split()


def read_pairs(part: PairSet, files: Sequence[Path], limit: int | None) -> list[MinimalPair]:
    """Return the pairs of some files, in order.

    Args:
        part: names the fields.
        files: of any kind that `unblank.data.records` reads.
        limit: most pairs of a paradigm; None for all.

    Raises:
        ValueError: no pair, a field that is missing or no text, or equal sentences in every pair;
            the message names file and line.
    """
    counts: dict[tuple[str, str], int] = {}
    pairs = []
    for pair in _all_pairs(part, files):
        key = pair.group, pair.paradigm
        counts[key] = counts.get(key, 0) + 1
        if limit is None or counts[key] <= limit:
            pairs.append(pair)
    names = ", ".join(map(str, files))
    if not pairs:
        raise ValueError(f"there is no pair in {names}")
    if all(pair.is_equal for pair in pairs):
        raise ValueError(
            f"{pairs[0].place}: {part.good} and {part.bad} are the same sentence, "
            f"{pairs[0].good!r}, and so in all {counted(len(pairs), 'pair')} of {names}: give two "
            "different ones"
        )
    return pairs


def _all_pairs(part: PairSet, files: Sequence[Path]) -> Iterator[MinimalPair]:
    group_field = paradigm_field = ""
    records = (found for path in files for found in read_records(path))
    for number, (place, record) in enumerate(records):
        if not number:  # what the first record has, all must have
            group_field = next((name for name in part.groups if name in record), "")
            paradigm_field = part.paradigm if part.paradigm in record else group_field
        good, bad = (_text(place, record, name) for name in (part.good, part.bad))
        group = _text(place, record, group_field) if group_field else ""
        paradigm = _text(place, record, paradigm_field) if paradigm_field else ""
        yield MinimalPair(place, good, bad, group, paradigm)


def _text(place: str, record: dict[str, Any], name: str) -> str:
    if name not in record:
        near = get_close_matches(name, record, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        present = ", ".join(map(repr, record)) or "none"
        raise ValueError(f"{place}: there is no field {name!r}, only {present}{hint}")
    value = record[name]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{place}: field {name!r} must be a text, got {value!r}")
    return value.strip()
