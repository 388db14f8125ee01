"""The words after a command's name, read by `argparse`: what they give, and nothing else.

The parser has no defaults, so that its namespace holds what was given. What a value may be, beyond
a number or a text, is checked where recipes are, too: `unblank.settings.recipes`.
"""

import argparse
import shutil
import textwrap
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from difflib import get_close_matches
from inspect import cleandoc
from typing import Any

from unblank.commands.options import Option

__all__ = ["HelpPage", "UnknownOptionError", "named_values", "read_words"]

_HELP = ("-h", "--help", "--help-all")
_OLD_SWITCHES = {"True": 0, "true": 0, "False": 1, "false": 1}


class UnknownOptionError(ValueError):
    """Raised for an option that does not exist; names the nearest ones."""

    def __init__(self, flag: str, known: Collection[str]) -> None:
        self.flag = flag
        near = get_close_matches(flag, known, n=3)
        advice = f"did you mean {' or '.join(near)}?" if near else "--help shows all"
        super().__init__(f"unknown option {flag}: {advice}")


@dataclass(frozen=True, slots=True)
class HelpPage:
    """What `--help` prints besides the options.

    Attributes:
        command: such as `unblank fill`.
        about: what the command does.
        usual: names of the options that it shows; empty for all, as with `--help-all`.
        more: further words, and what they do.
    """

    command: str = "unblank"
    about: str = ""
    usual: Collection[str] = ()
    more: Mapping[str, str] = field(default_factory=dict)


def read_words(
    words: Sequence[str],
    options: Sequence[Option],
    page: HelpPage | None = None,
    *,
    has_recipe: bool = False,
) -> dict[str, Any]:
    """Return name -> value of the options that the words give.

    Args:
        words: after the command's name.
        options: of the command.
        page: what `--help` prints besides them.
        has_recipe: whether the words override a recipe. A list may then be given without values,
            which empties it, and `--switch True` and `--switch False` are understood, with a note.

    Raises:
        SystemExit: after `--help` and `--help-all` (code 0), which override all other words.
        UnknownOptionError: an option that does not exist.
        ValueError: a value that is missing or of the wrong type, a word too many or too few.
    """
    end = list(words).index("--") if "--" in words else len(words)
    named = list(_with_dashes(words[:end]))
    named = [word for word in named if word in _HELP] or named
    if has_recipe:
        named = list(_without_old_switches(named, options))
    known = [*_HELP, *(flag for option in options for flag in option.flags)]
    for word in named:
        if _is_flag(word) and word.partition("=")[0] not in known:
            raise UnknownOptionError(word.partition("=")[0], known)
    parser = _parser(
        options, page or HelpPage(), shows_all="--help-all" in named, may_be_empty=has_recipe
    )
    try:
        namespace, free = parser.parse_known_intermixed_args([*named, *words[end:]])
    except argparse.ArgumentError as error:
        name = (error.argument_name or "").replace("/", " or ")
        raise ValueError(f"{name}: {error.message}; --help explains it") from None
    if free:
        places = " ".join(option.usage for option in options if option.is_positional)
        expected = f"only {places} can" if places else "nothing can"
        raise ValueError(f"unexpected {free[0]!r}: {expected} be given without a flag")
    return _complete(vars(namespace), options)


def named_values(words: Sequence[str], *flags: str) -> list[str]:
    """Return the values after flags, before it is known which options there are.

    Args:
        words: after the command's name.
        flags: such as `--suite`.
    """
    parser = _Parser()
    parser.add_argument(*flags, dest="found", action="append", nargs="?", const="", default=[])
    return list(parser.parse_known_args(list(_with_dashes(words)))[0].found)


