"""How results look at a prompt and in a notebook: filled blanks marked, whatever the text holds."""

from html.parser import HTMLParser

import pytest
from rich.console import Console

from unblank.generation.results import BlankFill, CandidateScore, FillResult, Generated, Scores

NASTY = "<script>alert('x')</script> & \"so\" \u00e9"


class Reader(HTMLParser):
    """Collects the tags, the text, and the marked pieces of it, as a browser reads them."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.words, self.marked = set(), "", []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.is_marked = tag == "mark"
        if self.is_marked:
            self.marked.append("")

    def handle_endtag(self, tag):
        self.is_marked = False

    def handle_data(self, data):
        self.words += data
        if self.is_marked:
            self.marked[-1] += data


def filled(before, answer, after, alternatives=()):
    text = before + answer + after
    blank = BlankFill(
        answer, (7,), (answer,), (-0.5,), -0.1, (((answer, 0.6), ("<i>", 0.2)),),
        len(before), len(before) + len(answer),
    )  # fmt: skip
    return FillResult(text, (blank,), alternatives)


@pytest.mark.parametrize("answer", ["sat", NASTY, ""])
def test_a_filled_text_is_marked_where_it_was_blank(answer):
    other = filled("The <b>cat</b> ", "slept", ".")
    read = Reader(filled("The <b>cat</b> ", answer, "\non it.", (other,))._repr_html_())
    assert read.marked == [answer, "slept"]
    assert read.tags <= {"div", "mark", "table", "tr", "th", "td"}
    assert f"The <b>cat</b> {answer}\non it." in read.words
    assert "<i> 20.0%" in read.words
    assert "60.7%" in read.words


@pytest.mark.parametrize("answer", ["sat", "[red]sat[/red]", "a\x1b[2Jb"])
def test_rich_marks_what_was_blank_here_and_in_alternatives(answer):
    other = filled("The cat ", "slept", ".")
    console = Console(width=99, force_terminal=True, color_system="standard")
    pieces = list(console.render(filled("The cat ", answer, "\non it.", (other,))))
    marked = [one.text for one in pieces if one.style and one.style.bold]
    assert marked == [answer.replace("\x1b", "\ufffd"), "slept"]
    shown = "".join(one.text for one in pieces)
    assert shown.startswith(f"The cat {marked[0]}\non it.  ")
    assert "\nThe cat slept." in shown


@pytest.mark.parametrize(
    "result",
    [
        Scores((CandidateScore(NASTY, (1,), -1.0, 0.25), CandidateScore("b", (2,), -0.5, 0.75))),
        Generated(NASTY, (1, 2), -1.5, True, False, (Generated("b", (3,), -2.0, False),)),
    ],
)
def test_tables_show_every_text_and_run_none(result):
    read = Reader(result._repr_html_())
    assert read.tags <= {"table", "tr", "th", "td"}
    assert NASTY in read.words
    assert "b" in read.words


def test_a_repr_is_short_and_says_the_answer():
    result = filled("The cat ", "sat", ".", (filled("The cat ", "ran", "."),))
    assert repr(result) == (
        "FillResult('The cat sat.', blanks=['sat'], log_probability=-0.60, alternatives=1)"
    )
    scores = Scores((CandidateScore("a", (1,), -1.0, 0.25), CandidateScore("b", (2,), -0.5, 0.75)))
    assert repr(scores) == "Scores('b': 75.0%, 'a': 25.0%)"
    assert repr(Generated("so", (1, 2), -1.5, True)) == (
        "Generated('so', log_probability=-1.50, finished=True)"
    )


def test_a_model_says_what_it_is(tiny):
    assert repr(tiny).startswith("Unblank(family=glm, parameters=")
    assert "positions" in tiny._repr_html_()
