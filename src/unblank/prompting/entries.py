"""Entries of a YAML file, read by key: each is checked, and a mistake is named with its line.

Values are `LineText`s (`unblank.prompting.yaml_lines`), lists and mappings of them.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from unblank.near_names import did_you_mean
from unblank.prompting.yaml_lines import at_line

__all__ = [
    "Shapes",
    "check_shapes",
    "choice",
    "files_pattern",
    "is_true",
    "line_of",
    "require_known",
    "text_list",
    "whole_number",
]

Shapes = Mapping[str, tuple[type, ...]]
"""Every known key, and which of `str`, `list` and `dict` its value may be."""

_SHAPE_NAMES: dict[type, str] = {str: "a text", list: "a list", dict: "`name: value` lines"}


def line_of(entries: Mapping[str, Any], key: str) -> str:
    """Return `line N: ` of a key of the file, or nothing if it is not there."""
    return next((at_line(name) for name in entries if name == key), "")


def require_known(key: str, known: Collection[str]) -> None:
    """Check that a key is one of those known.

    Raises:
        ValueError: it is not; the message offers a near one.
    """
    if key not in known:
        hint = did_you_mean(key, known) or "."
        raise ValueError(f"{at_line(key)}unknown key {key!r}{hint} Known: {', '.join(known)}")


def check_shapes(entries: Any, shapes: Shapes, what: str) -> None:
    """Check which keys there are and what kind of value each has.

    Args:
        entries: what the file, or a part of it, holds.
        shapes: the keys.
        what: is described, for the message.

    Raises:
        ValueError: an unknown key, or a value of another shape; the message names the line.
    """
    if not isinstance(entries, dict):
        raise ValueError(f"{at_line(entries)}{what} must consist of `key: value` lines")
    for key, value in entries.items():
        require_known(key, shapes)
        if not isinstance(value, shapes[key]):
            kinds = " or ".join(_SHAPE_NAMES[shape] for shape in shapes[key])
            raise ValueError(f"{at_line(key)}{key} must be {kinds}, got {value!r}")


def text_list(entries: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the texts of a list, none if the key is not there; a single text is a list of one.

    Raises:
        ValueError: not all are texts.
    """
    values: list[Any] | str = entries.get(key, [])
    values = [values] if isinstance(values, str) else values
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{line_of(entries, key)}{key} must be a list of texts, got {values!r}")
    return tuple(values)


def whole_number(entries: Mapping[str, Any], key: str) -> int | None:
    """Return a number, None if the key is not there.

    Raises:
        ValueError: it is not a whole number.
    """
    value = entries.get(key)
    if value is None:
        return None
    if not str(value).isdecimal():
        raise ValueError(f"{at_line(value)}{key} must be a whole number, got {value!r}")
    return int(value)


def is_true(entries: Mapping[str, Any], key: str) -> bool:
    """Return whether the value is true; it is not if the key is not there.

    Raises:
        ValueError: it is neither true nor false.
    """
    value = entries.get(key, "false")
    if value.lower() not in ("true", "false"):
        raise ValueError(f"{at_line(value)}{key} is {value!r}: choose true or false")
    return bool(value.lower() == "true")


def choice(entries: Mapping[str, Any], key: str, allowed: Sequence[str], default: str) -> str:
    """Return one of the allowed texts, the default if the key is not there.

    Raises:
        ValueError: the value is another one.
    """
    value = entries.get(key, default)
    if value not in allowed:
        raise ValueError(f"{at_line(value)}{key} is {value!r}: choose one of {', '.join(allowed)}")
    return str(value)


def files_pattern(entries: Mapping[str, Any], *stand_ins: str, needs_split: bool = True) -> str:
    """Return where data lies, for `unblank.data.splits.find_split`; empty if `files` is not there.

    Args:
        entries: what holds the key `files`.
        *stand_ins: what the path may name in braces beside the split.
        needs_split: whether the split must be named.

    Raises:
        ValueError: the split does not stand in it, or something unknown does.
    """
    if "files" not in entries:
        return ""
    files: str = entries["files"]
    named = set(re.findall(r"\{(.*?)\}", files))
    if needs_split and "split" not in named:
        raise ValueError(
            f"{at_line(files)}files is {files!r}: it must name files inside the folder of data "
            "sets, without the ending, with {split} for the split"
        )
    if unknown := sorted(named - {"split", *stand_ins}):
        raise ValueError(f"{at_line(files)}files is {files!r}: {unknown[0]!r} has no value")
    return str(files)