class _Parser(argparse.ArgumentParser):
    """Knows no defaults, and takes only words such as `--name` for options.

    For `argparse` alone, any word with a dash in front is one, also a text such as `-x`.
    """

    def __init__(self, **texts: Any) -> None:
        super().__init__(
            argument_default=argparse.SUPPRESS,
            formatter_class=_Formatter,
            add_help=False,
            allow_abbrev=False,
            exit_on_error=False,
            **texts,
        )

    def _parse_optional(self, arg_string: str) -> Any:
        is_option = _is_flag(arg_string) or arg_string in _HELP
        return super()._parse_optional(arg_string) if is_option else None

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print a message; `argparse` says nothing of an output that cannot be written."""
        print(message, end="", file=file)


class _Switch(argparse.Action):
    """`--name` and `--no-name`; `argparse.BooleanOptionalAction` knows no `--section.no-name`."""

    def __call__(self, parser: Any, namespace: Any, values: Any, flag: str | None = None) -> None:
        setattr(namespace, self.dest, flag == self.option_strings[0])


class _Formatter(argparse.HelpFormatter):
    """Keeps paragraphs apart, commands on their line, and names with dashes whole."""

    def __init__(self, prog: str) -> None:
        width = min(shutil.get_terminal_size().columns, 100)
        super().__init__(prog, max_help_position=26, width=width)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            paragraph
            if paragraph.startswith("unblank ")
            else "\n".join(self._split_lines(" ".join(paragraph.split()), width))
            for paragraph in text.split("\n\n")
        )


def _parser(
    options: Sequence[Option], page: HelpPage, *, shows_all: bool, may_be_empty: bool
) -> _Parser:
    usual = () if shows_all else page.usual
    assert {o.name for o in options}.issuperset(page.usual), f"{page.usual} of {page.command}"
    hidden = {o.name for o in options if usual and not o.is_positional} - set(usual)
    places = [option.usage for option in options if option.is_positional]
    more = [f"{words}: {what}" for words, what in page.more.items()]
    more += [f"{len(hidden)} more options: {page.command} --help-all"] * bool(hidden)
    has_flags = len(places) < len(options)
    parser = _Parser(
        usage=" ".join([page.command, *places, *["[options]"] * has_flags]),
        description=cleandoc(page.about),
        epilog="\n\n".join(more),
    )
    parser.add_argument(*_HELP, action="help", help=argparse.SUPPRESS)
    groups: dict[str | None, Any] = {}
    # What stands without a flag comes first, as in the line of usage.
    for option in sorted(options, key=lambda option: not option.is_positional):
        title = None if option.is_positional else option.section or "Options"
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        text = argparse.SUPPRESS if option.name in hidden else option.help.replace("%", "%%")
        _add(groups[title].add_argument, option, text, may_be_empty=may_be_empty)
    return parser


def _add(
    add_argument: Callable[..., object], option: Option, text: str, *, may_be_empty: bool
) -> None:
    if option.is_switch:
        add_argument(*option.flags, dest=option.name, action=_Switch, nargs=0, help=text)
        return
    value = {"metavar": option.metavar, "nargs": option.nargs, "type": _reader(option)}
    if option.is_positional:
        add_argument(option.name, help=text, **value)
        return
    if option.nargs == "*" and not may_be_empty:
        value["nargs"] = "+"
    add_argument(option.flag, dest=option.name, help=text, **value)


def _reader(option: Option) -> Callable[[str], Any]:
    kind = option.item if option.item in (int, float) else str

    def read(word: str) -> Any:
        return None if word == "None" and option.is_optional else kind(word)

    read.__name__ = kind.__name__  # argparse names it in the message if a word does not fit
    return read


def _is_flag(word: str) -> bool:
    return word.startswith("--") and word[2:3].isalpha()


def _with_dashes(words: Sequence[str]) -> Iterator[str]:
    """Yield the words; underscores in the name of an option mean dashes."""
    for word in words:
        flag, equals, value = word.partition("=")
        yield flag.replace("_", "-") + equals + value if _is_flag(word) else word


def _without_old_switches(words: Sequence[str], options: Sequence[Option]) -> Iterator[str]:
    """Yield the words, with `--no-switch` for `--switch False` and a note that says so."""
    switches = {option.flag: option.flags for option in options if option.is_switch}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        flag, _, value = word.partition("=")
        if flag not in switches or (value or "".join(rest[:1])) not in _OLD_SWITCHES:
            yield word
            continue
        value = value or rest.pop(0)
        new = switches[flag][_OLD_SWITCHES[value]]
        message = f"{flag} {value} is now written {new}; the next version will not accept the "
        warnings.warn(message + "old form", stacklevel=2)
        yield new


def _complete(given: dict[str, Any], options: Sequence[Option]) -> dict[str, Any]:
    """Return what is given, with texts that may be none; raise ValueError for what is missing."""
    for option in options:
        name = option.name
        if given.get(name) == [None]:  # the word None for a tuple that is optional
            given[name] = None
        if option.default is not MISSING or given.get(name):
            continue
        if option.needs_value:
            what = option.text.partition(". ")[0].rstrip(".")
            values = f"{option.metavar} ..." if option.nargs == "*" else option.metavar
            advice = "" if option.is_positional else f": give {option.flag} {values}"
            raise ValueError(f"{option.flag} is missing ({what}){advice}")
        given[name] = []
    return given
