"""Which values a setting may have: a mark at the field, and one check of them all.

`rate: Positive[float]`, `share: MayChange[ProperShare[float | None]]` say it where the field is;
every dataclass of settings or options calls `check_values(self)` first in its `__post_init__`. What
needs no mark is checked too: a number is finite, a count is whole, a choice is one of its own.
Standard library only: `--help` reads settings.
"""

import math
from dataclasses import dataclass, fields
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = [
    "ONE_OR_MORE",
    "Duration",
    "LengthPenalty",
    "NotNegative",
    "NumBeams",
    "NumProcesses",
    "NumSamples",
    "OneOrMore",
    "OpenShare",
    "Positive",
    "PositiveShare",
    "Probability",
    "ProperShare",
    "Seed",
    "TextLength",
    "TokensRatio",
    "VocabularySize",
    "check_count",
    "check_values",
    "minimum",
    "plain_scalar",
]

Number = TypeVar("Number")


@dataclass(frozen=True, slots=True)
class Bounds:
    """An interval of numbers, and its wording in messages."""

    text: str
    low: float = -math.inf
    high: float = math.inf
    without_low: bool = False
    without_high: bool = False

    def hold(self, value: float) -> bool:
        """Whether a number lies in the interval."""
        is_above = value > self.low if self.without_low else value >= self.low
        is_below = value < self.high if self.without_high else value <= self.high
        return is_above and is_below


def minimum(low: float) -> Bounds:
    """Mark a number that may not be smaller than `low`."""
    return Bounds(f"at least {low:g}", low=low)


def _within(low: float, high: float) -> Bounds:
    """Mark a number from `low` to `high`, both included."""
    return Bounds(f"between {low:,} and {high:,}", low=low, high=high)


Positive = Annotated[Number, Bounds("above 0", 0, without_low=True)]
"""A number above 0."""
NotNegative = Annotated[Number, Bounds("0 or more", 0)]
"""A number that may be 0."""
ProperShare = Annotated[Number, Bounds("in [0, 1)", 0, 1, without_high=True)]
"""A share that may be nothing, and is less than all."""
PositiveShare = Annotated[Number, Bounds("in (0, 1]", 0, 1, without_low=True)]
"""A share that is more than nothing, and may be all."""
OpenShare = Annotated[Number, Bounds("in (0, 1)", 0, 1, without_low=True, without_high=True)]
"""A share that is neither nothing nor all."""
Probability = Annotated[Number, Bounds("in [0, 1]", 0, 1)]
"""A share or a probability, nothing and all included."""
TextLength = Annotated[Number, Bounds("at most 1,000,000", high=10**6)]
"""The tokens of one text or span, of which tables are made: `TextLength[Positive[int]]`."""
Duration = Annotated[Number, Bounds("at most 10,000,000", high=10**7)]
"""Seconds, minutes or epochs: of many more, clocks, calendars and steps make errors."""
VocabularySize = Annotated[Number, Bounds("at most 10,000,000", high=10**7)]
"""The tokens of a vocabulary, for all of which room is made at once."""
TokensRatio = Annotated[Number, _within(0, 1000)]
"""Tokens of an answer for each of its source."""
LengthPenalty = Annotated[Number, _within(-10, 10)]
"""A power of the number of tokens; beyond, it overflows for long answers."""
NumBeams = Annotated[Number, Bounds("between 1 and 1,000", 1, 1000)]
"""Number of beams, each of which takes a row of the cache and all tokens of the vocabulary."""
NumSamples = Annotated[Number, Bounds("between 1 and 10,000", 1, 10_000)]
"""Number of answers drawn to a text, each of which takes a row of the cache."""
NumProcesses = Annotated[Number, _within(0, 1000)]
"""Processes beside the first one."""
Seed = Annotated[Number, Bounds("0 or more and below 2**63", 0, 2**63 - 1)]
"""A seed of random numbers, in the range of torch's generators."""


_COUNT = Bounds("at most 1,000,000,000,000", high=10**12)
"""Of a whole number without a limit of its own: sums and products of such fit into 64 bits."""

Values = TypeVar("Values")


@dataclass(frozen=True, slots=True)
class AtLeastOne:
    """A list that may not be empty."""


