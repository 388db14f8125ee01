"""Which settings were given, as against what they are set to.

A setting that was given and that the run does not use is refused, whatever its value: also if the
value happens to be the default.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

__all__ = ["given_names", "refuse_unused"]


def given_names(mapping: Mapping[str, Any]) -> frozenset[str]:
    """Return the dotted names that a nested mapping gives, such as `train.max_steps`.

    Args:
        mapping: what a recipe and flags give, nested as in a recipe.

    Example:
        >>> sorted(given_names({"task": "rte", "train": {"seed": 1, "max_steps": 9}}))
        ['task', 'train.max_steps', 'train.seed']
    """
    return frozenset(_names(mapping, ""))


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


def _names(mapping: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
