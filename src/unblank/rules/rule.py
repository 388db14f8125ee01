"""Rules as values, as short text and as JSON. Standard library only, so that `--help` is quick."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Literal

from unblank.settings.ranges import NotNegative, check_values
from unblank.unicode import require_unicode

__all__ = ["Length", "Rule", "RuleLike", "read_rules"]

Length = int | tuple[int | None, int | None]
"""Exactly so many, or (at least, at most), where None is no bound."""

_LONGEST_PATTERN = 2_000
"""Characters of a regular expression."""
_MOST_TEXT = 100_000
"""Characters of all choices, or of all words, of a rule."""
_GREATEST_LENGTH = 10_000

_TEXTS = ("choices", "contains", "excludes")
_LENGTHS = ("tokens", "words", "characters")
_SHORT_FORM = re.compile(r"\s*(?:(\d{1,9})\s*:\s*)?(\w+)\s*=(.*)", re.DOTALL)
_SHORT_LENGTH = re.compile(r"\s*(\d{1,9})?\s*(\.\.)?\s*(\d{1,9})?\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What the answer in a blank must be like; everything that is given must hold.

    The answer is its text without the spaces before it. Words and choices are taken as the
    tokenizer writes them: in lower case if it lower-cases.

    Example:
        >>> Rule(blank=1, words=(2, 3), excludes=("cat",)).words
        (2, 3)
    """

    blank: NotNegative[int | None] = None
    """Which blank, counted from 0; None for every one."""
    regex: str | None = None
    """Regular expression, in Python's syntax, that the whole answer must match; without
    backreferences and looking around."""
    choices: tuple[str, ...] = ()
    """The answer is one of these."""
    contains: tuple[str, ...] = ()
    """Words, or several in a row, all of which the answer must contain; of forms divided by |, one
    is enough."""
    excludes: tuple[str, ...] = ()
    """Words, or several in a row, none of which it may contain; all forms divided by |."""
    tokens: Length | None = None
    """Number of tokens."""
    words: Length | None = None
    """Number of words: what stands between white space, unless it is punctuation alone."""
    characters: Length | None = None
    """Number of characters."""
    case: Literal["lower", "upper", "title"] | None = None
    """No capital letters, no small letters, or a capital letter first in every word."""
    script: str | None = None
    """digits, letters (and white space), or the script of all letters by its name in Unicode, such
    as Latin, Greek or Han."""

    def __post_init__(self) -> None:
        check_values(self)
        for name in _TEXTS:
            object.__setattr__(self, name, _texts(name, getattr(self, name)))
        for name in _LENGTHS:
            object.__setattr__(self, name, _length(name, getattr(self, name)))
        for name in ("regex", "script"):
            value = getattr(self, name)
            if value is not None:
                require_unicode(value, name)
        if len(self.regex or "") > _LONGEST_PATTERN:
            raise ValueError(
                f"regex has {len(self.regex or ''):,} characters: at most {_LONGEST_PATTERN:,} are "
                "allowed"
            )
        if not self.given:
            names = ", ".join(field.name for field in fields(self) if field.name != "blank")
            raise ValueError(f"a rule says nothing: give one of {names}")

    @property
    def given(self) -> dict[str, Any]:
        """Return name -> value of what it says."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        del values["blank"]
        return {name: value for name, value in values.items() if value not in (None, ())}

    def __str__(self) -> str:
        where = "" if self.blank is None else f"{self.blank}: "
        forms = [
            f"{where}{name}={_cut(text)}"
            for name, one in self.given.items()
            for text in _short(name, one)
        ]
        # Several as a command line takes them: a word between them could be one of the words.
        return forms[0] if len(forms) == 1 else shlex.join(forms)


RuleLike = Rule | str | Mapping[str, Any]
"""A rule, its short form such as `1: words=2..3`, or its fields by name."""


def read_rules(given: Sequence[RuleLike] | RuleLike) -> tuple[Rule, ...]:
    """Return rules from any of their forms.

    Args:
        given: rules, short forms `[BLANK:] NAME=VALUE` or mappings of the fields of `Rule`, one or
            several. In a short form a length is `3`, `2..5`, `2..` or `..5`, and choices are
            divided by `|`.

    Raises:
        ValueError: a name that does not exist, or a value that is not possible.
        TypeError: something else, or a value of the wrong type.

    Example:
        >>> read_rules(["1: words=2..", "choices=yes|no"])[0].words
        (2, None)
    """
    if isinstance(given, Rule | str | Mapping):
        return (_read_rule(given),)
    if not isinstance(given, Sequence):
        raise TypeError(f"rules are {given!r}: give a list of them")
    return tuple(map(_read_rule, given))


def _read_rule(given: object) -> Rule:
    if isinstance(given, Rule):
        return given
    if isinstance(given, str):
        return _from_text(given)
    if not isinstance(given, Mapping):
        raise TypeError(f"a rule is {given!r}: give a Rule, a text or a mapping")
    for name in given:
        _require_name(name)
    return Rule(**given)


def _from_text(text: str) -> Rule:
    match = _SHORT_FORM.fullmatch(text)
    if match is None:
        raise ValueError(
            f"the rule {_cut(repr(text))} is not [BLANK:] NAME=VALUE, such as 'words=2..3' or "
            r"'1: regex=\d{4}'"
        )
    blank, name, value = match.groups()
    _require_name(name)
    values: dict[str, Any] = {name: value}
    if name in _LENGTHS:
        values[name] = _short_length(name, value)
    elif name == "choices":
        values[name] = tuple(value.split("|"))
    elif name in _TEXTS:
        values[name] = (value,)
    return Rule(blank=None if blank is None else int(blank), **values)


def _require_name(name: object) -> None:
    known = [field.name for field in fields(Rule)]
    if name not in known:
        near = get_close_matches(str(name), known, n=1)
        advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        raise ValueError(f"a rule has no {str(name)[:40]!r}: {advice}")


def _short_length(name: str, text: str) -> Length:
    match = _SHORT_LENGTH.fullmatch(text)
    low, dots, high = match.groups() if match else (None, None, None)
    if dots and (low or high):
        return (int(low) if low else None, int(high) if high else None)
    if low and not dots and not high:
        return int(low)
    raise ValueError(f"{name} is {text[:40]!r}: write 3, 2..5, 2.. or ..5")


def _length(name: str, given: Any) -> Length | None:
    if given is None:
        return None
    if isinstance(given, str):
        return _length(name, _short_length(name, given))
    bounds = given if isinstance(given, tuple | list) else (given, given)
    is_count = [one is None or (type(one) is int and one >= 0) for one in bounds]
    if len(bounds) != 2 or not all(is_count) or bounds == (None, None):
        raise ValueError(
            f"{name} is {given!r}: give a whole number, or at least and at most, such as (2, 5)"
        )
    low, high = bounds
    if high is not None and (low or 0) > high:
        raise ValueError(
            f"{name} is {given!r}: at least {low} and at most {high} exclude each other"
        )
    if max(low or 0, high or 0) > _GREATEST_LENGTH:
        raise ValueError(f"{name} is {given!r}: at most {_GREATEST_LENGTH:,} is allowed")
    return given if isinstance(given, int) else (low, high)


def _texts(name: str, given: Any) -> tuple[str, ...]:
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, tuple | list) or not all(isinstance(one, str) for one in texts):
        raise TypeError(f"{name} should be texts, got {given!r}")
    for one in texts:
        require_unicode(one, name)
    if any(not one.strip() for one in texts):
        raise ValueError(f"the texts of {name} hold an empty one: leave it out")
    if sum(map(len, texts)) > _MOST_TEXT:
        raise ValueError(f"the texts of {name} have over {_MOST_TEXT:,} characters: give fewer")
    return tuple(texts)


def _short(name: str, value: Any) -> tuple[str, ...]:
    """Return the values of the short forms that say it."""
    if name == "choices":
        return ("|".join(value),)
    if name in _TEXTS:
        return tuple(value)
    if isinstance(value, tuple):
        low, high = ("" if one is None else str(one) for one in value)
        return (f"{low}..{high}",)
    return (str(value),)


def _cut(text: str, length: int = 80) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
