"""Source texts with their target texts, read from files; nothing is tokenised here.

A source is a field, or a text with fields in braces; a list of sentences in it is joined by spaces.
A target is a field; a list in it holds several references of one source.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from string import Formatter
from typing import Any

from unblank.data.records import Record, find_record_files, read_records

__all__ = ["TextPair", "read_text_pairs"]


@dataclass(frozen=True, slots=True)
class TextPair:
    """One source and what may be written for it."""

    place: str
    """File and line, for messages."""
    source: str
    """Text."""
    targets: tuple[str, ...]
    """References, at least one."""


def read_text_pairs(entry: str, source: str, target: str) -> list[TextPair]:
    """Return the pairs of one entry of `data.train` or `data.validation`.

    Args:
        entry: FILE (also a pattern of files), FILE:SOURCE_FIELD:TARGET_FIELD, or
            SOURCE_FILE:TARGET_FILE, which are read line by line.
        source: field of the source, or a text with fields in braces.
        target: field of the targets.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: if a side is missing or empty, two files have different lengths, or a file is
            broken; the message names file and line.
    """
    parts = entry.split(":")
    if len(parts) == 2 and not Path(entry).exists():
        pairs = list(_parallel_pairs(*(_one_file(part, entry) for part in parts)))
    else:
        if len(parts) == 3 and not Path(entry).exists():
            entry, source, target = parts
        pairs = [
            _pair(place, record, source, target)
            for path in find_record_files(entry)
            for place, record in _records(path, source, target)
        ]
    if not pairs:
        raise ValueError(f"{entry} holds no pair of texts at all")
    return pairs


def _records(path: Path, source: str, target: str) -> Iterator[Record]:
    names = [*_field_names(source), target]
    return read_records(path, has_header=not all(name.isdecimal() for name in names))


def _one_file(part: str, entry: str) -> Path:
    files = find_record_files(part)
    if len(files) != 1:
        raise ValueError(f"{entry}: {part} stands for {len(files)} files: name one for each side")
    return files[0]


def _parallel_pairs(source: Path, target: Path) -> Iterator[TextPair]:
    sides = (_side(path) for path in (source, target))
    for number, (first, second) in enumerate(zip_longest(*sides), start=1):
        if first is None or second is None:
            short, long = (source, target) if first is None else (target, source)
            raise ValueError(
                f"{short} ends after {number - 1:,} lines, {long} goes on: line n of one must "
                "belong to line n of the other"
            )
        for path, text in ((source, first), (target, second)):
            _require_text(text, f"{path}, line {number}: this side of the pair")
        yield TextPair(f"{source}, line {number}", first.strip(), (second.strip(),))


def _side(path: Path) -> Iterator[str]:
    """Yield the texts of one side: the lines, or the field `text` of JSON lines."""
    for place, record in read_records(path, has_header=False):
        value = record.get("text", record.get("1"))
        if not isinstance(value, str):
            raise ValueError(
                f"{place}: there is no field 'text'; name fields as FILE:SOURCE:TARGET"
            )
        yield value


def _pair(place: str, record: dict[str, Any], source: str, target: str) -> TextPair:
    text = _source_text(place, record, source)
    _require_text(text, f"{place}: the source ({source!r})")
    value = _value(place, record, target)
    targets = value if isinstance(value, list) else [value]
    if not targets:
        raise ValueError(f"{place}: the target ({target!r}) is an empty list: remove the example")
    for reference in targets:
        _require_text(reference, f"{place}: the target ({target!r})")
    return TextPair(place, text.strip(), tuple(reference.strip() for reference in targets))


def _source_text(place: str, record: dict[str, Any], source: str) -> str:
    if "{" not in source:
        return _joined(_value(place, record, source))
    text = ""
    for literal, name, _, _ in Formatter().parse(source):
        text += literal
        if name is not None:
            value = _joined(_value(place, record, name))
            _require_text(value, f"{place}: the field {name!r}")
            text += value
    return text


def _field_names(source: str) -> list[str]:
    """Return the fields that a source consists of.

    Raises:
        ValueError: if its braces do not pair.
    """
    if "{" not in source:
        return [source]
    try:
        names = [name for _, name, _, _ in Formatter().parse(source) if name is not None]
    except ValueError as error:
        raise ValueError(f"data.source {source!r}: {error}") from error
    if not names or not all(names):
        raise ValueError(f"data.source {source!r} must name a field in each pair of braces")
    return names


def _value(place: str, record: dict[str, Any], name: str) -> str | list[str]:
    if name not in record:
        present = list(record)
        near = get_close_matches(name, present, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{place}: there is no field {name!r}, only {', '.join(map(repr, present))}{hint} "
            "(the settings are data.source and data.target)"
        )
    value = record[name]
    if value is None:
        return ""
    items: Sequence[object] = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in items):
        raise ValueError(
            f"{place}: field {name!r} holds {str(value)[:60]!r}: a text or a list of texts is "
            "needed"
        )
    return value if isinstance(value, str) else [str(item) for item in items]


def _joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else " ".join(value)


def _require_text(text: str, what: str) -> None:
    if not text.strip():
        raise ValueError(f"{what} is empty or missing: remove the pair, or fill it in")
