"""The text of `--help`: usage, what the command does, and its options in groups."""

import shutil
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING
from inspect import cleandoc
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

from unblank.commands.options import Option

__all__ = ["NO_MORE", "help_text"]

_WIDEST = 100
_INDENT = 26

NO_MORE: Mapping[str, str] = MappingProxyType({})


def help_text(
    command: str,
    about: str,
    options: Sequence[Option],
    *,
    usual: Collection[str] = (),
    more: Mapping[str, str] = NO_MORE,
) -> str:
    """Return the help of a command.

    Args:
        command: such as `unblank fill`.
        about: what it does.
        options: all of them.
        usual: names of those to show; none are all.
        more: further options, and what they do.
    """
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    free = [option for option in options if option.is_positional]
    named = [option for option in options if not option.is_positional]
    shown = [option for option in named if not usual or option.name in usual]
    usage = " ".join(["usage:", command, *(option.metavar for option in free), "[options]"])
    lines = [usage, "", *_paragraphs(about, width), *[""] * bool(free)]
    lines += [line for option in free for line in _entry(option.metavar, _what(option), width)]
    section = None
    for option in shown:
        if option.section != section:
            section = option.section
            lines += ["", *textwrap.wrap(section or "Options", width)]
        lines += _entry(_how(option), _what(option), width)
    lines += [""] * bool(more)
    lines += [line for left, right in more.items() for line in _entry(left, right, width)]
    if len(shown) < len(named):
        lines += ["", f"{len(named) - len(shown)} more options: {command} --help-all"]
    return "\n".join(lines)


def _paragraphs(about: str, width: int) -> Iterator[str]:
    """Yield the paragraphs wrapped; lines that begin with a command are kept as they are."""
    for number, paragraph in enumerate(cleandoc(about).split("\n\n")):
        if number:
            yield ""
        if paragraph.lstrip().startswith("unblank "):
            yield from (line.rstrip() for line in paragraph.splitlines())
        else:
            yield from textwrap.wrap(" ".join(paragraph.split()), width, break_on_hyphens=False)


def _entry(left: str, right: str, width: int) -> Iterator[str]:
    lines = textwrap.wrap(right, max(width - _INDENT, 20), break_on_hyphens=False) or [""]
    if len(left) + 4 > _INDENT:
        yield f"  {left}"
    else:
        yield f"  {left:<{_INDENT - 2}}{lines.pop(0)}".rstrip()
    yield from (" " * _INDENT + line for line in lines)


def _how(option: Option) -> str:
    if option.is_switch:
        section, dot, name = option.name.rpartition(".")
        return f"--{section}{dot}[no-]{name}".replace("_", "-")
    return f"{option.flag} {option.metavar}"


def _what(option: Option) -> str:
    parts = [option.text, *_choices(option), _shown_default(option)]
    return " ".join(part for part in parts if part)


def _choices(option: Option) -> Iterator[str]:
    """Yield the choices that are too many for the place behind the flag."""
    hint = get_args(option.hint)[0] if option.is_list else option.hint
    if get_origin(hint) is Literal and "{" not in option.metavar:
        yield f"One of: {', '.join(map(str, get_args(hint)))}."


def _shown_default(option: Option) -> str:
    value = option.default
    if value is MISSING:
        return "" if option.is_positional else "(required)"
    if value is None or value in ((), ""):
        return "" if "Default: " in option.text else "(optional)"
    if option.is_switch:
        return f"(default: {'on' if value else 'off'})"
    return f"(default: {_words(value)})"


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
