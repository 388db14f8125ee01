"""YAML as plain strings that know their line, so that a mistake in a task file can be named.

`Yes`, `No` and `0` stay what they are. What the strings mean is in `task`.
"""

from typing import Any, Self

import yaml

__all__ = ["LineText", "at_line", "read_task_yaml"]


class LineText(str):
    """A text of a YAML file.

    Attributes:
        line: where it stands, counted from 1; 0 is unknown.
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


class _Loader(yaml.BaseLoader):
    """Every scalar is a `LineText`, and no key may stand twice."""

    def construct_scalar(self, node: yaml.ScalarNode) -> LineText:
        return LineText(super().construct_scalar(node), node.start_mark.line + 1)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = set[str]()
        for key, _ in node.value:
            if key.value in names:
                line = key.start_mark.line + 1
                raise ValueError(f"line {line}: {key.value!r} stands twice: rename or drop one")
            if isinstance(key.value, str):
                names.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_task_yaml(text: str) -> Any:
    """Return what a YAML text holds, every scalar as a `LineText`.

    Raises:
        yaml.YAMLError: it is not YAML.
        ValueError: a key stands twice; the message names the line.
    """
    return yaml.load(text, Loader=_Loader)
