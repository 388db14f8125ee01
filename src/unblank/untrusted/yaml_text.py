"""YAML of any origin: bounded before it is built, so that a small file cannot cost hours.

Aliases are counted as often as they stand for something, and nesting is limited; no tag builds an
object, and no key of a mapping may occur twice.
"""

from pathlib import Path
from typing import Any

import yaml

__all__ = ["BoundedLoader", "read_yaml"]

_MOST_BYTES = 2**20
_MOST_NODES = 20_000
_DEEPEST = 50
_LONGEST_NUMBER = 100
"""Characters of a scalar that may be a number or a date; a longer one is a text."""


class BoundedLoader(yaml.BaseLoader):
    """A loader of strings, lists and mappings that refuses what would grow without bound."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._num_nodes = self._depth = 0
        self._sizes: dict[str | None, int] = {}

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # PyYAML's name
        """Count open brackets where they are read: PyYAML's time grows with their square."""
        self._require_depth(self.flow_level)
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Count a node with all that it holds, an alias like what it stands for."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line, before = event.start_mark.line + 1, self._num_nodes
        self._num_nodes += 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self.anchors and event.anchor not in self._sizes:
                raise ValueError(f"line {line}: *{event.anchor} holds itself")
            self._num_nodes += self._sizes.get(event.anchor, 0)
        if self._num_nodes > _MOST_NODES:
            raise ValueError(f"line {line}: it unfolds to more than {_MOST_NODES:,} values")
        self._depth += 1
        self._require_depth(self._depth)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent) and event.anchor is not None:
            self._sizes[event.anchor] = self._num_nodes - before
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that occurs twice, of which the last would win in silence."""
        names = set[str]()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in names and key.value != "<<":
                line = key.start_mark.line + 1
                raise ValueError(f"line {line}: {key.value!r} occurs twice: rename or drop one")
            names.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def _require_depth(self, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError(f"line {self.line + 1}: it is nested more than {_DEEPEST} levels deep")


class _PlainLoader(BoundedLoader, yaml.SafeLoader):
    """A bounded loader that also understands numbers, dates, truth values and null."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Take no long scalar for a number: in base 60 its time grows with the square."""
        if kind is yaml.ScalarNode and len(value) > _LONGEST_NUMBER and implicit[0]:
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]


def read_yaml(path: Path, loader: type[BoundedLoader] = _PlainLoader) -> Any:
    """Return what a YAML file holds.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not YAML in UTF-8, a key occurs twice, or it is too large, too deep or
            unfolds to too much.
    """
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise ValueError(f"{path} has {size:,} bytes: at most {_MOST_BYTES:,} are read as YAML")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}," if error.problem_mark else ""
        reason = ", ".join(filter(None, (error.context, error.problem)))
        raise ValueError(f"{path}{line} is not valid YAML: {reason[:200]}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    except ValueError as error:
        has_line = str(error).startswith("line ")
        raise ValueError(f"{path}{', ' if has_line else ': '}{error}") from error
