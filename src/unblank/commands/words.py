"""From the words of a command line to the settings that they give, and to no others.

A word that starts with two dashes names an option; dashes and underscores in it mean the same.
What is not named is not in the result: nothing is compared with defaults.
"""

import warnings
from collections.abc import Sequence
from dataclasses import MISSING
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from unblank.commands.options import Option

__all__ = ["UnknownOptionError", "named_values", "read_words"]

_OLD_SWITCHES = {"True": True, "true": True, "False": False, "false": False}


class UnknownOptionError(ValueError):
    """There is no such option; the nearest are named."""

    def __init__(self, flag: str, known: Sequence[str]) -> None:
        self.flag = flag
        near = get_close_matches(flag, known, n=3)
        advice = f"did you mean {' or '.join(near)}?" if near else "--help shows all"
        super().__init__(f"unknown option {flag}: {advice}")


def read_words(
    words: Sequence[str], options: Sequence[Option], *, old_switches: bool = False
) -> dict[str, Any]:
    """Return name -> value of the options that the words give.

    Args:
        words: after the command's name.
        options: of the command.
        old_switches: also understand `--switch True` and `--switch False`, with a note.

    Raises:
        UnknownOptionError: an option that there is not.
        ValueError: a value that is missing or of the wrong type, a word too many or too few.
    """
    flags = {option.flag: (option, True) for option in options if not option.is_positional}
    flags |= {option.negative: (option, False) for option in options if option.is_switch}
    given: dict[str, Any] = {}
    free: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not _is_flag(word):
            free.append(word)
            continue
        flag, has_value, value = _flag(word)
        if flag not in flags:
            raise UnknownOptionError(flag, list(flags))
        option, is_on = flags[flag]
        if option.is_switch:
            given[option.name] = _switch(
                option, is_on, [value] * bool(has_value), rest, old_switches
            )
        else:
            taken = [value] if has_value else _take(option, rest)
            given[option.name] = _convert(option, taken)
    given |= _positionals([option for option in options if option.is_positional], free)
    for option in options:
        if option.default is MISSING and not option.may_be_empty and not given.get(option.name):
            raise ValueError(_missing(option))
    return given


def named_values(words: Sequence[str], *flags: str) -> list[str]:
    """Return the values behind flags, before it is known which options there are.

    Args:
        words: after the command's name.
        flags: such as `--suite`.
    """
    values = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        flag, has_value, value = _flag(word)
        if flag in flags:
            values.append(value if has_value else following)
    return values


def _is_flag(word: str) -> bool:
    return word.startswith("--") and word[2:3].isalpha()


def _flag(word: str) -> tuple[str, str, str]:
    flag, has_value, value = word.partition("=")
    return flag.replace("_", "-"), has_value, value


def _switch(
    option: Option, is_on: bool, value: Sequence[str], rest: list[str], old_switches: bool
) -> bool:
    if old_switches and not value and rest and rest[0] in _OLD_SWITCHES:
        value = [rest.pop(0)]
    if not value:
        return is_on
    if not old_switches or value[0] not in _OLD_SWITCHES:
        raise ValueError(
            f"{option.flag} takes no value, got {value[0]!r}: write {option.flag} or "
            f"{option.negative}"
        )
    is_set = _OLD_SWITCHES[value[0]] == is_on
    warnings.warn(
        f"{option.flag} {value[0]} is now written {option.flag if is_set else option.negative}; "
        "the next version will not accept the old form",
        stacklevel=2,
    )
    return is_set


def _take(option: Option, rest: list[str]) -> list[str]:
    taken: list[str] = []
    while rest and not _is_flag(rest[0]) and len(taken) != option.num_values:
        taken.append(rest.pop(0))
    if option.num_values is not None and len(taken) < option.num_values:
        raise ValueError(
            f"{option.flag} needs {_count(option.num_values)}: {option.flag} {option.metavar}"
        )
    return taken


def _count(number: int) -> str:
    return "a value" if number == 1 else f"{number} values"


def _convert(option: Option, words: Sequence[str]) -> Any:
    """Return the value as YAML would hold it: a list for a tuple, else a plain value."""
    if option.is_optional and list(words) == ["None"]:
        return None
    if get_origin(option.hint) is not tuple:
        return _plain(option, option.hint, words[0])
    hints = get_args(option.hint)
    kinds = [hints[0]] * len(words) if option.is_list else hints
    return [_plain(option, hint, word) for hint, word in zip(kinds, words, strict=True)]


def _plain(option: Option, hint: Any, word: str) -> Any:
    what = {int: "a whole number", float: "a number"}.get(hint)
    if what is None:
        return word
    try:
        return hint(word)
    except ValueError:
        raise ValueError(f"{option.flag} is {word!r}: give {what}") from None


def _missing(option: Option) -> str:
    what = f"is missing ({option.text.partition('. ')[0].rstrip('.')})"
    if option.is_positional:
        return f"{option.metavar} {what}: give it before the options"
    return f"{option.flag} {what}: give {option.flag} {option.metavar}"


def _positionals(options: Sequence[Option], words: Sequence[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    rest = list(words)
    for option in options:
        if option.is_list:
            given[option.name], rest = rest, []
        elif rest:
            given[option.name] = _convert(option, [rest.pop(0)])
    if rest:
        known = " ".join(option.metavar for option in options)
        expected = f"only {known} stands" if known else "nothing stands"
        raise ValueError(f"unexpected {rest[0]!r}: {expected} here without an option's name")
    return given
