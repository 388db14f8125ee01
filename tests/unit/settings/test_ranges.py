"""Every number of every dataclass of settings has a range, and is refused outside it by name."""

import dataclasses
import importlib
import math
import re
from fractions import Fraction
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch

import unblank
from unblank.settings.ranges import (
    NotNegative,
    OneOrMore,
    OpenShare,
    Positive,
    check_count,
    check_values,
)
from unblank.settings.recipes import from_mapping, to_yaml

SOURCE = Path(unblank.__file__).parent
NEEDED = {"TrimSettings": {"keep": 5}}
"""Values without which a class refuses itself."""


def settings_classes() -> list[type]:
    """Every class of the package that is called ...Settings or ...Options and holds values."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        names = re.findall(r"^class ([A-Za-z]\w*(?:Settings|Options))\b", text, re.MULTILINE)
        if names:
            module = path.relative_to(SOURCE.parent).with_suffix("")
            loaded = importlib.import_module(".".join(module.parts))
            found |= {name: getattr(loaded, name) for name in names}
    return [kind for name, kind in sorted(found.items()) if dataclasses.is_dataclass(kind)]


def numbers(kind: type) -> list[tuple[str, type, bool, tuple[Any, ...]]]:
    """Name, int or float, whether it is one of several, and marks of every number of a class."""
    found = []
    for name, hint in get_type_hints(kind, include_extras=True).items():
        marks = getattr(hint, "__metadata__", ())
        inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if get_origin(inner) in (Union, UnionType):
            inner = next(one for one in get_args(inner) if one is not type(None))
        is_many = get_origin(inner) is tuple
        inner = get_args(inner)[0] if is_many else inner
        if inner in (int, float):
            found.append((name, inner, is_many, marks))
    return found


FIELDS = {kind: found for kind in settings_classes() if (found := numbers(kind))}


def made(kind: type, **values: Any) -> Any:
    """An instance of the class, with something for each field that has no default."""
    hints = get_type_hints(kind)
    needed = {
        field.name: stand_in(hints[field.name])
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    return kind(**{**needed, **NEEDED.get(kind.__name__, {}), **values})


def stand_in(hint: Any) -> Any:
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    known = {str: "x", Path: Path("x"), int: 300, bool: False}
    return ("x",) if get_origin(hint) is tuple else known.get(hint)


def test_the_settings_are_found():
    names = {kind.__name__ for kind in FIELDS}
    assert {"OptimSettings", "DecodingOptions", "FillSettings", "VerifySettings"} <= names
    assert sum(map(len, FIELDS.values())) > 150


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_a_number_that_cannot_be_is_refused_by_name(kind):
    for name, number, is_many, marks in FIELDS[kind]:
        refuses(kind, name, number, is_many, marks)


def refuses(kind: type, name: str, number: type, is_many: bool, marks: tuple[Any, ...]) -> None:
    """Check that a field refuses all numbers that it does not allow."""
    bounds = [mark for mark in marks if type(mark).__name__ == "Bounds"]
    assert bounds, f"say at the field {name} which numbers it may be"
    beyond = [bound.low - 1 for bound in bounds if bound.low > -math.inf]
    beyond += [bound.high + 1 for bound in bounds if bound.high < math.inf]
    assert beyond
    wrong = [math.nan, math.inf, -math.inf, "3", True, 1j, *beyond]
    wrong += [1.5, 2.0, 2**63, 10**30] if number is int else []
    for value in wrong:
        given = (value, value) if is_many else value
        with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
            made(kind, **{name: given})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    rate: Positive[float] = 1.0
    counts: NotNegative[tuple[int, ...]] = ()
    pair: Positive[tuple[float, float]] = (1.0, 2.0)
    on: bool = False
    kind: Literal["a", "b"] | None = None

    def __post_init__(self):
        check_values(self)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"kind": "c"}, ValueError),
        ({"on": 1}, TypeError),
        ({"pair": (1.0,)}, TypeError),
        ({"pair": (1.0, math.nan)}, ValueError),
        ({"rate": 10**400}, ValueError),
        ({"counts": [1, -1]}, ValueError),
    ],
)
def test_choices_switches_and_lists_are_checked(values, error):
    (name,) = values
    with pytest.raises(error, match=name):
        Example(**values)


def test_other_kinds_of_numbers_become_those_of_python():
    made_of = Example(rate=Fraction(1, 2), counts=[np.int64(3)], pair=np.float32([1, 2]).tolist())
    assert made_of == Example(rate=0.5, counts=(3,))
    assert type(made_of.counts[0]) is int
    assert type(Example(rate=np.float32(0.5)).rate) is float


@pytest.mark.parametrize("scalar", [np.asarray, torch.tensor, lambda value: np.array([value])[0]])
def test_scalars_of_numpy_and_torch_are_values(scalar):
    given = Example(rate=scalar(0.5), counts=[scalar(3)], on=scalar(True))
    assert given == Example(rate=0.5, counts=(3,), on=True)
    assert {type(given.rate), type(given.counts[0]), type(given.on)} == {float, int, bool}
    mapping = {"rate": scalar(0.5), "counts": [scalar(3)], "on": scalar(True), "kind": np.str_("a")}
    read = from_mapping(Example, mapping)
    assert to_yaml(read) == to_yaml(Example(rate=0.5, counts=(3,), on=True, kind="a"))
    assert type(check_count(scalar(2), "batch_size")) is int
    for wrong in (scalar(1.5), scalar(True), scalar([2])):
        with pytest.raises(TypeError, match="batch_size"):
            check_count(wrong, "batch_size")
    with pytest.raises(ValueError, match="rate"):
        Example(rate=scalar(math.nan))


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_a_count_that_is_an_argument_is_checked_too(value, error):
    with pytest.raises(error, match="batch_size"):
        check_count(value, "batch_size")
    check_count(np.int32(1), "batch_size")


def test_a_list_that_may_not_be_empty_is_checked():
    @dataclasses.dataclass
    class Shares:
        ratios: OneOrMore[OpenShare[tuple[float, ...]]] = (0.5,)

        def __post_init__(self) -> None:
            check_values(self)

    Shares()
    with pytest.raises(ValueError, match="ratios"):
        Shares(ratios=())
    with pytest.raises(ValueError, match="ratios"):
        Shares(ratios=(1.5,))
