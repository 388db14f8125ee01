"""Marks at the fields of settings, for commands and Python calls. Standard library alone.

`Positional[str]` is given without a flag; `Annotated[bool, Needs("output")]` has no effect unless
the other setting is given, and `Excludes("json", "stream")` cannot stand beside the others. Both
are checked for flags, and for the keywords of `unblank.calls`. A `PathText` may be or hold a path:
wherever it is read, `~` is expanded. A `Path` is on a disk; a `DataPath` may be a URL, too.

Example:
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Copy:
    ...     source: Positional[str]
    ...     output: str = ""
    ...     overwrite: Annotated[bool, Needs("output")] = False
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

__all__ = [
    "DataMark",
    "DataPath",
    "Excludes",
    "Needs",
    "PathMark",
    "PathText",
    "Positional",
    "PositionalMark",
]

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class PositionalMark:
    """Given without a flag, in the order of the fields."""


@dataclass(frozen=True, slots=True)
class PathMark:
    """A text that names files, perhaps with other words: `~/a.en:~/a.de`."""


@dataclass(frozen=True, slots=True)
class DataMark:
    """A path of text or data, which may be a URL."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Has no effect unless the other setting is given, too."""

    other: str


@dataclass(frozen=True, slots=True, init=False)
class Excludes:
    """Cannot be given together with any of the other settings."""

    others: tuple[str, ...]

    def __init__(self, *others: str) -> None:
        object.__setattr__(self, "others", others)


Positional = Annotated[Value, PositionalMark()]
PathText = Annotated[str, PathMark()]
DataPath = Annotated[Path, DataMark()]
