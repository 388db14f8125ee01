"""YAML as plain strings that know their line, so that a mistake in a file can be named.

`Yes`, `No` and `0` stay what they are. What the strings mean is up to their readers: tasks, and
suites of tasks.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml

from unblank.near_names import did_you_mean
from unblank.untrusted.yaml_text import BoundedLoader, read_yaml

__all__ = ["LineText", "at_line", "build_from_yaml", "find_yaml", "names_in"]

Built = TypeVar("Built")


class LineText(str):
    """A text of a YAML file.

    Attributes:
        line: where it is, counted from 1; 0 is unknown.
    """

    __slots__ = ("line",)
    line: int

    def __new__(cls, text: str, line: int = 0) -> Self:
        """Return the text with its line."""
        made = super().__new__(cls, text)
        made.line = line
        return made


def at_line(text: object) -> str:
    """Return `line N: ` for a text that knows its line, else nothing.

    Example:
        >>> at_line(LineText("Yes", 3)), at_line("Yes")
        ('line 3: ', '')
    """
    line = getattr(text, "line", 0)
    return f"line {line}: " if line else ""


class _Loader(BoundedLoader):
    """Every scalar is a `LineText`."""

    def construct_scalar(self, node: yaml.ScalarNode) -> LineText:
        return LineText(super().construct_scalar(node), node.start_mark.line + 1)


def names_in(folder: Path) -> tuple[str, ...]:
    """Return the names of the YAML files of a folder, without the ending."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def find_yaml(name_or_file: str | Path, folder: Path, kind: str) -> Path:
    """Return the file of the library that has a name, or the user's own file.

    Args:
        name_or_file: a name, or a path that ends in `.yaml` or `.yml`.
        folder: where the library's files lie.
        kind: what the files describe, for messages.

    Raises:
        ValueError: if the library has no such name.
        FileNotFoundError: if the file is not there.
    """
    path = Path(name_or_file)
    if path.suffix not in (".yaml", ".yml"):
        path = folder / f"{name_or_file}.yaml"
        if not path.is_file():
            hint = did_you_mean(name_or_file, names_in(folder), most=3)
            raise ValueError(
                f"{at_line(name_or_file)}there is no {kind} {str(name_or_file)!r}{hint} "
                f"Known: {', '.join(names_in(folder))}; or give a .yaml file"
            )
    if not path.is_file():
        raise FileNotFoundError(f"there is no {kind} file {path}")
    return path


def build_from_yaml(path: Path, build: Callable[[Path, Any], Built]) -> Built:
    """Return what is built of a file, whose mistakes are then named with file and line.

    Args:
        path: the file.
        build: called with the path and with what the file holds, every scalar as a `LineText`; its
            messages may begin with `at_line`.

    Raises:
        ValueError: the file is not YAML, a key occurs twice, or `build` finds a mistake.
    """
    content = read_yaml(path, _Loader)
    try:
        return build(path, content)
    except ValueError as error:
        has_line = str(error).startswith("line ")
        raise ValueError(f"{path}{', ' if has_line else ': '}{error}") from error
