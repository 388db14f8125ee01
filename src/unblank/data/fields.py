"""Texts of a record: a field, or a text with fields in braces, such as "{question} {passage}".

A list of sentences in a field is joined by spaces.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from string import Formatter
from typing import Any

__all__ = ["field_names", "field_text", "field_value", "require_text"]


def field_names(source: str) -> list[str]:
    """Return the fields that a source consists of.

    Raises:
        ValueError: if its braces do not pair.
    """
    if "{" not in source:
        return [source]
    try:
        names = [name for _, name, _, _ in Formatter().parse(source) if name is not None]
    except ValueError as error:
        raise ValueError(f"source {source!r}: {error}") from error
    if not names or not all(names):
        raise ValueError(f"source {source!r} needs the name of a field in each pair of braces")
    return names


def field_text(place: str, record: Mapping[str, Any], source: str) -> str:
    """Return the text that a field, or a text with fields in braces, gives for a record.

    Args:
        place: file and line of the record, for messages.
        record: name -> value.
        source: a field's name, or a text with fields in braces.

    Raises:
        ValueError: if a field is not there, holds no text, or a field in braces is empty.
    """
    if "{" not in source:
        return _joined(field_value(place, record, source))
    text = ""
    for literal, name, _, _ in Formatter().parse(source):
        text += literal
        if name is not None:
            value = _joined(field_value(place, record, name))
            require_text(value, f"{place}: the field {name!r}")
            text += value
    return text


def field_value(place: str, record: Mapping[str, Any], name: str) -> str | list[str]:
    """Return a field's text or list of texts; null is an empty text.

    Args:
        place: file and line of the record, for messages.
        record: name -> value.
        name: of the field.

    Raises:
        ValueError: if it is not there, or holds anything else.
    """
    if name not in record:
        present = list(record)
        near = get_close_matches(name, present, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{place}: there is no field {name!r}, only {', '.join(map(repr, present))}{hint} "
            "(source and target name the fields)"
        )
    value = record[name]
    if value is None:
        return ""
    items: Sequence[object] = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in items):
        raise ValueError(
            f"{place}: field {name!r} must be a text or a list of texts, got {str(value)[:60]!r}"
        )
    return value if isinstance(value, str) else [str(item) for item in items]


def require_text(text: str, what: str) -> None:
    """Raise ValueError, saying what it is, if a text has no visible character."""
    if not text.strip():
        raise ValueError(f"{what} is empty or missing: fill it in, or remove the record")


def _joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else " ".join(value)