ONE_OR_MORE = AtLeastOne()
OneOrMore = Annotated[Values, ONE_OR_MORE]
"""A tuple that is not empty."""


def check_values(settings: Any) -> None:
    """Check all numbers, texts, switches, choices and lists; others' scalars become Python's.

    Args:
        settings: a dataclass; its other fields, and those of its sections, are left alone.

    Raises:
        ValueError: a number is not finite or out of its range, a choice does not exist, or a list
            is empty that may not be.
        TypeError: a value is no number or no text, a count is not whole, or a switch is neither on
            nor off.
    """
    kind: Any = type(settings)
    for name, hint, bounds, may_be_empty in _checked_fields(kind):
        given = getattr(settings, name)
        if not may_be_empty and not given:
            raise ValueError(f"{name} is empty: give one or more")
        value = _checked(given, hint, bounds, name)
        if value is not given:
            object.__setattr__(settings, name, value)  # the dataclass is frozen


def check_count(value: object, name: str, low: int = 1) -> int:
    """Return a whole number that is an argument of a function.

    Args:
        value: as given.
        name: of the argument.
        low: the smallest that is allowed.

    Raises:
        TypeError: it is not a whole number.
        ValueError: it is smaller than `low`.
    """
    count: int = _checked(value, int, (minimum(low),), name)
    return count


def plain_scalar(value: Any) -> Any:
    """Return Python's value of a scalar of numpy or torch, and any other value as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


@cache
def _checked_fields(kind: Any) -> tuple[tuple[str, Any, tuple[Bounds, ...], bool], ...]:
    """Return name, type, bounds and whether it may be empty of what `check_values` looks at."""
    found, names = [], {field.name for field in fields(kind)}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if name in names:
            marks = getattr(hint, "__metadata__", ())
            bounds = tuple(mark for mark in marks if isinstance(mark, Bounds))
            plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
            found.append((name, plain, bounds, ONE_OR_MORE not in marks))
    return tuple(found)


def _checked(value: Any, hint: Any, bounds: tuple[Bounds, ...], name: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        is_plain = value is None or len(kinds) != 1
        return value if is_plain else _checked(value, kinds[0], bounds, name)
    if origin is tuple:
        return _checked_tuple(value, get_args(hint), bounds, name)
    value = plain_scalar(value)
    if origin is Literal:
        return _checked_choice(value, get_args(hint), name)
    if hint is bool and not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}: it must be True or False")
    if hint is str and not isinstance(value, str | Path):
        raise TypeError(f"{name} is {value!r}: it must be a text")
    return _checked_number(value, hint, bounds, name) if hint in (int, float) else value


def _checked_tuple(
    values: Any, hints: tuple[Any, ...], bounds: tuple[Bounds, ...], name: str
) -> Any:
    if not isinstance(values, tuple | list):
        return values
    if hints[-1] is not Ellipsis and len(values) != len(hints):
        raise TypeError(f"{name} are {values!r}: give {len(hints)} values")
    kinds = [hints[0]] * len(values) if hints[-1] is Ellipsis else hints
    checked = tuple(
        _checked(value, kind, bounds, f"a value of {name}")
        for value, kind in zip(values, kinds, strict=True)
    )
    is_same = all(new is old for new, old in zip(checked, values, strict=True))
    return values if is_same and isinstance(values, tuple) else checked


def _checked_choice(value: Any, allowed: tuple[Any, ...], name: str) -> Any:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}: choose one of {', '.join(map(str, allowed))}")
    return value


def _checked_number(value: Any, kind: type, bounds: tuple[Bounds, ...], name: str) -> Any:
    wanted, said = (Integral, "a whole number") if kind is int else (Real, "a number")
    is_wanted: bool = isinstance(value, wanted) and not isinstance(value, bool)
    if not is_wanted:
        raise TypeError(f"{name} is {value!r}: it must be {said}")
    if not _is_finite(value, kind):
        raise ValueError(f"{name} is {value}: it must be a finite number")
    is_limited = any(one.high < math.inf for one in bounds)
    for one in bounds if is_limited or kind is float else (*bounds, _COUNT):
        if not one.hold(value):
            raise ValueError(f"{name} is {value}: it must be {one.text}")
    return value if type(value) in (int, float) else kind(value)


def _is_finite(value: Any, kind: type) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return kind is int
