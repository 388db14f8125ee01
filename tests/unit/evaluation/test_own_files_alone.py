"""Options that choose among data sets are refused beside one's own files, never ignored."""

import pytest

from unblank.commands import evaluate
from unblank.evaluation.suite_options import SUITE_OPTIONS, suite_options
from unblank.settings.recipes import from_mapping

CHOICES = {"data": "sets", "tasks": ["one"], "split": "test", "languages": ["de"]}
"""What chooses among data sets, and a value that nobody has without giving it."""


def choices():
    for suite in SUITE_OPTIONS:
        names = suite_options(suite).__dataclass_fields__
        if {"file", "split"} <= {*names}:
            yield from ((suite, name) for name in CHOICES if name in names)


@pytest.mark.parametrize(("suite", "name"), [*choices()])
def test_what_chooses_data_sets_does_not_stand_beside_own_files(suite, name):
    given = {"model": "m", "suite": suite, "file": ["own.jsonl"]}
    assert from_mapping(suite_options(suite), given).file == ("own.jsonl",)
    with pytest.raises(ValueError, match=f"file and {name}"):
        from_mapping(suite_options(suite), {**given, name: CHOICES[name]})


@pytest.mark.parametrize("option", ["--text-field=a", "--source-field=a", "--target-field=a"])
def test_fields_of_own_files_need_own_files(option):
    suite = "perplexity" if "text" in option else "summarization"
    with pytest.raises(ValueError, match="--file"):
        evaluate.parse(["m", "--suite", suite, option])
