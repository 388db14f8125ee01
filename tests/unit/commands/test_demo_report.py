"""What the demo prints: of what it measured, and of too little text in words, not as nan."""

import math
from dataclasses import replace

import pytest
from rich.console import Console

from unblank.commands.demo_printing import print_report
from unblank.demo.blanks import HiddenText
from unblank.demo.measure import BlankLoss, most_frequent_word, share_right
from unblank.demo.run import DemoReport, Filled, Scored
from unblank.generation.results import BlankFill, CandidateScore, FillResult, Scores

NOTHING = DemoReport(
    loss=BlankLoss(math.nan, math.nan, 0),
    words=[],
    first=math.nan,
    among=math.nan,
    frequent="",
    baseline=math.nan,
    several=[],
    phrases=[],
    scored=[],
    curve=[],
)


def filled(before, answers, after, original, probability=0.5):
    """A text with one blank and its answers, each half as likely as the one before."""
    fills = []
    for number, answer in enumerate(answers):
        start = len(before)
        blank = BlankFill(
            text=answer,
            token_ids=(1,),
            tokens=(answer,),
            log_probabilities=(math.log(probability / 2**number),),
            end_log_probability=0.0,
            alternatives=(),
            start=start,
            end=start + len(answer),
        )
        fills.append(FillResult(f"{before}{answer}{after}", (blank,)))
    hidden = HiddenText(f"{before}[MASK]{after}", (original,))
    return Filled(hidden, replace(fills[0], alternatives=tuple(fills[1:])))


def printed(report, capsys, num_sentences=6):
    print_report(Console(width=200), report, num_sentences)
    return capsys.readouterr().out


@pytest.mark.parametrize(("first", "is_advised"), [(0.06, True), (0.2, False)])
def test_a_model_that_guesses_no_better_than_one_word_is_said_to_need_time(
    first, is_advised, capsys
):
    words = [filled("The ", ["cat"], " sat.", "cat")]
    report = replace(NOTHING, words=words, first=first, among=0.3, baseline=0.07, frequent="the")
    assert ("--minutes 10" in printed(report, capsys)) == is_advised


def test_what_too_little_text_leaves_unmeasured_is_said_in_words(capsys):
    out = printed(NOTHING, capsys)
    assert "nan" not in out
    assert "8 to 40 words" in out
    assert "too short for a blank" in out


@pytest.fixture
def report():
    word = filled("Return the ", ["list", "end", "name", "file"], " of it.", "end")
    phrase = filled("Close ", ["all the files"], " at the end.", "every open one")
    candidates = (CandidateScore("end", (1,), -1.0, 0.75), CandidateScore("of", (2,), -2.0, 0.25))
    return replace(
        NOTHING,
        loss=BlankLoss(3.0, 6.0, 100),
        words=[word, word],
        first=0.0,
        among=1.0,
        frequent="the",
        baseline=0.066,
        phrases=[phrase],
        several=[phrase],
        scored=[Scored(word.hidden, Scores(candidates))],
        curve=["6.00 |.", "3.00 | ."],
    )


def test_every_number_and_answer_is_shown(report, capsys):
    out = printed(report, capsys)
    for shown in (
        "3.00 nats per blank token, 50% of the 6.00",
        "0.0% of 2 words exactly right, 100.0% among the first five answers; always 'the': 6.6%",
        "list 50.0%  end 25.0%  name 12.5%  (original: end)",
        "Close all the files at the end.  (original: every open one)",
        "end 75.0%  of 25.0%  (original: end)",
        "3.00 | .",
    ):
        assert shown in out
    assert "file 6" not in out


def test_only_as_many_as_asked_for_are_shown(report, capsys):
    assert printed(report, capsys, 1).count("Return the [MASK]") == 2  # one filled, one scored
    assert "Return the" not in printed(report, capsys, 0).replace("(original", "")


def test_answers_are_right_whatever_their_case_and_spaces():
    assert share_right([["the", " A "], ["of"]], ["a", "the"]) == 0.5
    assert share_right([["The"]], ["the"]) == 1.0
    assert math.isnan(share_right([], []))


def test_the_most_frequent_word_is_found_in_any_script():
    assert most_frequent_word(["The end", "the file of it"]) == "the"
    assert most_frequent_word(["\u0438\u043b\u0438 \u0418\u043b\u0438 not"]) == "\u0438\u043b\u0438"
    assert most_frequent_word(["1 2"]) == ""
