"""Rules that stand in a field of a record."""

import pytest

from unblank.answering.own_rules import rules_of_record
from unblank.finetuning.labels.tuned import open_tuned


def test_a_field_holds_a_list_as_json_or_one_rule():
    listed = rules_of_record("line 1", {"r": '["words=1", "1: words=2"]'}, "r")
    assert [str(rule) for rule in listed] == ["words=1", "1: words=2"]
    assert [str(rule) for rule in rules_of_record("line 1", {"r": "words=1"}, "r")] == ["words=1"]
    assert rules_of_record("line 1", {"r": ""}, "r") == ()


@pytest.mark.parametrize("value", ["[broken", "{", "[" * 100_000, '["words=1"'])
def test_json_that_is_none_is_named_with_what_to_write(value):
    with pytest.raises(ValueError, match=r"line 1: .*'r'.*JSON"):
        rules_of_record("line 1", {"r": value}, "r")


def test_a_folder_that_is_not_there_is_not_taken_for_one_without_a_task(tmp_path):
    (tmp_path / "mails").mkdir()
    with pytest.raises(FileNotFoundError, match="mails"):
        open_tuned(tmp_path / "mail")
