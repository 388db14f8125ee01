"""What makes two starts of a run the same run: marks at the fields, and the comparison.

A field says itself whether it may change when a run is resumed: `MayChange[int]` never changes the
numbers, `SharesOut[int]` only shares out the work, so that losses agree up to rounding and dropout.
Every other setting must be the same. Standard library only: settings use the marks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, TypeVar, get_type_hints

__all__ = [
    "EarlierDefault",
    "MayChange",
    "SharesOut",
    "compared_settings",
    "earlier_settings",
    "layout_settings",
]

T = TypeVar("T")

_MAY_CHANGE = "may change when a run is resumed"
_SHARES_OUT = "may change when a run is resumed, with a note"

MayChange = Annotated[T, _MAY_CHANGE]
"""A setting that a resumed run may change."""
SharesOut = Annotated[T, _SHARES_OUT]
"""A setting that a resumed run may change, with a note: it divides the same work differently."""


@dataclass(frozen=True, slots=True)
class EarlierDefault:
    """Mark of a setting that older versions lacked, and whose default is not what they did."""

    value: Any
    """The value that stands for what they did."""


def compared_settings(settings: object) -> dict[str, Any]:
    """Return dotted name -> value of every setting that a resumed run is compared by.

    Args:
        settings: of the whole run; its sections are dataclasses.
    """
    return {name: value for name, value, _ in _walk(settings)}


def earlier_settings(kind: type) -> dict[str, Any]:
    """Return dotted name -> value of every setting in a run that did not record it."""
    return {
        name: next((mark.value for mark in marks if isinstance(mark, EarlierDefault)), value)
        for name, value, marks in _walk(kind())
    }


def layout_settings(settings: object) -> set[str]:
    """Return the dotted names of the settings that only share out the work."""
    return {name for name, _, marks in _walk(settings) if _SHARES_OUT in marks}


def _walk(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """Yield name, value and marks of every setting that may not change on a resume."""
    hints = get_type_hints(type(settings), include_extras=True)
    for field in fields(settings):
        marks: tuple[Any, ...] = getattr(hints[field.name], "__metadata__", ())
        if _MAY_CHANGE in marks:
            continue
        value, name = getattr(settings, field.name), f"{prefix}{field.name}"
        if is_dataclass(value):
            yield from _walk(value, f"{name}.")
        else:
            yield name, _plain(value), marks


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
