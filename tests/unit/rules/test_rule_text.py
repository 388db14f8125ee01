"""A rule as text is the short form in which it can be written."""

import shlex

import pytest

from unblank.rules.rule import Rule, read_rules


@pytest.mark.parametrize(
    "rule",
    [
        Rule(words=2),
        Rule(words=(3, 4)),
        Rule(tokens=(2, None), blank=1),
        Rule(characters=(None, 5)),
        Rule(choices=("yes", "no")),
        Rule(contains=("two words",)),
        Rule(excludes=("cat's",)),
        Rule(regex=r"\d{4}"),
        Rule(script="digits"),
        Rule(case="upper"),
    ],
    ids=str,
)
def test_a_rule_is_named_as_it_is_written(rule):
    assert read_rules(str(rule)) == (rule,)


def test_each_text_of_a_rule_is_named():
    rule = Rule(blank=1, contains=("a and b", "c"), tokens=3)
    assert read_rules(shlex.split(str(rule))) == (
        Rule(blank=1, contains=("a and b",)),
        Rule(blank=1, contains=("c",)),
        Rule(blank=1, tokens=3),
    )
