"""From the words after a command's name to its settings.

A command has one dataclass of settings, or one a variant (a suite, a mode), which is chosen by a
first look at the words; a training command also has a recipe, which its flags override.
"""

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Generic, Literal, TypeVar

from unblank.commands.options import Option, options_of
from unblank.commands.words import HelpPage, UnknownOptionError, read_words
from unblank.settings.given import given_names, recipe_beside
from unblank.settings.marks import Excludes, Needs, Positional
from unblank.settings.ranges import Positive, check_values
from unblank.settings.recipes import from_mapping, read_mapping, to_yaml

__all__ = ["GivenSettings", "Variants", "parse_recipe", "parse_settings", "settings_of_keywords"]

_Settings = TypeVar("_Settings")


@dataclass(frozen=True, slots=True)
class Variants:
    """The settings of a command's variants.

    Attributes:
        chosen: name of the variant at hand, such as `--suite lambada`.
        kinds: the dataclass of each by its name.
        more: lines of the help about the others.
        option: name of the option that chooses a variant, if there is one.
        choices: its values, of which the first is the default.
    """

    chosen: str = ""
    kinds: Mapping[str, type] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    option: str = ""
    choices: Sequence[str] = ()


_NO_VARIANTS = Variants()

_OLD_PRINT = "--print-config"


@dataclass(frozen=True, slots=True)
class GivenSettings(Generic[_Settings]):
    """The settings of a run, and the dotted names of those that were given (`given_names`).

    With `dry_run` it is only measured, and nothing is written; with `world` too, its memory is
    planned for that many processes.
    """

    settings: _Settings
    given: frozenset[str]
    dry_run: bool = False
    world: Positive[int | None] = None

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class _RecipeWords:
    """What a training command takes without a flag."""

    recipe: Positional[str] = ""
    """YAML file of settings, or recipe:NAME for one of `unblank recipes`; a flag overrides the
    setting of the same name."""
    print_recipe: bool = False
    """Print the complete resulting recipe and stop."""
    dry_run: bool = False
    """Read the data, measure the first steps, say what the run would take, and write nothing."""
    world: Positive[int | None] = None
    """With --dry-run: say by formulas what each of this many processes would take; none of them is
    started, and no step is made."""


def parse_settings(
    command: str,
    kind: type[_Settings],
    words: Sequence[str],
    *,
    about: str = "",
    usual: Sequence[str] = (),
    variants: Variants = _NO_VARIANTS,
) -> _Settings:
    """Return the settings that the words give.

    Args:
        command: its name, such as `fill`.
        kind: dataclass of the settings.
        words: after the command's name.
        about: what the command does, for the help; empty takes the docstring of `kind`.
        usual: names of the options that the short help shows; empty for all.
        variants: the other dataclasses that the command might have had.

    Raises:
        SystemExit: after `--help` (code 0).
        ValueError: an option that does not exist, or a value that does not fit.
    """
    options = [_choosing(option, variants) for option in options_of(kind)]
    page = HelpPage(f"unblank {command}", about or kind.__doc__ or "", usual, variants.more)
    try:
        given = read_words(words, options, page)
    except UnknownOptionError as error:
        raise _explained(error, variants) from None
    _check_marks(options, given)
    return _made(kind, _with({}, given))


def settings_of_keywords(kind: type[_Settings], given: Mapping[str, Any]) -> _Settings:
    """Return the settings of a command that a Python call gives as keywords.

    A keyword counts as given where its value is not the default.

    Raises:
        ValueError, TypeError: as for `from_mapping`; also a setting without the one that it needs,
            or beside one that it excludes.
    """
    made, options = from_mapping(kind, given), options_of(kind)
    values = {option.name: attrgetter(option.name)(made) for option in options}
    changed = [option for option in options if values[option.name] != option.default]
    _check_marks(options, {option.name: values[option.name] for option in changed})
    return made


