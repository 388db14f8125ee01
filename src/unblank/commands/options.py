"""The options of a command: the fields of its settings, flattened, each with its help text."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from inspect import get_annotations
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from unblank.settings.marks import PositionalMark

__all__ = ["Option", "options_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting that the command line can give.

    Attributes:
        name: dotted, as in a recipe.
        hint: its type, without marks and without None.
        is_optional: whether None is allowed, and means that it is not given.
        default: what holds if it is not given; `dataclasses.MISSING` if it must be.
        text: its docstring, in one line.
        section: heading under which it is shown.
        marks: from `unblank.settings.marks`.
    """

    name: str
    hint: Any
    is_optional: bool
    default: Any
    text: str
    section: str
    marks: tuple[object, ...]

    @property
    def flag(self) -> str:
        """How it is given, such as `--train.max-steps`."""
        return "--" + self.name.replace("_", "-")

    @property
    def negative(self) -> str:
        """How a setting that is on or off is turned off, such as `--train.no-compile`."""
        section, dot, name = self.name.rpartition(".")
        return f"--{section}{dot}no-{name}".replace("_", "-")

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off, and takes no value."""
        return self.hint is bool

    @property
    def is_positional(self) -> bool:
        """Whether it is given without a flag."""
        return any(isinstance(mark, PositionalMark) for mark in self.marks)

    @property
    def is_list(self) -> bool:
        """Whether it takes any number of values."""
        return get_origin(self.hint) is tuple and get_args(self.hint)[-1] is Ellipsis

    @property
    def may_be_empty(self) -> bool:
        """Whether no word at all is a value, too: texts may come from standard input."""
        return self.is_positional and self.is_list

    @property
    def num_values(self) -> int | None:
        """How many values it takes; None is any number."""
        if get_origin(self.hint) is not tuple:
            return int(not self.is_switch)
        return None if self.is_list else len(get_args(self.hint))

    @property
    def metavar(self) -> str:
        """What stands for its value, such as `N`, `PATH` or `{fp32,bf16}`."""
        if self.is_positional:
            name = self.name.upper()
            if self.is_list:
                return f"[{name} ...]"
            return name if self.default is MISSING else f"[{name}]"
        if self.is_switch:
            return ""
        if get_origin(self.hint) is not tuple:
            return _metavar(self.hint)
        of = [_metavar(hint) for hint in get_args(self.hint) if hint is not Ellipsis]
        return f"{of[0]} ..." if self.is_list else " ".join(of)


def options_of(kind: type) -> tuple[Option, ...]:
    """Return the options of a dataclass, those of nested dataclasses included.

    The fields that a class itself declares come before those that it inherits, and those of nested
    dataclasses last.
    """
    return tuple(_options(kind, ""))


def _options(kind: type, prefix: str) -> Iterator[Option]:
    hints = get_type_hints(kind, include_extras=True)
    found = {field.name: field for field in fields(kind)}
    names = list(found)
    if not prefix:
        names.sort(key=lambda name: _rank(kind, name, hints[name]))
    for name in names:
        hint, marks = _without_marks(hints[name])
        if is_dataclass(hint) and isinstance(hint, type):
            yield from _options(hint, f"{prefix}{name}.")
            continue
        inner, is_optional = _without_none(hint)
        yield Option(
            name=prefix + name,
            hint=inner,
            is_optional=is_optional,
            default=_default(found[name]),
            text=_docstring(kind, name),
            section=_section(kind, _owner(kind, name), is_nested=bool(prefix)),
            marks=marks,
        )


def _rank(kind: type, name: str, hint: Any) -> tuple[bool, int]:
    return is_dataclass(_without_marks(hint)[0]), kind.__mro__.index(_owner(kind, name))


def _owner(kind: type, name: str) -> type:
    """Return the class that declares a field last."""
    return next(one for one in kind.__mro__ if name in get_annotations(one))


def _without_marks(hint: Any) -> tuple[Any, tuple[object, ...]]:
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        return inner, tuple(marks)
    return hint, ()


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    (inner,) = [one for one in get_args(hint) if one is not NoneType]
    return inner, True


def _default(field: "Field[Any]") -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _section(kind: type, owner: type, *, is_nested: bool) -> str:
    """Return the heading of a field: of its section, or of the class that it is inherited from."""
    if owner is kind and not is_nested:
        return ""
    of = kind if is_nested else owner
    return (of.__doc__ or "").strip().partition("\n")[0].rstrip(".")


def _docstring(kind: type, name: str) -> str:
    for one in kind.__mro__:
        if text := _docstrings(one.__module__).get(one.__qualname__, {}).get(name):
            return text
    return ""


@cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Return class -> field -> the string that stands under the field, in one line."""
    path = getattr(sys.modules[module], "__file__", None)
    if path is None:
        return {}
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(Path(path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = dict(_strings_under_fields(node))
    return found


def _strings_under_fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, following in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            yield statement.target.id, " ".join(str(following.value.value).split())


def _metavar(hint: Any) -> str:
    if get_origin(hint) is Literal:
        choices = "{" + ",".join(map(str, get_args(hint))) + "}"
        return choices if len(choices) <= 50 else "NAME"
    return {int: "N", float: "X", Path: "PATH"}.get(hint, "TEXT")
