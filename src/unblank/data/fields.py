"""Texts of a record: a field, or a text with fields in braces, such as "{question} {passage}".

A list of sentences in a field is joined by spaces. Dots lead to fields inside fields:
`translation.en`.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from string import Formatter
from typing import Any

from unblank.near_names import did_you_mean

__all__ = [
    "field_names",
    "field_text",
    "field_value",
    "has_field",
    "is_visible",
    "no_field",
    "raw_value",
    "require_text",
    "require_unique",
    "with_nested",
]

_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that show nothing although Unicode counts them as letters, marks or symbols."""


def field_names(source: str) -> list[str]:
    """Return the fields that a source consists of.

    Raises:
        ValueError: if its braces do not pair, or hold more than the name of a field.
    """
    if "{" not in source:
        return [source]
    try:
        found = [part[1:] for part in Formatter().parse(source) if part[1] is not None]
    except ValueError as error:
        raise ValueError(f"source {source!r}: {error}") from error
    for name, format_spec, conversion in found:
        if format_spec or conversion:
            shown = f"{name}{'!' + conversion if conversion else ''}:{format_spec or ''}"
            raise ValueError(
                f"source {source!r} has {{{shown.removesuffix(':')}}}: only the name of a field "
                "may stand in braces here"
            )
    names = [name for name, _, _ in found if name]
    if not names or len(names) < len(found):
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
        name: of the field, or names with dots between.

    Raises:
        ValueError: if it is not there, or holds anything else.
    """
    value = raw_value(place, record, name)
    if value is None:
        return ""
    items: Sequence[object] = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in items):
        raise ValueError(
            f"{place}: field {name!r} must be a text or a list of texts, got {str(value)[:60]!r}"
        )
    return value if isinstance(value, str) else [str(item) for item in items]


def raw_value(place: str, record: Mapping[str, Any], name: str) -> Any:
    """Return what a field holds; arguments as for `field_value`.

    Raises:
        ValueError: if it is not there.
    """
    if name in record:
        return record[name]
    value: Any = record
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise ValueError(f"{place}: {no_field(record, name)}")
        value = value[part]
    return value


def has_field(record: Mapping[str, Any], name: str) -> bool:
    """Whether a record has a field, perhaps inside others."""
    return name in record or name in with_nested(record)


def with_nested(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record, and those inside them by their names with dots.

    Example:
        >>> with_nested({"id": 1, "translation": {"en": "rain"}})
        {'id': 1, 'translation': {'en': 'rain'}, 'translation.en': 'rain'}
    """
    return {**record, **{name: value for name, value in _nested(record) if name not in record}}


def no_field(record: Mapping[str, Any], name: str) -> str:
    """Return the message that a record lacks a field, with the names that are near."""
    present = [
        name for name, value in with_nested(record).items() if not isinstance(value, Mapping)
    ]
    inside = [other for other in present if other.endswith(f".{name}")]
    hint = f"; did you mean {inside[0]!r}?" if inside else did_you_mean(name, present)
    return f"there is no field {name!r}, only {', '.join(map(repr, present)) or 'none'}{hint}"


def require_text(text: str, what: str) -> None:
    """Raise ValueError, saying what it is, if a text has no visible character."""
    if not is_visible(text):
        raise ValueError(f"{what} is empty or missing: fill it in, or remove the record")


def is_visible(text: str) -> bool:
    r"""Whether a text has a visible character: not only spaces, zero-width and control characters.

    Example:
        >>> is_visible("a"), is_visible(" \u200b\ufeff")
        (True, False)
    """
    return any(map(_is_visible, text))


def _is_visible(char: str) -> bool:
    if char.isspace() or char in _INVISIBLE:
        return False
    # Variation selectors change the character before them, and show nothing by themselves.
    is_selector = "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    return not is_selector and unicodedata.category(char) not in ("Cc", "Cf")


def _nested(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            for inner, found in with_nested(value).items():
                yield f"{name}.{inner}", found


def _joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else " ".join(value)


def require_unique(place: str, names: Sequence[str]) -> None:
    """Refuse columns of which several have one name.

    Raises:
        ValueError: two have one name.
    """
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise ValueError(f"{place}: {times} columns have the name {name!r}: rename them")
