"""Source texts with their target texts, read from files; nothing is tokenized here.

A source is a field, or a text with fields in braces; a list of sentences in it is joined by spaces.
A target is a field; a list in it holds several references of one source. An entry may have both of
its own, `FILE:SOURCE:TARGET`, where colons in a source with braces are part of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from unblank.data.fields import field_names, field_text, field_value, require_text
from unblank.data.files import FileSearch
from unblank.data.language_files import LANGUAGE_FIELD, language_of_record
from unblank.data.line_records import read_line_records
from unblank.data.pairs import pair_texts
from unblank.data.records import Record, read_records
from unblank.data.remote import split_entry
from unblank.plurals import counted
from unblank.prompting.writing_hints import with_hints

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
    languages: tuple[str, str] = ("", ""),
    lines: Sequence[str] = (),
) -> list[TextPair]:
    """Return the pairs of one entry of `data.train` or `data.validation`.

    Args:
        entry: FILE (also a pattern of files), FILE:SOURCE:TARGET with its own source and target, or
            SOURCE_FILE:TARGET_FILE, which are read line by line, with any ending.
        source: field of the source, or a text with fields in braces.
        target: field of the targets.
        search: of all entries that are read together; by default of this one.
        languages: codes of the source's and the target's; empty where they are not known. Hints in
            a source are words of the target's; where both are one, no record may contradict it.
        lines: fields of a record of a text file, one a line; empty if each line is a record.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: if a side is missing or empty, two files have different lengths, or a file is
            broken; the message names file and line.
    """
    own = search or FileSearch()
    parts = [entry] if Path(entry).exists() else split_entry(entry)
    if len(parts) == 2:
        if lines:
            raise ValueError(
                f"{entry} is two files, and data.lines ({' '.join(lines)}) names the lines of a "
                "record in one: leave data.lines out, or name one file"
            )
        pairs = list(_parallel_pairs(entry, own))
    else:
        if len(parts) > 2:
            entry, source, target = parts[0], ":".join(parts[1:-1]), parts[-1]
        try:
            source = with_hints(
                source,
                languages[1],
                to_name_it="name the language behind the file, as in FILE@en-de",
            )
        except ValueError as error:
            raise ValueError(f"{entry}: {error}") from error
        language = languages[0] if languages[0] == languages[1] else ""
        pairs = [
            _pair(place, record, source, target, language)
            for path in own.files_of(entry, (source, target))
            for place, record in _records(path, [*field_names(source), target], lines)
        ]
    if search is None:
        own.warn()
    if not pairs:
        raise ValueError(f"{entry} has no pair of texts")
    return pairs


def _records(path: Path, names: Sequence[str], lines: Sequence[str]) -> Iterator[Record]:
    return read_line_records(path, lines) if lines else read_records(path, names)


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
