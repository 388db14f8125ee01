"""Scores of answers against those that the official programs gave, and against the definitions.

`recorded/question_scores.jsonl` was made with the programs of SQuAD v1.1 (as in XTREME) and MLQA
from answers of XQuAD, TyDiQA-GoldP and MLQA that were lengthened, cut, re-cased and mixed up.
"""

import json
from pathlib import Path

import pytest

from unblank.metrics.questions import (
    MLQA_LANGUAGES,
    answer_f1,
    answer_is_exact,
    answer_words,
    character_f1,
)

RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parent / "recorded/question_scores.jsonl").open(encoding="utf-8")
]


@pytest.mark.parametrize("rules", ["squad", "mlqa"])
def test_scores_are_those_of_the_official_programs(rules):
    lines = [line for line in RECORDED if line["rules"] == rules]
    assert len(lines) > 100
    for line in lines:
        arguments = line["answer"], line["right"], rules, line["lang"]
        assert answer_f1(*arguments) == pytest.approx(line["f1"]), line
        assert answer_is_exact(*arguments) == line["em"], line


def test_the_recorded_answers_tell_the_rules_apart():
    differing = {
        line["lang"]
        for line in RECORDED
        if line["rules"] == "mlqa"
        and answer_f1(line["answer"], line["right"]) != pytest.approx(line["f1"])
    }
    assert {"ar", "es", "zh"} <= differing


def test_nothing_shared_is_nothing_even_where_both_are_empty():
    assert answer_f1("", ["?"]) == 0.0
    assert answer_is_exact("", ["?"]) == 100.0
    assert answer_f1("the", ["a"], "mlqa", "en") == 0.0


def test_f1_and_exact_match_each_take_the_right_answer_that_fits_best():
    right = ["red house", "the old red house by the sea"]
    assert answer_is_exact("a red house", right) == 100.0
    assert answer_f1("old red house by", right) == pytest.approx(100 * 2 * 4 / (4 + 5))


def test_oddities_of_mlqa_are_kept():
    assert answer_words("بالمال", "mlqa", "ar") == ["ب", "م"]  # the article goes inside words
    assert answer_words("二〇龦", "mlqa", "zh") == ["二", "〇龦"]
    assert answer_words("the sea", "mlqa", "de") == ["the", "sea"]


def test_mlqa_has_rules_for_seven_languages():
    assert len(MLQA_LANGUAGES) == 7
    with pytest.raises(ValueError, match="'fr'"):
        answer_words("le chat", "mlqa", "fr")


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        ("北京", "北京市", 80.0),
        ("น้ํา", "น้ำ", 100.0),  # one letter, or the two that it is made of
        ("\uff21\uff11", "a1.", 100.0),
        ("ab", "cd", 0.0),
        ("", "a", 0.0),
    ],
)
def test_characters_are_compared_in_one_form(answer, right, expected):
    assert character_f1(answer, [right]) == pytest.approx(expected)
