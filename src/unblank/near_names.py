"""Names that somebody may have meant, for a message about one that there is not."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean"]


def did_you_mean(name: object, known: Iterable[object], *, most: int = 1) -> str:
    """Return the end of a message that offers similar names; empty if there are none.

    Args:
        name: as it was given.
        known: the names that there are.
        most: names to offer.

    Example:
        >>> did_you_mean("premises", ["premise", "hypothesis"]), did_you_mean("x", ["premise"])
        ("; did you mean 'premise'?", '')
    """
    near = get_close_matches(str(name), map(str, known), n=most)
    return f"; did you mean {', '.join(map(repr, near))}?" if near else ""
