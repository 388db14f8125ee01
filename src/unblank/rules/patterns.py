r"""Python's regular expressions as expressions of automata.

Python's own parser reads them, so that they mean here what they mean in `re`; its matcher is never
used, as it may take hours for a hostile pattern. What needs memory of what was matched
(backreferences) or looks around is refused. A lazy repetition matches the same whole texts as a
greedy one.
"""

import re
import warnings
from collections.abc import Sequence
from re import _constants as names  # type: ignore[attr-defined]  # not in the stubs
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from unblank.rules.code_points import (
    ALL,
    CodePoints,
    both,
    category,
    complement,
    same_in_lower_case,
    union,
)
from unblank.rules.expressions import EMPTY, Expressions

__all__ = ["read_pattern"]

_ASCII: CodePoints = ((0, 127),)
_NEWLINE: CodePoints = ((10, 10),)
_REFUSED = {
    names.ASSERT: "looks ahead or behind",
    names.ASSERT_NOT: "looks ahead or behind",
    names.GROUPREF: "refers back to a group",
    names.GROUPREF_EXISTS: "refers back to a group",
    names.FAILURE: "looks ahead or behind",
}
_STARTS = (names.AT_BEGINNING, names.AT_BEGINNING_STRING)
_ENDS = (names.AT_END, names.AT_END_STRING)
_KINDS = {"DIGIT": "digit", "SPACE": "space", "WORD": "word"}


def read_pattern(expressions: Expressions, pattern: str) -> int:
    """Return the expression that matches what `re.fullmatch` matches.

    Args:
        expressions: where it is made.
        pattern: in Python's syntax.

    Raises:
        ValueError: it is no regular expression, or uses what an automaton cannot follow.
    """
    shown = f"the regular expression {pattern[:80]!r}"
    try:
        with warnings.catch_warnings(action="ignore"):  # of what later versions may read otherwise
            parsed = parser.parse(pattern)
        return _Reader(expressions, shown).sequence(parsed, parsed.state.flags, (True, True))
    except (re.error, OverflowError) as error:
        raise ValueError(f"{shown} cannot be read: {error}") from error
    except RecursionError:
        raise ValueError(f"{shown} is nested too deeply: write it in a simpler way") from None


class _Reader:
    """Turns the parser's tree into an expression."""

    def __init__(self, expressions: Expressions, shown: str) -> None:
        self._make = expressions
        self._shown = shown

    def sequence(self, items: Sequence[Any], flags: int, edges: tuple[bool, bool]) -> int:
        """Return one item after another.

        Args:
            items: pairs of an operation and its argument.
            flags: of `re`.
            edges: whether the sequence is first and last in the pattern, where ^ and $ may stand.
        """
        last = len(items) - 1
        return self._make.concat(
            [
                self._item(operation, value, flags, (edges[0] and i == 0, edges[1] and i == last))
                for i, (operation, value) in enumerate(items)
            ]
        )

    def _item(self, operation: Any, value: Any, flags: int, edges: tuple[bool, bool]) -> int:
        if operation == names.AT:
            if (value in _STARTS and edges[0]) or (value in _ENDS and edges[1]):
                return EMPTY
            raise self._refused("has ^, $ or \\b inside; it always matches the whole answer")
        if operation in _REFUSED:
            raise self._refused(_REFUSED[operation])
        if operation == names.BRANCH:
            return self._make.either([self.sequence(one, flags, edges) for one in value[1]])
        if operation == names.SUBPATTERN:
            _, added, removed, items = value
            return self.sequence(items, (flags | added) & ~removed, edges)
        if operation in (names.MAX_REPEAT, names.MIN_REPEAT):
            low, high, items = value
            inner = self.sequence(items, flags, (False, False))
            return self._make.repeat(inner, low, None if high == names.MAXREPEAT else high)
        return self._make.characters(self._characters(operation, value, flags))

    def _characters(self, operation: Any, value: Any, flags: int) -> CodePoints:
        if operation == names.ANY:
            return ALL if flags & re.DOTALL else complement(_NEWLINE)
        if operation == names.IN:
            is_negated = value[0][0] == names.NEGATE
            members = value[is_negated:]
            parts = [self._member(operation, inner, flags) for operation, inner in members]
            found = union(parts)
            return complement(found) if is_negated else found
        if operation == names.NOT_LITERAL:
            return complement(self._member(names.LITERAL, value, flags))
        if operation == names.LITERAL:
            return self._member(operation, value, flags)
        raise self._refused("has a possessive repetition or an atomic group")

    def _member(self, operation: Any, value: Any, flags: int) -> CodePoints:
        if operation == names.CATEGORY:
            _, *negation, kind = str(value).split("_")
            points = category(_KINDS[kind])
            if flags & re.ASCII:
                points = both(points, _ASCII)
            return complement(points) if negation else points
        low, high = (value, value) if operation == names.LITERAL else value
        points = ((low, high),)
        return same_in_lower_case(points) if flags & re.IGNORECASE else points

    def _refused(self, why: str) -> ValueError:
        return ValueError(f"{self._shown} {why}, which a rule cannot follow: write it without")
