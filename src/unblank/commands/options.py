"""The options of a command: the fields of its settings, flattened, each with its help text."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from inspect import get_annotations
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from unblank.settings.marks import PositionalMark
from unblank.settings.ranges import ONE_OR_MORE

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
        """How it is called, such as `--train.max-steps`, or `MODEL` if it is given without."""
        if self.is_positional:
            return self.metavar
        return "--" + self.name.replace("_", "-")

    @property
    def flags(self) -> tuple[str, ...]:
        """What gives it: none of a word without a flag; a switch can also be turned off."""
        section, dot, name = self.name.rpartition(".")
        negative = f"--{section}{dot}no-{name}".replace("_", "-")
        return (self.flag, negative)[: 0 if self.is_positional else 1 + self.is_switch]

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off, and takes no value."""
        return self.hint is bool

    @property
    def is_positional(self) -> bool:
        """Whether it is given without a flag."""
        return any(isinstance(mark, PositionalMark) for mark in self.marks)

    @property
    def item(self) -> Any:
        """The type of each of its values."""
        return get_args(self.hint)[0] if get_origin(self.hint) is tuple else self.hint

    @property
    def nargs(self) -> int | str | None:
        """How many values it takes, as `argparse` says it."""
        if get_origin(self.hint) is tuple:
            return "*" if Ellipsis in get_args(self.hint) else len(get_args(self.hint))
        return "?" if self.is_positional else None

    @property
    def needs_value(self) -> bool:
        """Whether it must be given; a list without a flag may be empty unless it is marked."""
        if self.is_positional and self.nargs == "*":
            return ONE_OR_MORE in self.marks
        return self.default is MISSING

    @property
    def metavar(self) -> str:
        """What stands for a value, such as `N`, `PATH` or `{fp32,bf16}`."""
        if self.is_positional:
            return self.name.upper()
        if get_origin(self.item) is Literal:
            choices = "{" + ",".join(map(str, get_args(self.item))) + "}"
            return choices if len(choices) <= 50 else "NAME"
        return {int: "N", float: "X", Path: "PATH"}.get(self.item, "TEXT")

    @property
    def usage(self) -> str:
        """How its place is shown if it is given without a flag."""
        if self.nargs == "*":
            return f"{self.metavar} ..." if self.needs_value else f"[{self.metavar} ...]"
        return self.metavar if self.default is MISSING else f"[{self.metavar}]"

    @property
    def help(self) -> str:
        """Its text, the choices that have no room after its flag, and its default."""
        parts = [self.text, _shown_default(self)]
        if get_origin(self.item) is Literal and "{" not in self.metavar:
            parts.insert(1, f"One of: {', '.join(map(str, get_args(self.item)))}.")
        return " ".join(part for part in parts if part)


@cache
def options_of(kind: type) -> tuple[Option, ...]:
    """Return the options of a dataclass, those of nested dataclasses included."""
    return tuple(_options(kind, ""))


def _options(kind: type, prefix: str) -> Iterator[Option]:
    hints, marked = get_type_hints(kind), get_type_hints(kind, include_extras=True)
    found = {field.name: field for field in fields(kind)}
    names = list(found)
    if not prefix:  # its own before those that it inherits, and sections last
        names.sort(key=lambda name: kind.__mro__.index(_owner(kind, name)))
        names.sort(key=lambda name: is_dataclass(hints[name]))
    for name in names:
        hint = hints[name]
        if is_dataclass(hint) and isinstance(hint, type):
            yield from _options(hint, f"{prefix}{name}.")
            continue
        one, (inner, is_optional) = found[name], _without_none(hint)
        yield Option(
            name=prefix + name,
            hint=inner,
            is_optional=is_optional,
            default=one.default if one.default_factory is MISSING else one.default_factory(),
            text=_docstring(kind, name),
            section=_section(kind, _owner(kind, name), is_nested=bool(prefix)),
            marks=getattr(marked[name], "__metadata__", ()),
        )


def _owner(kind: type, name: str) -> type:
    """Return the class that declares a field last."""
    return next(one for one in kind.__mro__ if name in get_annotations(one))


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    (inner,) = [one for one in get_args(hint) if one is not NoneType]
    return inner, True


def _section(kind: type, owner: type, *, is_nested: bool) -> str:
    """Return the heading of a field: of its section, or of the class that it is inherited from."""
    if owner is kind and not is_nested:
        return ""
    of = kind if is_nested else owner
    return (of.__doc__ or "").strip().partition("\n")[0].rstrip(".")


def _docstring(kind: type, name: str) -> str:
    """Return the string that stands under a field, in one line; of a class above if it has none."""
    texts = (_docstrings(one.__module__).get((one.__qualname__, name)) for one in kind.__mro__)
    return next((text for text in texts if text), "")


@cache
def _docstrings(module: str) -> dict[tuple[str, str], str]:
    """Return (class, field) -> the string under the field."""
    path = getattr(sys.modules[module], "__file__", None)
    found: dict[tuple[str, str], str] = {}
    tree = ast.parse(Path(path).read_text(encoding="utf-8") if path else "")
    for node in [node for node in tree.body if isinstance(node, ast.ClassDef)]:
        for pair in pairwise(node.body):
            match pair:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[node.name, name] = " ".join(text.split())
    return found


def _shown_default(option: Option) -> str:
    value = option.default
    if value is MISSING:
        return "" if option.is_positional else "(required)"
    if value is None or value in ((), ""):
        return "" if "Default: " in option.text else "(optional)"
    if option.is_switch:
        return f"(default: {'on' if value else 'off'})"
    return f"(default: {' '.join(map(str, value)) if isinstance(value, tuple) else value})"
