r"""Regular expressions with "and" and "not", and what is left of one after a character.

By Brzozowski's derivatives (Derivatives of Regular Expressions, 1964): the derivative of an
expression by a character is what must follow it. Equal expressions are one number, so that they are
the states of an automaton; a repetition counts down and is never written out.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from unblank.rules.code_points import CodePoints

__all__ = ["ANYTHING", "EMPTY", "NOTHING", "Expressions", "TooLargeError"]

ExpressionKind = Literal["nothing", "empty", "set", "concat", "either", "both", "not", "repeat"]

NOTHING, EMPTY, ANYTHING = 0, 1, 2
"""No text at all; the empty text; every text."""

_MOST_DERIVED = 1_000_000
"""Parts of expressions that are looked at; about two seconds."""


class TooLargeError(ValueError):
    """An automaton would be larger than is allowed."""


class Expressions:
    """Expressions by number; each is made once."""

    def __init__(self) -> None:
        self._set_numbers: dict[CodePoints, int] = {}
        self._kinds: list[ExpressionKind] = []
        self._parts: list[tuple[int, ...]] = []
        self._takes_empty: list[bool] = []
        self._numbers: dict[tuple[ExpressionKind, tuple[int, ...]], int] = {}
        self._derivatives: dict[tuple[int, int], int] = {}
        self._firsts: dict[int, frozenset[int] | None] = {}
        self._classes: Sequence[frozenset[int]] = ()
        self._num_steps = 0
        self._make("nothing", (), False)
        self._make("empty", (), True)
        self._make("not", (NOTHING,), True)

    @property
    def sets(self) -> list[CodePoints]:
        """The sets of code points that occur."""
        return list(self._set_numbers)

    def takes_empty(self, expression: int) -> bool:
        """Whether the empty text matches."""
        return self._takes_empty[expression]

    def characters(self, points: CodePoints) -> int:
        """Return the expression of one character out of a set."""
        if not points:
            return NOTHING
        number = self._set_numbers.setdefault(points, len(self._set_numbers))
        return self._make("set", (number,), False)

    def text(self, text: str) -> int:
        """Return the expression of a text."""
        return self.concat([self.characters(((ord(one), ord(one)),)) for one in text])

    def concat(self, parts: Sequence[int]) -> int:
        """Return one after another."""
        whole = EMPTY
        for part in reversed(parts):
            whole = self._followed_by(part, whole)
        return whole

    def either(self, parts: Iterable[int]) -> int:
        """Return the union."""
        flat = self._flat("either", parts) - {NOTHING}
        if ANYTHING in flat:
            return ANYTHING
        if len(flat) < 2:
            return flat.pop() if flat else NOTHING
        return self._make("either", tuple(sorted(flat)), any(map(self.takes_empty, flat)))

    def both(self, parts: Iterable[int]) -> int:
        """Return the intersection."""
        flat = self._flat("both", parts) - {ANYTHING}
        if NOTHING in flat:
            return NOTHING
        if len(flat) < 2:
            return flat.pop() if flat else ANYTHING
        return self._make("both", tuple(sorted(flat)), all(map(self.takes_empty, flat)))

    def negation(self, part: int) -> int:
        """Return every text that does not match."""
        if self._kinds[part] == "not":
            return self._parts[part][0]
        return self._make("not", (part,), not self.takes_empty(part))

    def repeat(self, part: int, low: int, high: int | None) -> int:
        """Return `low` to `high` of them one after another; None is no bound."""
        if part == NOTHING:
            return EMPTY if low == 0 else NOTHING
        if part == EMPTY or high == 0:
            return EMPTY
        if (low, high) == (1, 1) or part == ANYTHING:
            return part
        if self._kinds[part] == "repeat" and self._parts[part][1:] == (0, -1):
            return part
        low = 0 if self.takes_empty(part) else low
        return self._make("repeat", (part, low, -1 if high is None else high), low == 0)

    def divide(self, classes: Sequence[frozenset[int]]) -> None:
        """Say which classes of characters make up each set; then there are derivatives."""
        self._classes = classes

    def derivative(self, expression: int, class_id: int) -> int:
        """Return what must follow a character of a class.

        Raises:
            TooLargeError: after `_MOST_DERIVED` steps.
        """
        key = (expression, class_id)
        found = self._derivatives.get(key)
        if found is None:
            found = self._derivatives[key] = self._new_derivative(expression, class_id)
        return found

    def firsts(self, expression: int) -> frozenset[int] | None:
        """Return the classes that a match may begin with; None if it may be any of them."""
        if expression not in self._firsts:
            self._firsts[expression] = self._new_firsts(expression)
        return self._firsts[expression]

    def _new_firsts(self, expression: int) -> frozenset[int] | None:
        kind, parts = self._kinds[expression], self._parts[expression]
        match kind:
            case "nothing" | "empty":
                return frozenset()
            case "set":
                return self._classes[parts[0]]
            case "not":
                return None
            case "repeat":
                return self.firsts(parts[0])
            case "concat":
                parts = parts if self.takes_empty(parts[0]) else parts[:1]
        known = [self.firsts(part) for part in parts]
        sure = [one for one in known if one is not None]
        if kind == "both":
            return frozenset.intersection(*sure) if sure else None
        return frozenset().union(*sure) if len(sure) == len(known) else None

    def _new_derivative(self, expression: int, class_id: int) -> int:
        kind, parts = self._kinds[expression], self._parts[expression]
        self._num_steps += 1 + len(parts)
        if self._num_steps > _MOST_DERIVED:
            raise TooLargeError
        match kind:
            case "nothing" | "empty":
                return NOTHING
            case "set":
                return EMPTY if class_id in self._classes[parts[0]] else NOTHING
            case "concat":
                first, rest = parts
                after = self._followed_by(self.derivative(first, class_id), rest)
                if not self.takes_empty(first):
                    return after
                return self.either([after, self.derivative(rest, class_id)])
            case "either":
                return self.either([self.derivative(part, class_id) for part in parts])
            case "both":
                return self.both([self.derivative(part, class_id) for part in parts])
            case "not":
                return self.negation(self.derivative(parts[0], class_id))
            case "repeat":
                part, low, high = parts
                rest = self.repeat(part, max(low - 1, 0), None if high < 0 else high - 1)
                return self._followed_by(self.derivative(part, class_id), rest)

    def _followed_by(self, first: int, rest: int) -> int:
        if NOTHING in (first, rest):
            return NOTHING
        if first == EMPTY or (first == ANYTHING and rest == ANYTHING):
            return rest
        if rest == EMPTY:
            return first
        if self._kinds[first] == "concat":  # to the right, so that equal ones are the same
            start, middle = self._parts[first]
            return self._followed_by(start, self._followed_by(middle, rest))
        takes_empty = self.takes_empty(first) and self.takes_empty(rest)
        return self._make("concat", (first, rest), takes_empty)

    def _flat(self, kind: ExpressionKind, parts: Iterable[int]) -> set[int]:
        flat: set[int] = set()
        for part in parts:
            flat.update(self._parts[part] if self._kinds[part] == kind else (part,))
        return flat

    def _make(self, kind: ExpressionKind, parts: tuple[int, ...], takes_empty: bool) -> int:
        key = (kind, parts)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._kinds)
            self._kinds.append(kind)
            self._parts.append(parts)
            self._takes_empty.append(takes_empty)
        return number
