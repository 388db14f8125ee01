"""Source texts with their target texts, read from files; nothing is tokenized here.

A source is a field, or a text with fields in braces; a list of sentences in it is joined by spaces.
A target is a field; a list in it holds several references of one source.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from unblank.data.fields import field_names, field_text, field_value, require_text
from unblank.data.files import FileSearch
from unblank.data.language_files import LANGUAGE_FIELD, language_of_record
from unblank.data.pairs import pair_texts
from unblank.data.records import read_records
from unblank.data.remote import split_entry
from unblank.plurals import counted

__all__ = ["TextPair", "read_text_pairs"]


@dataclass(frozen=True, slots=True)
class TextPair:
    """One source and what may be written for it."""

    place: str
    """File and line, for messages."""
    source: str
    """Text."""
    targets: tuple[str, ...]
    """The references, at least one."""


def read_text_pairs(
    entry: str,
    source: str,
    target: str,
    search: FileSearch | None = None,
    *,
    language: str = "",
) -> list[TextPair]:
    """Return the pairs of one entry of `data.train` or `data.validation`.

    Args:
        entry: FILE (also a pattern of files), FILE:SOURCE_FIELD:TARGET_FIELD, or
            SOURCE_FILE:TARGET_FILE, which are read line by line, with any ending.
        source: field of the source, or a text with fields in braces.
        target: field of the targets.
        search: of all entries that are read together; by default of this one.
        language: code of that of both sides, which no record may contradict; empty if there is
            none, or two.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: if a side is missing or empty, two files have different lengths, or a file is
            broken; the message names file and line.
    """
    own = search or FileSearch()
    parts = split_entry(entry)
    if len(parts) == 2 and not Path(entry).exists():
        pairs = list(_parallel_pairs(entry, own))
    else:
        if len(parts) == 3 and not Path(entry).exists():
            entry, source, target = parts
        pairs = [
            _pair(place, record, source, target, language)
            for path in own.files_of(entry, (source, target))
            for place, record in read_records(path, [*field_names(source), target])
        ]
    if search is None:
        own.tell()
    if not pairs:
        raise ValueError(f"{entry} has no pair of texts")
    return pairs


def _parallel_pairs(entry: str, search: FileSearch) -> Iterator[TextPair]:
    sides = pair_texts(entry)
    search.take(entry, [path for side in sides for path in side.paths], ())
    source, target = (side.shown_paths for side in sides)
    for number, (first, second) in enumerate(zip_longest(*(side.placed_texts() for side in sides))):
        if first is None or second is None:
            short, long = (source, target) if first is None else (target, source)
            raise ValueError(
                f"{short} ends after {counted(number, 'text')}, but {long} has more: text n of "
                "one must belong to text n of the other"
            )
        for place, text in (first, second):
            require_text(text, f"{place}: this side of the pair")
        yield TextPair(first[0], first[1].strip(), (second[1].strip(),))


def _pair(place: str, record: dict[str, Any], source: str, target: str, language: str) -> TextPair:
    if language:
        try:
            language_of_record(record.get(LANGUAGE_FIELD), language)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    text = field_text(place, record, source)
    require_text(text, f"{place}: the source ({source!r})")
    value = field_value(place, record, target)
    targets = value if isinstance(value, list) else [value]
    if not targets:
        raise ValueError(f"{place}: the target ({target!r}) is an empty list: remove the example")
    for reference in targets:
        require_text(reference, f"{place}: the target ({target!r})")
    return TextPair(place, text.strip(), tuple(reference.strip() for reference in targets))
