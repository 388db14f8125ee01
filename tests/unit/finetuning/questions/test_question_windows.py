"""What is learned from windows, how the best answer is chosen, and how it is scored."""

import pytest
from tiny_glms import tiny_glm

from unblank.families.table import FAMILIES
from unblank.finetuning.questions.windows import windows_as_pairs
from unblank.generation.results import Generated
from unblank.questions.answers import (
    FoundAnswer,
    best_answers,
    named_scores,
    question_scores,
    require_rules,
)
from unblank.questions.asked import WindowCounts, ask
from unblank.questions.asking import QuestionEncoder
from unblank.questions.reading import GoldAnswer, Question

CONTEXT = " ".join(f"w{n}" for n in range(80))


def question(answer, language="en", context=CONTEXT, number=1):
    gold = GoldAnswer(answer, context.index(answer))
    return Question(f"f, line {number}", str(number), language, context, "who sat?", (gold,))


@pytest.fixture(scope="module")
def encoder():
    tokenizer = tiny_glm([CONTEXT, "Question: who sat? Answer:"] * 20).tokenizer
    return QuestionEncoder(tokenizer, FAMILIES["glm"].special_ids(tokenizer), "english", "[sMASK]")


def test_each_window_with_the_answer_teaches_it_and_one_without_teaches_nothing(encoder):
    asked = ask([question("w41")], encoder, 60)
    windows = asked[0].windows
    holding = [window for window in windows if window.start <= CONTEXT.index("w41") < window.end]
    assert 1 <= len(holding) < len(windows)
    pairs = windows_as_pairs(asked, encoder, 16, seed=0)
    targets = [pairs.targets[n].tolist() for n in range(len(pairs))]
    assert targets[:-1] == [encoder.answer_ids("w41")] * len(holding)
    assert targets[-1] == []
    sources = [tuple(pairs.sources[n].tolist()) for n in range(len(pairs))]
    assert sources[:-1] == [window.token_ids for window in holding]
    assert sources[-1] in {window.token_ids for window in windows} - set(sources[:-1])
    measured = windows_as_pairs(asked, encoder, 16, seed=None)
    assert len(measured) == len(holding)


def test_seeds_choose_other_windows_without_the_answer(encoder):
    asked = ask([question("w41", number=n) for n in range(30)], encoder, 60)
    drawn = [
        [tuple(pairs.sources[n].tolist()) for n in range(len(pairs))]
        for pairs in (windows_as_pairs(asked, encoder, 16, seed=seed) for seed in (0, 0, 1))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_answers_that_every_window_cuts_are_counted(encoder):
    long = CONTEXT[4 : len(CONTEXT) - 4]
    asked = ask([question("w41"), question(long)], encoder, 60)
    assert WindowCounts.of(asked).num_unfindable == 1
    with pytest.raises(ValueError, match=r"f, line 1: .*seq2seq\.max_source_length"):
        windows_as_pairs(asked[1:], encoder, 16, seed=0)


def generated(text, log_probability):
    return Generated(text, (), log_probability, True)


def test_the_most_probable_answer_of_all_windows_counts():
    questions = [question("w3"), question("w5")]
    written = [generated("w1", -9.0), generated("W3", -2.0), generated("Berlin", -1.0)]
    first, second = best_answers(questions, [2, 1], written)
    assert (first.text, first.written, first.is_in_context) == ("w3", "W3", True)
    assert (second.text, second.is_in_context) == ("Berlin", False)


def found(text, *, is_in_context=True):
    return FoundAnswer(text, text, 0.0, is_in_context)


def test_languages_count_alike_and_english_is_also_left_out():
    context = "red 北京市 Oslo"
    questions = [question("red", "en", context)] * 3 + [
        question("北京市", "zh", context),
        question("Oslo", "ko", context),
    ]
    answers = [found("red")] * 3 + [found("北京"), found("Oslo")]
    scores = named_scores(question_scores(questions, answers, "squad"))
    assert scores["f1"] == pytest.approx(200 / 3)
    assert scores["f1 zh"] == 0.0
    assert scores["char_f1 zh"] == pytest.approx(80)
    assert scores["f1 without en"] == scores["em without en"] == 50.0
    scores = named_scores(question_scores(questions[3:4], answers[3:4], "mlqa"))
    assert scores["f1"] == pytest.approx(80)
    assert "f1 without en" not in scores


def test_accidental_translation_is_what_is_neither_in_the_passage_nor_in_the_script():
    context = "北京市 IBM 1904"
    questions = [question("北京市", "zh", context)] * 4
    answers = [
        found("IBM"),
        found("Beijing", is_in_context=False),
        found("上海", is_in_context=False),
        found("12", is_in_context=False),
    ]
    scores = question_scores(questions, answers, "squad").means
    assert scores["other_script"] == 25.0
    assert scores["in_context"] == 25.0


def test_rules_that_do_not_know_a_language_are_refused_before_training():
    require_rules([question("w3", "zh-Hant"), question("w3", "de")], "mlqa")
    require_rules([question("w3", "fr")], "squad")
    for language in ("fr", ""):
        with pytest.raises(ValueError, match="f, line 1: MLQA"):
            require_rules([question("w3", language)], "mlqa")
