"""Sets of code points as ranges, and the classes into which several sets divide all code points.

Shapes: `P` code points, `S` sets, `C` classes.
"""

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

__all__ = [
    "ALL",
    "CodePoints",
    "both",
    "category",
    "classes_of",
    "complement",
    "same_in_lower_case",
    "script",
    "single",
    "union",
]

CodePoints = tuple[tuple[int, int], ...]
"""Ranges in order, neither touching nor overlapping; both ends are included."""

_NUM_CODE_POINTS = sys.maxunicode + 1
ALL: CodePoints = ((0, sys.maxunicode),)


def single(character: str) -> CodePoints:
    """Return the set of one character."""
    return ((ord(character), ord(character)),)


def union(sets: Iterable[CodePoints]) -> CodePoints:
    """Return the union of sets; their ranges may be in any order."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(one for ranges in sets for one in ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def both(one: CodePoints, other: CodePoints) -> CodePoints:
    """Return what is in two sets."""
    return complement(union([complement(one), complement(other)]))


def complement(ranges: CodePoints) -> CodePoints:
    """Return all code points that are not in the set."""
    ends = [-1, *(high for _, high in ranges)]
    starts = [*(low for low, _ in ranges), _NUM_CODE_POINTS]
    gaps = zip(ends, starts, strict=True)
    return tuple((end + 1, start - 1) for end, start in gaps if end + 1 < start)


@cache
def category(name: str) -> CodePoints:
    """Return a category as Python's `re` and `str` have it.

    Args:
        name: "digit", "space", "word" (letters, digits and the underscore), "lower" (no capital
            letters), "upper" (no small letters), "letter", "mark" or "punctuation".
    """
    if name in _PATTERNS:
        return _matched(re.compile(_PATTERNS[name]))
    points = range(_NUM_CODE_POINTS)
    return _ranges(np.fromiter(map(_TESTS[name], map(chr, points)), bool, _NUM_CODE_POINTS))


_PATTERNS = {"digit": r"\d+", "space": r"\s+", "word": r"\w+"}
_TESTS: dict[str, Callable[[str], bool]] = {
    "lower": lambda character: character == character.lower(),
    "upper": lambda character: character == character.upper(),
    "letter": str.isalpha,
    "mark": lambda character: unicodedata.category(character).startswith("M"),
    "punctuation": lambda character: unicodedata.category(character).startswith("P"),
}


@lru_cache(256)
def script(name: str, *, with_shared: bool = False) -> CodePoints:
    """Return the code points of a script of Unicode, such as Latin.

    Args:
        name: of the script.
        with_shared: also those that it shares with others (Script_Extensions), such as the long
            vowel mark of Hiragana and Katakana.

    Raises:
        ValueError: there is no such script.
    """
    try:
        if not re.fullmatch(r"[A-Za-z_ -]{1,40}", name):  # else it might be a pattern itself
            raise regex.error("not a name")
        pattern = regex.compile(rf"\p{{{'scx' if with_shared else 'sc'}={name}}}+")
    except regex.error:
        raise ValueError(
            f"script is {name[:40]!r}: give digits, letters, or a script of Unicode such as Latin, "
            "Greek, Cyrillic, Arabic, Devanagari, Han or Hiragana"
        ) from None
    return _matched(pattern)


def same_in_lower_case(ranges: CodePoints) -> CodePoints:
    """Return the characters whose lower case is that of one in the set."""
    lower_P = _lower_cases()
    is_wanted = np.zeros(_NUM_CODE_POINTS, dtype=bool)
    for low, high in ranges:
        is_wanted[lower_P[low : high + 1]] = True
    return _ranges(is_wanted[lower_P])


def classes_of(sets: Sequence[CodePoints]) -> tuple[NDArray[np.int32], list[frozenset[int]]]:
    """Return the classes of code points that no set divides.

    Args:
        sets: S sets.

    Returns:
        int32[P], the class of each code point, and the classes that make up each set.
    """
    edges = {0, _NUM_CODE_POINTS}
    for ranges in sets:
        edges.update(low for low, _ in ranges)
        edges.update(high + 1 for _, high in ranges)
    starts = np.array(sorted(edges - {_NUM_CODE_POINTS}), dtype=np.int64)
    members = np.zeros((len(sets) + 1, len(starts)), dtype=bool)
    for row, ranges in zip(members, sets, strict=False):
        if ranges:
            lows, highs = np.array(ranges).T
            place = np.searchsorted(lows, starts, side="right") - 1
            row[:] = (place >= 0) & (starts <= highs[place])
    _, found = np.unique(np.packbits(members, axis=0), axis=1, return_inverse=True)
    class_of_each: NDArray[np.int32] = found.ravel().astype(np.int32)
    lengths = np.diff(np.append(starts, _NUM_CODE_POINTS))
    class_P: NDArray[np.int32] = np.repeat(class_of_each, lengths)
    return class_P, [frozenset(class_of_each[row].tolist()) for row in members[:-1]]


def _matched(pattern: Any) -> CodePoints:
    """Return the code points of which a pattern matches every run."""
    everything = "".join(map(chr, range(_NUM_CODE_POINTS)))
    return tuple((one.start(), one.end() - 1) for one in pattern.finditer(everything))


def _ranges(is_in: NDArray[np.bool_]) -> CodePoints:
    changes = np.flatnonzero(np.diff(np.concatenate([[False], is_in, [False]]).astype(np.int8)))
    pairs = changes.reshape(-1, 2).tolist()
    return tuple((low, end - 1) for low, end in pairs)


@cache
def _lower_cases() -> NDArray[np.int64]:
    """Return int64[P], the lower case of each code point where it is one character."""
    lower = (chr(point).lower() for point in range(_NUM_CODE_POINTS))
    found = (ord(text) if len(text) == 1 else -1 for text in lower)
    lower_P = np.fromiter(found, np.int64, _NUM_CODE_POINTS)
    return np.where(lower_P < 0, np.arange(_NUM_CODE_POINTS), lower_P)
