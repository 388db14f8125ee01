"""From the words after a command's name to its settings.

A command has one dataclass of settings, or one a variant (a suite, a mode), which is chosen by a
first look at the words; a training command has a recipe, too, over which its flags stand.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from unblank.commands.help_text import help_text
from unblank.commands.options import Option, options_of
from unblank.commands.words import UnknownOptionError, read_words
from unblank.settings.given import given_names
from unblank.settings.marks import Excludes, Needs, Positional
from unblank.settings.recipes import from_mapping, read_mapping, to_yaml

__all__ = ["NO_VARIANTS", "GivenSettings", "Variants", "parse_recipe", "parse_settings"]

_Settings = TypeVar("_Settings")

_HELP = ("-h", "--help")
_HELP_ALL = ("--help-all", "--help_all")
_PRINT_CONFIG = ("--print-config", "--print_config")


@dataclass(frozen=True, slots=True)
class Variants:
    """The settings of a command's variants.

    Attributes:
        chosen: how the variant at hand is called, such as `--suite lambada`.
        kinds: the dataclass of each by its name.
        more: lines of the help about the others.
    """

    chosen: str = ""
    kinds: Mapping[str, type] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)


NO_VARIANTS = Variants()


@dataclass(frozen=True, slots=True)
class GivenSettings(Generic[_Settings]):
    """The settings of a run, and the dotted names of those that were given (`given_names`)."""

    settings: _Settings
    given: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class _RecipeWords:
    """What a training command takes without a flag."""

    recipe: Positional[str] = ""
    """YAML file of settings; a flag overrides its value of the same name."""


def parse_settings(
    command: str,
    kind: type[_Settings],
    words: Sequence[str],
    *,
    about: str = "",
    usual: Sequence[str] = (),
    variants: Variants = NO_VARIANTS,
) -> _Settings:
    """Return the settings that the words give.

    Args:
        command: its name, such as `fill`.
        kind: dataclass of the settings.
        words: after the command's name.
        about: what the command does, for the help; empty takes the docstring of `kind`.
        usual: names of the options that the short help shows; none are all.
        variants: the other dataclasses that the command might have had.

    Raises:
        SystemExit: after `--help` (code 0).
        ValueError: an option that there is not, or a value that does not fit.
    """
    options = options_of(kind)
    _print_help(command, about or kind.__doc__ or "", options, words, usual, variants.more)
    try:
        given = read_words(words, options)
    except UnknownOptionError as error:
        raise _explained(error, variants) from None
    _check_marks(options, given)
    return _made(kind, _nested(given))


def parse_recipe(
    command: str,
    kind: type[_Settings],
    words: Sequence[str],
    *,
    about: str,
    usual: Sequence[str],
    advice: str,
) -> GivenSettings[_Settings]:
    """Return the settings that a recipe and flags over it give.

    Args:
        command: its name, such as `pretrain`.
        kind: dataclass of the whole; every field has a default.
        words: after the command's name: perhaps a recipe, then flags such as
            `--train.max-steps 100`; `--print-config` prints the resulting recipe.
        about: what the command does, for the help.
        usual: names of the options that the short help shows.
        advice: where recipes are found.

    Raises:
        SystemExit: after `--help` and `--print-config` (code 0).
        FileNotFoundError: if the recipe is not there.
        ValueError: an option that there is not, or a value that does not fit.
    """
    more = {"--print-config": "Print the resulting recipe, whole, and stop."}
    options = (*options_of(_RecipeWords), *options_of(kind))
    _print_help(command, about, options, words, usual, more)
    asked = [word for word in words if word not in _PRINT_CONFIG]
    given = read_words(asked, options, old_switches=True)
    path = given.pop("recipe", None)
    recipe = read_mapping(path, advice) if path else {}
    mapping = _over(recipe, _nested(given)) if isinstance(recipe, Mapping) else recipe
    try:
        settings = _made(kind, mapping)
    except ValueError as error:
        if path:
            _require_readable(kind, recipe, path)
        raise error
    if len(asked) < len(words):
        sys.stdout.write(to_yaml(settings))
        raise SystemExit(0)
    return GivenSettings(settings, given_names(settings, flags=given, recipe=recipe))


def _print_help(
    command: str,
    about: str,
    options: Sequence[Option],
    words: Sequence[str],
    usual: Sequence[str],
    more: Mapping[str, str],
) -> None:
    wants_all = any(word in _HELP_ALL for word in words)
    if wants_all or any(word in _HELP for word in words):
        shown = () if wants_all else usual
        print(help_text(f"unblank {command}", about, options, usual=shown, more=more))
        raise SystemExit(0)


def _explained(error: UnknownOptionError, variants: Variants) -> ValueError:
    """Say of an option of another variant to which one it belongs."""
    homes = [
        name
        for name, kind in variants.kinds.items()
        if any(error.flag in (option.flag, option.negative) for option in options_of(kind))
    ]
    if not homes:
        return error
    return ValueError(
        f"{error.flag} does not apply to {variants.chosen}, only to {', '.join(homes)}: leave it "
        "out"
    )


def _check_marks(options: Sequence[Option], given: Mapping[str, Any]) -> None:
    """Raise ValueError for an option without the one that it needs, or beside one it excludes."""
    flags = {o.name: o.metavar.strip("[]") if o.is_positional else o.flag for o in options}
    is_given = {
        name for name, value in given.items() if value is not False and value not in (None, [])
    }
    for option in options:
        if option.name not in is_given:
            continue
        for mark in option.marks:
            if isinstance(mark, Needs) and mark.other not in is_given:
                raise ValueError(
                    f"{flags[option.name]} means nothing without {flags[mark.other]}: give "
                    f"{flags[mark.other]}, or leave it out"
                )
            if isinstance(mark, Excludes):
                for other in is_given.intersection(mark.others):
                    raise ValueError(
                        f"{flags[option.name]} and {flags[other]} exclude each other: give one of "
                        "them"
                    )


def _made(kind: type[_Settings], mapping: object) -> _Settings:
    try:
        return from_mapping(kind, mapping)
    except TypeError as error:  # a value of the wrong type is the user's slip, not a bug of ours
        raise ValueError(str(error)) from error


def _require_readable(kind: type[Any], recipe: object, path: str) -> None:
    """Raise ValueError, with the path, if it is the recipe itself that does not fit."""
    try:
        _made(kind, recipe)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _nested(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted names as sections, as in a recipe."""
    mapping: dict[str, Any] = {}
    for name, value in given.items():
        *sections, last = name.split(".")
        place = mapping
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return mapping


def _over(recipe: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe with the flags' values, section by section."""
    merged = dict(recipe)
    for name, value in flags.items():
        old = merged.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[name] = _over(old, value) if both else value  # type: ignore[arg-type]
    return merged
