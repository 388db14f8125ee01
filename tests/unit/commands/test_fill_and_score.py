"""The commands print what the library returns."""

import contextlib
import io
import json

import pytest

from unblank import api
from unblank.commands import fill, fill_printing, score
from unblank.commands.fill_settings import FillSettings
from unblank.commands.score import ScoreSettings
from unblank.terminal_text import printable

TEXT = "the [MASK] sat on [b]a[/b] mat and [MASK]."


def typed(text: str) -> io.TextIOWrapper:
    """Return standard input with a text; lone surrogates stand for bytes that are not UTF-8."""
    return io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "surrogateescape")))


@pytest.fixture(autouse=True)
def no_loading(monkeypatch, tiny):
    for module in (api, fill_printing):
        monkeypatch.setattr(module, "load", lambda folder, **options: tiny)
    monkeypatch.setenv("COLUMNS", "200")


def test_fill_prints_the_text_its_answers_and_whether_they_were_cut(capsys, tiny):
    fill.run(FillSettings(model="x", text=(TEXT,), max_tokens=2, min_tokens=2))
    printed = capsys.readouterr().out
    result = tiny.fill(TEXT, max_tokens=2, min_tokens=2)
    assert printed.startswith(printable(result.text))
    assert "[b]a[/b]" in printed
    assert printed.count("cut: raise --max-tokens") == 2


def test_fill_prints_a_json_line_for_each_line_of_input(capsys, monkeypatch, tiny):
    monkeypatch.setattr("sys.stdin", typed(f"{TEXT}\na [MASK]\n"))
    fill.run(FillSettings(model="x", text=("-",), json=True, num_beams=2, num_return=2))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = tiny.fill([TEXT, "a [MASK]"], num_beams=2, num_return=2)
    assert [line["text"] for line in lines] == [result.text for result in expected]
    assert lines[0]["blanks"][1]["finished"] == expected[0].blanks[1].finished
    assert len(lines[1]["alternatives"]) == 1


def answers_to(text, capsys, monkeypatch) -> list[dict]:
    """Return the JSON lines that `fill` prints; it ends with an error if it refuses a line."""
    monkeypatch.setattr("sys.stdin", typed(text))
    with contextlib.suppress(ValueError):
        fill.run(FillSettings(model="x", text=(), json=True, batch_size=2))
    return [json.loads(line) for line in capsys.readouterr().out.split("\n")[:-1]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_line_has_one_answer_also_empty_and_refused_ones(capsys, monkeypatch, tiny, end):
    odd = ["a\u2028b [MASK]", "", "c\rd [MASK]", "  ", "no blank", "\udce9 [MASK]", "\x0c [MASK]"]
    lines = answers_to(end.join(odd), capsys, monkeypatch)
    good = {0: odd[0], 2: odd[2], 6: odd[6]}
    filled = dict(zip(good, tiny.fill(list(good.values())), strict=True))
    assert len(lines) == len(odd)
    for number, line in enumerate(lines):
        if number in good:
            assert line["text"] == filled[number].text
        else:
            assert line == {"text": odd[number].replace("\udce9", "\ufffd"), "error": line["error"]}


def test_input_that_is_not_utf8_is_refused_with_its_place(monkeypatch):
    monkeypatch.setattr("sys.stdin", typed("a [MASK]\n\u00fc \udcff [MASK]\n"))
    with pytest.raises(ValueError, match=r"line 2 of standard input.*UTF-8.*byte 3"):
        fill.run(FillSettings(model="x", text=()))


def test_a_line_that_cannot_be_filled_is_named_and_the_others_are_filled(capsys, monkeypatch, tiny):
    lines = ["a [MASK]", "no blank", "the [MASK]", "long " * 80 + "[MASK]", "on [MASK]"]
    monkeypatch.setattr("sys.stdin", typed("\n".join(lines)))
    named = r"^line 2 .*\nline 4 .* tokens"
    with pytest.raises(ValueError, match=named) as refused:
        fill.run(FillSettings(model="x", text=(), json=True, batch_size=4))
    assert str(refused.value).count("\n") == 1
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in printed[::2]] == [
        result.text for result in tiny.fill(lines[::2])
    ]
    assert ["error" in line for line in printed] == [False, True, False, True, False]


