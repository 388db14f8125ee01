"""What the demo prints of too little text: in words, not as nan."""

import math

from rich.console import Console

from unblank.commands.demo import _print_report
from unblank.demo.measure import BlankLoss, exact_fills, hide_words, most_frequent_word
from unblank.demo.run import DemoReport


def test_what_too_little_text_leaves_unmeasured_is_said_in_words(capsys):
    texts = ["\u4f60\u597d", "a b"]
    clozes = hide_words(texts, 200, 0)
    frequent = most_frequent_word(texts[:1])
    report = DemoReport(
        loss=BlankLoss(math.nan, math.nan, 0),
        clozes=clozes,
        fills=[],
        hits=exact_fills([], clozes),
        frequent=frequent,
        baseline=exact_fills([], clozes),
    )
    _print_report(Console(width=200), report, 6)
    out = capsys.readouterr().out
    assert "nan" not in out
    assert "8 to 40 words" in out
    assert "too short for a blank" in out
