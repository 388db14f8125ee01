"""Names of weights in a checkpoint, and ours."""

import re
from collections.abc import Sequence

__all__ = ["KeyPatterns", "translated"]

KeyPatterns = Sequence[tuple[str, str]]
"""Pattern of a whole key, and our name, with the pattern's groups."""


def translated(key: str, patterns: KeyPatterns) -> str | None:
    r"""Return our name by the first pattern that fits, or None.

    Example:
        >>> translated("fc1.bias", [("fc1.(.+)", r"mlp.up_proj.\1")])
        'mlp.up_proj.bias'
    """
    for pattern, replacement in patterns:
        if match := re.fullmatch(pattern, key):
            return match.expand(replacement)
    return None
