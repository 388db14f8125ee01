"""Looking a preset up by name, for the tables of sizes of all families."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

__all__ = ["preset_fields", "unknown_preset"]


def preset_fields(
    name: str, presets: Mapping[str, Mapping[str, Any]], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of a preset with some of them replaced.

    Args:
        name: of the preset; case does not matter.
        presets: name in lower case -> fields of a configuration.
        overrides: fields to replace or add.

    Raises:
        ValueError: no such preset; the nearest names are offered.
    """
    key = name.lower()
    if key not in presets:
        raise unknown_preset(name, list(presets))
    return {**presets[key], **overrides}


def unknown_preset(name: str, known: Sequence[str]) -> ValueError:
    """Return the error that offers the nearest names of presets."""
    near = get_close_matches(name.lower(), known, n=3) or known
    return ValueError(f"unknown preset {name!r}: did you mean {', '.join(near)}?")