def test_a_line_that_cannot_be_scored_is_named_and_the_others_are_scored(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", typed("no blank\na [MASK]\n"))
    with pytest.raises(ValueError, match=r"^line 1 of standard input"):
        score.run(ScoreSettings(model="x", text=("-",), candidates=("cat",), json=True))
    refused, scored = map(json.loads, capsys.readouterr().out.splitlines())
    assert refused["text"] == "no blank"
    assert refused["error"]
    assert scored["text"] == "a [MASK]"


def test_no_alternatives_leave_no_lines(capsys):
    fill.run(FillSettings(model="x", text=(TEXT,), max_tokens=3, num_alternatives=0))
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_fill_streams_every_token(capsys, monkeypatch, tiny_words):
    monkeypatch.setattr(fill_printing, "load", lambda folder, **options: tiny_words)
    fill.run(FillSettings(model="x", text=(TEXT,), stream=True, max_tokens=4))
    streamed, *rest = capsys.readouterr().out.splitlines()
    result = tiny_words.fill(TEXT, max_tokens=4)
    texts = [printable(blank.text) for blank in result.blanks]
    assert streamed == f"1. {texts[0]} | 2. {texts[1]}"
    assert rest[0].startswith(printable(result.text))


def test_score_prints_candidates_best_first(capsys, tiny):
    arguments = {"model": "x", "text": (TEXT,), "candidates": ("cat", "[dog]", "old cat")}
    score.run(ScoreSettings(**arguments))
    printed = capsys.readouterr().out
    ranked = tiny.score(TEXT, ["cat", "[dog]", "old cat"]).ranked
    places = [printed.index(f"{candidate.score:.3f}") for candidate in ranked]
    assert places == sorted(places)
    assert "[dog]" in printed
    score.run(ScoreSettings(**arguments, json=True))
    line = json.loads(capsys.readouterr().out)
    assert [item["text"] for item in line["candidates"]] == [item.text for item in ranked]


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["--temperature", "1.0"], "--do-sample"),
        (["--top-k", "0"], "--do-sample"),
        (["--top-p", "1", "--no-do-sample"], "--do-sample"),
        (["--seed", "0"], "--do-sample"),
        (["--length-penalty", "0.0"], "--num-beams"),
    ],
)
def test_an_option_that_shapes_nothing_is_refused_also_with_its_default(words, needed):
    with pytest.raises(ValueError, match=needed):
        fill.parse(["x", TEXT, *words])


def test_nothing_to_do_is_an_error(monkeypatch):
    monkeypatch.setattr("sys.stdin", typed(""))
    with pytest.raises(ValueError, match="no text"):
        fill.run(FillSettings(model="x", text=()))
    with pytest.raises(ValueError, match="--candidates"):
        score.parse(["x", TEXT])
    with pytest.raises(ValueError, match="--candidates"):
        score.parse(["x", TEXT, "--candidates"])
    with pytest.raises(ValueError, match=r"--stream.*--json"):
        fill.parse(["x", TEXT, "--stream", "--json"])


@pytest.mark.parametrize("switch", [{}, {"stream": True}, {"json": True}])
def test_fill_keeps_rules_and_says_what_cannot_be_met(capsys, tiny, switch):
    rules = ("0: words=2", "1: choices=cat|dog")
    fill.run(FillSettings(model="x", text=(TEXT,), rules=rules, order=("confidence",), **switch))
    expected = tiny.fill(TEXT, rules=rules, order="confidence")
    printed = capsys.readouterr().out
    assert (
        json.dumps(expected.text, ensure_ascii=False)[1:-1]
        if "json" in switch
        else printable(expected.text)
    ) in printed
    refused = FillSettings(model="x", text=(TEXT,), rules=("regex=a", "regex=b"), **switch)
    with pytest.raises(ValueError, match="regex"):
        fill.run(refused)
    with pytest.raises(ValueError, match="confidence"):
        fill.run(FillSettings(model="x", text=(TEXT,), order=("surest",), **switch))


def test_answers_to_all_blanks_are_scored_in_every_order(capsys, tiny):
    given = {"model": "x", "text": (TEXT, "one [MASK]"), "answers": ("cat", "old dog")}
    with pytest.raises(ValueError, match="2 answers for 1 blank"):
        score.run(ScoreSettings(**given, json=True))
    found, refused = map(json.loads, capsys.readouterr().out.splitlines())
    expected = tiny.score_orders(TEXT, ["cat", "old dog"])
    of_orders = {tuple(one["order"]): one["log_probability"] for one in found["orders"]}
    assert of_orders == pytest.approx(expected.by_order)
    assert tuple(found["orders"][0]["order"]) == expected.best
    assert found["log_probability"] == pytest.approx(expected.log_probability)
    assert "error" in refused
    score.run(ScoreSettings(model="x", text=(TEXT,), answers=("cat", "old dog")))
    table = capsys.readouterr().out
    assert f"{expected.by_order[1, 0]:.3f}" in table
    assert "2 1" in table
