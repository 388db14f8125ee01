"""`unblank fill --input --output`: a record out for every record in, in order, none lost."""

import csv
import json
import math
import re

import pytest

import unblank
from unblank import api
from unblank.answering import run as answering_run
from unblank.cli import main
from unblank.commands import fill_printing

LINES = ["the [MASK] cat", "no blank", "a [MASK] on [MASK]", "", "long " * 80 + "[MASK]", "[MASK]"]
GOOD = [0, 2, 5]


@pytest.fixture(autouse=True)
def no_loading(monkeypatch, tiny):
    for module in (api, fill_printing):
        monkeypatch.setattr(module, "load", lambda folder, **options: tiny)


@pytest.fixture
def table(tmp_path):
    """A table with an empty cell and a column that an answer has, too."""
    path = tmp_path / "damaged.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "line", "filled"])
        writer.writerows([f"n{n}", line, 'a "quoted", cell'] for n, line in enumerate(LINES))
    return path


def fill(folder, *words):
    main(["fill", str(folder), *map(str, words), "--max-tokens", "4"])


def fails(folder, *words, capsys):
    with pytest.raises(SystemExit) as error:
        fill(folder, *words)
    assert error.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def rows_of(path):
    """Return the rows of a table by another reader than ours."""
    with path.open(newline="") as file:
        if path.suffix == ".csv":
            return list(csv.DictReader(file))
        header, *lines = file.read().removesuffix("\n").split("\n")
        return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_record_has_its_answer_in_its_place(
    model_folder, table, tmp_path, tiny, capsys, ending
):
    output = tmp_path / f"filled{ending}"
    words = ["--input", table, "--text-field", "line", "--output", output]
    said = fails(model_folder, *words, "--num-beams", "3", "--num-return", "2", capsys=capsys)
    assert "3 of 6 records could not be filled" in said
    assert "number 2" in said
    if ending == ".jsonl":
        rows = [json.loads(line) for line in output.read_text().splitlines()]
    elif ending == ".parquet":
        rows = pytest.importorskip("pyarrow.parquet").read_table(output).to_pylist()
    else:
        rows = rows_of(output)
    assert [int(row["number"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["id"] for row in rows] == [f"n{n}" for n in range(6)]
    assert {row["input.filled"] for row in rows} == {'a "quoted", cell'}
    assert [n for n, row in enumerate(rows) if not row.get("error")] == GOOD
    results = tiny.fill([LINES[n] for n in GOOD], max_tokens=4, num_beams=3, num_return=2)
    for row, result in zip([rows[n] for n in GOOD], results, strict=True):
        assert row["filled"] == result.text
        assert float(row["probability"]) == pytest.approx(math.exp(result.log_probability))
        other = row["alternatives"][0] if "alternatives" in row else None
        text = row["alternatives_1_filled"] if other is None else other["filled"]
        assert text == result.alternatives[0].text
        first = row["blanks"][0]["text"] if "blanks" in row else row["blanks_1_text"]
        assert first == result.blanks[0].text
    assert not list(tmp_path.glob("*.part*"))


def test_shares_are_those_of_the_probabilities_of_all_fillings(tiny):
    result = tiny.fill("a [MASK] on [MASK]", max_tokens=4, num_beams=4, num_return=4)
    p = [math.exp(one.log_probability) for one in (result, *result.alternatives)]
    assert result.shares == pytest.approx([one / sum(p) for one in p])
    for blank, choices in enumerate(result.choices):
        expected = {}
        for one, share in zip((result, *result.alternatives), result.shares, strict=True):
            text = one.blanks[blank].text
            expected[text] = expected.get(text, 0) + share
        assert dict(choices) == pytest.approx(expected)


def test_the_same_sample_twice_counts_once(tiny):
    result = tiny.fill("a [MASK]", max_tokens=1, do_sample=True, num_return=40, top_k=2)
    texts = {}
    for one, share in zip((result, *result.alternatives), result.shares, strict=True):
        texts[one.blanks[0].token_ids] = share
    assert len(texts) < 40
    assert sum(texts.values()) == pytest.approx(1)


class Stopped(Exception):
    pass


def test_a_killed_run_goes_on_with_the_same_answers(
    model_folder, tmp_path, tiny, capsys, monkeypatch
):
    texts = tmp_path / "in.txt"
    texts.write_text("".join(f"the [MASK] number {n}\n" for n in range(7)))
    whole, output = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    unlikely = "excludes=" + "unlikely " * 12
    words = ["--input", texts, "--batch-size", "1", "--rules", unlikely]
    fill(model_folder, *words, "--output", whole)
    monkeypatch.setattr(answering_run, "BATCHES_A_WINDOW", 2)
    usual = answering_run.AnswerFile.append
    calls = []

    def append(self, lines):
        if len(calls) == 2:
            raise Stopped
        calls.append(1)
        usual(self, lines)

    monkeypatch.setattr(answering_run.AnswerFile, "append", append)
    with pytest.raises(Stopped):
        fill(model_folder, *words, "--output", output)
    assert "has 4 answers of 7" in capsys.readouterr().err
    assert not output.exists()
    with (tmp_path / "out.jsonl.part").open("a") as file:
        file.write('{"filled": "half a li')
    monkeypatch.setattr(answering_run.AnswerFile, "append", usual)
    other = fails(model_folder, *words, "--output", output, "--min-tokens", "2", capsys=capsys)
    assert "(options " in other
    others = [*words[:-1], f"{unlikely} words"]
    assert "(rules " in fails(model_folder, *others, "--output", output, capsys=capsys)
    fill(model_folder, *words, "--output", output)
    assert "continuing after 4 of 7" in capsys.readouterr().err
    assert output.read_bytes() == whole.read_bytes()
    assert "already exists" in fails(model_folder, *words, "--output", output, capsys=capsys)


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_folder_is_no_output_and_nothing_is_filled(model_folder, tmp_path, capsys, more):
    (tmp_path / "in.txt").write_text("the [MASK]\n")
    folder = tmp_path / "out.csv"
    folder.mkdir()
    words = ["--input", tmp_path / "in.txt", "--output", folder, *more]
    assert f"{folder} is a folder" in fails(model_folder, *words, capsys=capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.csv"]


def test_paragraphs_and_texts_made_of_fields(model_folder, tmp_path, tiny):
    paragraphs = tmp_path / "in.txt"
    paragraphs.write_text("the [MASK]\ncat\n\n\na [MASK] mat\n")
    output = tmp_path / "out.jsonl"
    fill(model_folder, "--input", paragraphs, "--text-unit", "paragraph", "--output", output)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["text"] for row in rows] == ["the [MASK]\ncat", "a [MASK] mat"]
    records = tmp_path / "in.jsonl"
    records.write_text('{"a": "the", "b": {"c": "cat"}}\n')
    words = ["--input", records, "--text-field", "{a} [MASK] {b.c}", "--overwrite"]
    fill(model_folder, *words, "--output", output)
    (row,) = map(json.loads, output.read_text().splitlines())
    assert row["filled"] == tiny.fill("the [MASK] cat", max_tokens=4).text
    assert row["b"] == {"c": "cat"}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--text-field", "lines"], "did you mean 'line'"),
        (["--output", "out.xlsx"], ".parquet"),
        (["--text-field", "line", "--json"], "exclude"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    model_folder, table, tmp_path, capsys, words, named
):
    output = ["--output", tmp_path / "out.csv"] if "--output" not in words else []
    before = sorted(tmp_path.iterdir())
    assert named in fails(model_folder, "--input", table, *output, *words, capsys=capsys)
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_without_output_is_printed_and_alternatives_are_a_table(
    model_folder, tmp_path, tiny, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "120")
    texts = tmp_path / "in.txt"
    texts.write_text("the [MASK] cat\n")
    beams = ["--num-beams", "3", "--num-return", "3", "--min-tokens", "1"]
    fill(model_folder, "--input", texts, *beams)
    printed = capsys.readouterr().out
    result = tiny.fill("the [MASK] cat", min_tokens=1, max_tokens=4, num_beams=3, num_return=3)
    for share in result.shares:
        assert f"{share:.1%}" in printed
    assert printed.count(result.text) == 2
    token = result.blanks[0].tokens[0]
    assert f"{token}: " not in printed
    fill(model_folder, "--input", texts, *beams, "--tokens")
    assert f"{token}: " in capsys.readouterr().out


def test_a_broken_file_of_rules_is_named_once(model_folder, tmp_path):
    path = tmp_path / "rules.json"
    path.write_text('["excludes=e"')
    with pytest.raises(ValueError, match=r"rules\.json is damaged") as caught:
        unblank.fill_file(
            model_folder, [{"text": "a [MASK]"}], tmp_path / "out.csv", rules_file=str(path)
        )
    assert str(caught.value).count(str(path)) == 1


def test_each_record_keeps_rules_of_all_and_its_own(model_folder, tmp_path):
    records = [
        {"text": "the [MASK] sat", "own": "regex=[a-z]{3}"},
        {"text": "a [MASK]", "own": [{"words": 2}, "regex=[a-z ]+"]},
        {"text": "one [MASK]", "own": None},
        {"text": "a [MASK]", "own": "words=0..1000000"},
        {"text": "a [MASK]", "own": "regex=\u4e2d{99}"},
    ]
    (tmp_path / "rules.json").write_text('["excludes=e", {"characters": [3, 12]}]')
    first, second, third, *refused = unblank.fill_file(
        model_folder, records, tmp_path / "out.csv", rules_field="own", order="confidence",
        rules_file=str(tmp_path / "rules.json"), max_tokens=12,
    )  # fmt: skip
    assert re.fullmatch("[a-z]{3}", first["blanks"][0]["text"])
    assert len(second["blanks"][0]["text"].split()) == 2
    assert 3 <= len(third["blanks"][0]["text"]) <= 12
    assert all("filled" not in one for one in refused)
    assert "1000000" in refused[0]["error"]
    assert "99" in refused[1]["error"]
