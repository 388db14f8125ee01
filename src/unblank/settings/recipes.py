"""Recipes: the settings of a run as a YAML file, read with strict keys and types, written whole.

A recipe names only what it changes; the resolved file written beside a run names everything.
"""

import os
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from unblank.near_names import did_you_mean
from unblank.path_arguments import disk_path, given_path, require_path_text
from unblank.settings.marks import DataMark, PathMark
from unblank.settings.ranges import plain_scalar
from unblank.settings.shipped_recipes import recipe_path

__all__ = [
    "from_mapping",
    "merged_sections",
    "read_mapping",
    "read_settings",
    "to_mapping",
    "to_yaml",
]

_Settings = TypeVar("_Settings")


def read_settings(kind: type[_Settings], path: Path | str) -> _Settings:
    """Return the settings of a YAML file.

    Args:
        kind: the dataclass of the whole, such as `PretrainSettings`.
        path: the file; fields that it does not name keep their defaults.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not YAML, or holds an unknown key or a value out of range.
        TypeError: if a value has the wrong type.
    """
    content = read_mapping(path)
    try:
        return from_mapping(kind, content)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{path}: {error}") from error


def read_mapping(path: Path | str) -> Any:
    """Return what a YAML file holds; nothing is an empty mapping.

    Args:
        path: the file, or `recipe:NAME` for one that comes with the library.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not YAML, or too large or deep for a recipe.
    """
    from unblank.untrusted.yaml_text import read_yaml

    content = read_yaml(recipe_path(path))
    return {} if content is None else content


def from_mapping(kind: type[_Settings], mapping: object, name: str = "") -> _Settings:
    """Build the settings dataclass `kind` from a mapping of its field names.

    Args:
        kind: a dataclass of settings, perhaps nested.
        mapping: field name -> plain value or mapping.
        name: dotted name of this section, for messages.

    Raises:
        ValueError: if a key is unknown (the nearest are named) or a value is out of range.
        TypeError: if a value has the wrong type.
    """
    if not isinstance(mapping, Mapping):
        raise TypeError(
            f"{name or 'a recipe'} must be a mapping of keys to values, got {mapping!r}"
        )
    hints = _hints_of(kind)  # type: ignore[arg-type]
    allowed = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for key in mapping:
        if key not in allowed:
            where = f" in {name}" if name else ""
            hint = did_you_mean(key, allowed, most=3) or f"; known: {', '.join(allowed)}"
            raise ValueError(f"unknown key {key!r}{where}{hint}")
    values = {
        key: _convert(value, hints[key], f"{name}.{key}".lstrip("."))
        for key, value in mapping.items()
    }
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{name}: {error}" if name else str(error)) from error


@cache
def _hints_of(kind: type) -> dict[str, Any]:
    """Return the types of the fields of a dataclass, which a sweep asks for again and again."""
    return get_type_hints(kind, include_extras=True)


def merged_sections(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first mapping with the values of the second, section by section."""
    merged = dict(first)
    for key, value in second.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merged_sections(old, value) if both else value  # type: ignore[arg-type]
    return merged


def to_mapping(settings: object) -> dict[str, Any]:
    """Return settings as nested dicts of plain JSON/YAML values."""
    return {field.name: _plain(getattr(settings, field.name)) for field in fields(settings)}  # type: ignore[arg-type]


def to_yaml(config: object) -> str:
    """Return the whole configuration as YAML that `read_settings` reads back."""
    import yaml

    return str(yaml.safe_dump(to_mapping(config), sort_keys=False, allow_unicode=True))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_mapping(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _convert(value: Any, hint: Any, name: str) -> Any:
    value, origin, arguments = plain_scalar(value), get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner, *marks = arguments
        if any(isinstance(mark, DataMark) for mark in marks) and isinstance(value, str | PathLike):
            return given_path(value, name)
        is_path = any(isinstance(mark, PathMark) for mark in marks)
        given = str(given_path(value, name)) if is_path and isinstance(value, PathLike) else value
        value = _convert(given, inner, name)
        if not (is_path and isinstance(value, str)):
            return value
        require_path_text(value, name)
        return _at_home(value)
    if is_dataclass(hint) and isinstance(hint, type):
        return from_mapping(hint, value, name)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (hint,) = [argument for argument in arguments if argument is not type(None)]
        return _convert(value, hint, name)
    if origin is Literal:
        return _one_of(value, arguments, name)
    if origin is tuple:
        return _convert_tuple(value, arguments, name)
    return _convert_scalar(value, hint, name)


def _at_home(text: str) -> str:
    """Return a text in which `~` at the beginning of a path is the home folder."""
    return ":".join(os.path.expanduser(part) for part in text.split(":"))


def _one_of(value: Any, allowed: tuple[Any, ...], name: str) -> Any:
    if value in allowed:
        return value
    choices = ", ".join(map(str, allowed))
    raise ValueError(f"{name} is {value!r}: choose one of {choices}{did_you_mean(value, allowed)}")


def _convert_tuple(value: Any, arguments: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    if arguments[-1] is Ellipsis:
        return tuple(_convert(item, arguments[0], name) for item in items)
    if len(items) != len(arguments):
        raise TypeError(f"{name} needs {len(arguments)} values, got {value!r}")
    return tuple(_convert(item, hint, name) for item, hint in zip(items, arguments, strict=True))


def _convert_scalar(value: Any, kind: type, name: str) -> Any:
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 4e-4, without a dot, as a string
        except ValueError:
            pass
    elif kind is Path and isinstance(value, str | PathLike):
        return disk_path(value, name)
    elif kind is not float and type(value) is kind:
        return value
    raise TypeError(f"{name} must be {kind.__name__}, got {value!r} ({type(value).__name__})")
