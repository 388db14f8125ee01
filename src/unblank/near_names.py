"""Names that somebody may have meant, for a message about one that there is not."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

__all__ = ["did_you_mean", "near_paths"]


def did_you_mean(name: object, known: Iterable[object], *, most: int = 1) -> str:
    """Return the end of a message that offers similar names; empty if there are none.

    Example:
        >>> did_you_mean("premises", ["premise", "hypothesis"]), did_you_mean("x", ["premise"])
        ("; did you mean 'premise'?", '')
    """
    near = get_close_matches(str(name), map(str, known), n=most)
    return f"; did you mean {', '.join(map(repr, near))}?" if near else ""


def near_paths(path: Path, *, only_folders: bool = False) -> str:
    """Return the end of a message that offers what has a similar name beside a missing path."""
    beside = [
        one
        for one in path.parent.glob("*")
        if one.name != path.name and (one.is_dir() or not only_folders)
    ]
    near = get_close_matches(path.name, [one.name for one in beside])
    return f"; did you mean {', '.join(str(path.parent / name) for name in near)}?" if near else ""
