"""A rule may be written in three ways, and what is wrong with one is said."""

import pytest

from unblank import Rule
from unblank.rules.rule import read_rules


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("words=2..3", {"words": (2, 3)}),
        ("1: tokens = 4", {"blank": 1, "tokens": 4}),
        ("characters=..5", {"characters": (None, 5)}),
        ("0:words=2..", {"blank": 0, "words": (2, None)}),
        (r"2: regex=\d+: (a=b|c)", {"blank": 2, "regex": r"\d+: (a=b|c)"}),
        ("choices=yes|no, thanks", {"choices": ["yes", "no, thanks"]}),
        ("contains=old cat", {"contains": "old cat"}),
        ("case=title", {"case": "title"}),
    ],
)
def test_short_text_and_fields_say_the_same(text, fields):
    assert read_rules(text) == read_rules([fields]) == (Rule(**fields),)
    (rule,) = read_rules(text)
    assert read_rules(rule) == (rule,)
    assert hash(rule) == hash(Rule(**fields))


@pytest.mark.parametrize(
    "given",
    [
        "two words", "words=two", "words=3..2", "words=..", "colour=red", "case=small", "regex",
        {"word": 2}, {}, {"blank": 1}, {"words": (1, 2, 3)}, {"words": -1}, {"tokens": 20_000},
        {"regex": "a" * 3000}, {"choices": [""]}, {"blank": -1, "words": 1},
        {"words": (None, None)},
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused(given):
    with pytest.raises(ValueError):  # noqa: PT011  # the names differ
        read_rules([given])


@pytest.mark.parametrize("given", [3, [3], [None], {"regex": 3}, {"contains": [3]}])
def test_what_has_the_wrong_type_is_refused(given):
    with pytest.raises(TypeError):
        read_rules(given)