def parse_recipe(
    command: str,
    kind: type[_Settings],
    words: Sequence[str],
    *,
    about: str,
    usual: Sequence[str],
    has_dry_run: bool = True,
    complete: Callable[[_Settings, frozenset[str]], _Settings] | None = None,
) -> GivenSettings[_Settings]:
    """Return the settings that a recipe and flags over it give.

    Args:
        command: its name, such as `pretrain`.
        kind: dataclass of the whole; every field has a default.
        words: after the command's name: perhaps a recipe, then flags such as
            `--train.max-steps 100`; `--print-recipe` prints the resulting recipe.
        about: what the command does, for the help.
        usual: names of the options that the short help shows.
        has_dry_run: whether the command has `--dry-run` and `--world`.
        complete: settings without a recipe, dotted names of those that were given -> the settings
            that take their place.

    Raises:
        SystemExit: after `--help` and `--print-recipe` (code 0).
        FileNotFoundError: if the recipe is not there.
        ValueError: an option that does not exist, or a value that does not fit.
    """
    left_out = () if has_dry_run else ("dry_run", "world")
    own = [option for option in options_of(_RecipeWords) if option.name not in left_out]
    options = (own[0], *options_of(kind), *own[1:])
    often = tuple(option.name for option in own[1:] if option.name != "world")
    page = HelpPage(f"unblank {command}", about, (*usual, *often))
    given = read_words(list(_renamed(words)), options, page, has_recipe=True)
    path, prints = given.pop("recipe", None), given.pop("print_recipe", False)
    dry_run, world = given.pop("dry_run", False), given.pop("world", None)
    if world is not None and not dry_run:
        raise ValueError(f"--world {world} needs --dry-run: no other run is planned")
    recipe = read_mapping(path) if path else {}
    mapping = recipe
    if isinstance(recipe, Mapping):
        mapping = _with(recipe_beside(kind, given, recipe), given)
    try:
        settings = _made(kind, mapping)
    except ValueError:
        if path:
            _made(kind, recipe, path)  # if it is the recipe that does not fit, its path is named
        raise
    names = given_names(settings, flags=given, recipe=recipe)
    if complete is not None and not path:
        settings = complete(settings, names)
    if prints:
        sys.stdout.write(to_yaml(settings))
        raise SystemExit(0)
    return GivenSettings(settings, names, dry_run, world)


def _renamed(words: Sequence[str]) -> Iterator[str]:
    """Yield the words, with `--print-recipe` for what version 0.2 called `--print-config`."""
    for word in words:
        if word.replace("_", "-") != _OLD_PRINT:
            yield word
            continue
        warnings.warn(
            f"{_OLD_PRINT} is now called --print-recipe; the next version will not accept the old "
            "name",
            stacklevel=2,
        )
        yield "--print-recipe"


def _choosing(option: Option, variants: Variants) -> Option:
    """Return an option; the one that chooses a variant offers them all, not the one at hand."""
    if option.name != variants.option:
        return option
    return replace(option, hint=Literal[*variants.choices], default=variants.choices[0])


def _explained(error: UnknownOptionError, variants: Variants) -> ValueError:
    """Say to which variant an option of another one belongs."""
    homes = [
        name
        for name, kind in variants.kinds.items()
        if any(error.flag in option.flags for option in options_of(kind))
    ]
    if not homes:
        return error
    return ValueError(
        f"{error.flag} does not apply to {variants.chosen}, only to {', '.join(homes)}: leave it "
        "out"
    )


def _check_marks(options: Sequence[Option], given: Mapping[str, Any]) -> None:
    """Raise ValueError for an option without the one that it needs, or beside one it excludes."""
    flags = {option.name: option.flag for option in options}
    is_given = {
        option.name
        for option in options
        if option.name in given and not _is_nothing(given[option.name], option)
    }
    for option in options:
        if option.name not in is_given or given[option.name] is False:
            continue
        for mark in option.marks:
            if isinstance(mark, Needs) and mark.other not in is_given:
                raise ValueError(
                    f"{flags[option.name]} has no effect without {flags[mark.other]}: give "
                    f"{flags[mark.other]} too, or leave {flags[option.name]} out"
                )
            if isinstance(mark, Excludes):
                for other in is_given.intersection(mark.others):
                    both = f"{flags[option.name]} and {flags[other]}"
                    raise ValueError(f"{both} exclude each other: give one of them")


def _is_nothing(value: Any, option: Option) -> bool:
    """Whether a value gives nothing; turning off a switch that is on by default gives something."""
    return value in (None, [], ()) or (value is False and not option.default)


def _made(kind: type[_Settings], mapping: object, path: str = "") -> _Settings:
    try:
        return from_mapping(kind, mapping)
    except (TypeError, ValueError) as error:  # either is the user's slip, not a bug of ours
        raise ValueError(f"{path}: {error}" if path else str(error)) from error


def _with(mapping: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return sections as in a recipe, with the values of dotted names put in."""
    merged = deepcopy(dict(mapping))
    for name, value in given.items():
        *sections, last = name.split(".")
        place = merged
        for section in sections:
            if not isinstance(place.get(section), dict):
                place[section] = {}
            place = place[section]
        place[last] = value
    return merged
