"""The objects of JSON files: one a line, or an array of them, or one after another.

A name that an object has twice is refused, as one of its values would be lost.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from unblank.data.unpacking import joined
from unblank.untrusted.json_text import json_fault

__all__ = ["json_line_records", "json_records"]

_SPACE = " \t\r\n"

_Placed = tuple[str, dict[str, Any]]


def json_line_records(path: Path, lines: Iterable[str]) -> Iterator[_Placed]:
    """Yield the object of each line after its place, `FILE, line N`; blank lines have none.

    Raises:
        ValueError: if a line is not a JSON object; the message names file and line.
    """
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        place = f"{path}, line {number}"
        try:
            value = _DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            raise _invalid(place, error, line) from error
        yield place, _object(place, value, line, has_escapes="\\ud" in line.lower())


def json_records(path: Path, lines: Iterable[str]) -> Iterator[_Placed]:
    """Yield the objects of an array, or those that stand one after another, after their places.

    A file with an object a line is read line by line; any other is held in memory.

    Raises:
        ValueError: if it is not JSON, holds anything but objects, or is too large for memory; the
            message names file and line.
    """
    lines = iter(lines)
    num_blank, first = 0, ""
    for first in lines:
        if not first.isspace():
            break
        num_blank += 1
    lines = chain(repeat("\n", num_blank), [first], lines)
    if _is_object(first):
        yield from json_line_records(path, lines)
        return
    text = joined(lines, str(path), "write an object a line, as .jsonl")
    has_escapes = "\\ud" in text.lower()
    for number, start, value in _values(path, text):
        place = f"{path}, line {number}"
        yield place, _object(place, value, text[start : start + 80], has_escapes=has_escapes)


def _values(path: Path, text: str) -> Iterator[tuple[int, int, Any]]:
    """Yield the line on which each value begins, where it begins, and the value."""
    place = _after_space(text, 0)
    is_array = text.startswith("[", place)
    place = _after_space(text, place + is_array)
    number, counted_to = 1, 0
    while place < len(text) and not (is_array and text[place] == "]"):
        number, counted_to = number + text.count("\n", counted_to, place), place
        try:
            value, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            raise _invalid(f"{path}, line {number}", error, text[place : place + 80]) from error
        yield number, place, value
        place = _after_space(text, end)
        if is_array:
            has_more = text.startswith(",", place)
            if not has_more and not text.startswith("]", place):
                raise ValueError(
                    f"{path}, line {1 + text.count(chr(10), 0, place)}: not valid JSON: a comma or "
                    "the end of the array must stand after an object"
                )
            place = _after_space(text, place + has_more)
    if is_array and text[place:].rstrip(_SPACE) != "]":
        raise ValueError(f"{path}: not valid JSON: it does not end with its array")


def _after_space(text: str, place: int) -> int:
    while place < len(text) and text[place] in _SPACE:
        place += 1
    return place


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _object(place: str, value: object, text: str, *, has_escapes: bool) -> dict[str, Any]:
    if not isinstance(value, dict):
        kind = {list: "list", str: "string", bool: "truth value", type(None): "null"}
        raise ValueError(
            f"{place}: expected a JSON object, got a {kind.get(type(value), 'number')}: "
            f"{text[:80]!r}"
        )
    if has_escapes:
        _require_unicode(value, place)
    return value


def _require_unicode(record: dict[str, Any], place: str) -> None:
    for name, value in record.items():
        try:
            json.dumps([name, value], ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{place}: field {name!r} has half of a surrogate pair, which is not valid Unicode"
            ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"two fields have the name {name!r}: rename one")
    return found


def _invalid(place: str, error: ValueError | RecursionError, text: str) -> ValueError:
    if isinstance(error, json.JSONDecodeError | RecursionError):
        return ValueError(f"{place}: not valid JSON: {error}; the line is {text[:80]!r}")
    return ValueError(f"{place}: {json_fault(error)}")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
