"""Minimal pairs from files: two sentences, of which one is acceptable and the other is not."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unblank.data.drawing import draw_from_files
from unblank.data.records import read_records
from unblank.evaluation.pair_readers import PAIR_READERS, text_in
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
        limit: most pairs of a paradigm, a fixed random choice, of every file its share; None for
            all.

    Raises:
        ValueError: no pair, a field that is missing or no text, or equal sentences in every pair;
            the message names file and line.
    """
    every = list(_all_pairs(part, files))
    paradigms: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, pair in enumerate(every):
        paradigms[pair.group, pair.paradigm].append(number)
    drawn = [
        number
        for numbers in paradigms.values()
        for number in draw_from_files(numbers, limit, lambda number: every[number].place)
    ]
    pairs = [every[number] for number in sorted(drawn)]
    names = ", ".join(map(str, files))
    if not pairs:
        raise ValueError(f"there is no pair in {names}")
    if all(pair.is_equal for pair in pairs):
        raise ValueError(
            f"{pairs[0].place}: both are the same sentence, {pairs[0].good!r}, and so in all "
            f"{counted(len(pairs), 'pair')} of {names}: give two different ones"
        )
    return pairs


def _all_pairs(part: PairSet, files: Sequence[Path]) -> Iterator[MinimalPair]:
    group_field = paradigm_field = ""
    records = (found for path in files for found in read_records(path))
    for number, (place, record) in enumerate(records):
        if not number:  # what the first record has, all must have
            group_field = next((name for name in part.groups if name in record), "")
            paradigm_field = part.paradigm if part.paradigm in record else group_field
        try:
            good, bad = PAIR_READERS[part.reader](record, part.good, part.bad)
            group = text_in(record, group_field) if group_field else ""
            paradigm = text_in(record, paradigm_field) if paradigm_field else ""
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
        yield MinimalPair(place, good, bad, group, paradigm)
