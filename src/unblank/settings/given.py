"""Which settings were given, as against what they are set to.

A setting that was given and that the run does not use is refused. A flag counts with any value,
also if that happens to be the default. A recipe counts where it differs from the default: the file
that a run writes beside its model names every setting, and must be a recipe of the same run.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from unblank.settings.marks import Excludes
from unblank.settings.recipes import to_mapping

__all__ = ["changed_names", "given_names", "recipe_beside", "refuse_unused"]


def given_names(
    settings: object, *, flags: Collection[str], recipe: Mapping[str, Any]
) -> frozenset[str]:
    """Return the dotted names of the settings that were given, such as `train.max_steps`.

    Args:
        settings: what flags and recipe make together; every field has a default.
        flags: dotted names that flags gave.
        recipe: what a recipe holds, nested.
    """
    values, defaults = dict(_leaves(settings)), dict(_leaves(type(settings)()))
    named = {name for name, _ in _walk(recipe, "")}
    return frozenset(flags) | {name for name in named if values.get(name) != defaults.get(name)}


def changed_names(settings: object) -> frozenset[str]:
    """Return the dotted names of the settings that are not as they are by default.

    What was given is known to a command; a library call knows only this.
    """
    return given_names(settings, flags=(), recipe=to_mapping(settings))


def recipe_beside(kind: type, given: Collection[str], recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe without what given settings exclude, so that they override it, too.

    Args:
        kind: dataclass of the settings; fields are marked by `unblank.settings.marks.Excludes`.
        given: dotted names of the settings that were given beside the recipe.
        recipe: nested.

    Raises:
        ValueError: two of those that were given exclude each other.
    """
    kept = dict(recipe)
    for name, others in _exclusions(kind, ""):
        if name not in given:
            continue
        for other in others:
            if other in given:
                raise ValueError(f"{name} and {other} exclude each other: give one of them")
            section, _, last = other.rpartition(".")
            if isinstance(kept.get(section), Mapping):
                kept[section] = {key: kept[section][key] for key in kept[section] if key != last}
    return kept


def refuse_unused(given: Collection[str], unused: Mapping[str, str]) -> None:
    """Raise ValueError for the first setting that was given in vain.

    Args:
        given: dotted names, from `given_names`.
        unused: dotted name of a section or a setting that the run does not use -> why, as the
            second half of a sentence: `--method full trains no adapters`.

    Example:
        >>> refuse_unused({"lora.rank"}, {"lora": "--method full trains no adapters"})
        Traceback (most recent call last):
        ...
        ValueError: lora.rank is given, but --method full trains no adapters: leave it out
    """
    for name in sorted(given):
        for unused_name, why in unused.items():
            if name == unused_name or name.startswith(f"{unused_name}."):
                raise ValueError(f"{name} is given, but {why}: leave it out")


def _exclusions(kind: type, prefix: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the dotted name of each marked setting, and those that it excludes."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint = hints[field.name]
        if isinstance(hint, type) and is_dataclass(hint):
            yield from _exclusions(hint, f"{prefix}{field.name}.")
        for mark in getattr(hint, "__metadata__", ()):
            if isinstance(mark, Excludes):
                yield f"{prefix}{field.name}", mark.others


def _leaves(settings: object) -> Iterator[tuple[str, Any]]:
    return _walk(to_mapping(settings), "")


def _walk(mapping: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _walk(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
