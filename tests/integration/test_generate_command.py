"""`unblank generate`: files in, answers in order out, scores, and going on where it stopped."""

import csv
import gzip
import io
import json
import re

import pytest
from tiny_models import deltalm_folder

from unblank.answering.answer_file import AnswerFile
from unblank.cli import main
from unblank.commands import generate_answers, generate_windows
from unblank.data.records import read_records
from unblank.terminal_text import printable

__all__ = ["deltalm_folder"]

SOURCES = ["the old cat", "a dog", "one small dog run to some far house", "a mat", "the cat sat"]


def typed(text: str) -> io.TextIOWrapper:
    """Return standard input with a text; lone surrogates stand for bytes that are not UTF-8."""
    return io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "surrogateescape")))


@pytest.fixture
def folder(deltalm_folder):
    return deltalm_folder


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "test.jsonl"
    records = [{"en": text, "de": [text, "x"], "note": "n"} for text in SOURCES]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def generate(*arguments):
    main(["generate", *map(str, arguments), "--max-tokens", "6", "--device", "cpu"])


def fails(*arguments, capsys):
    with pytest.raises(SystemExit) as error:
        generate(*arguments)
    assert error.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def expected(folder, **options):
    import unblank

    model = unblank.load(folder, device="cpu")
    return [answer.text for answer in model.generate(SOURCES, max_tokens=6, **options)]


def test_texts_are_answered_in_lines(folder, capsys):
    generate(folder, *SOURCES)
    out, err = capsys.readouterr()
    assert out.splitlines() == [" ".join(text.splitlines()) for text in expected(folder)]
    assert "tokens/s" in err


def test_lines_of_standard_input_are_answered_and_empty_ones_keep_their_place(
    folder, capsys, monkeypatch
):
    monkeypatch.setattr("sys.stdin", typed("\n".join([SOURCES[0], "", SOURCES[1]]) + "\n"))
    generate(folder, "--json")
    out, err = capsys.readouterr()
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["source"] for record in records] == [SOURCES[0], "", SOURCES[1]]
    texts = expected(folder)
    assert [record["prediction"] for record in records] == [texts[0], "", texts[1]]
    assert "empty answers: 1" in err


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_a_file_is_answered_in_order_and_scored(folder, data, tmp_path, capsys, batch_size):
    output = tmp_path / "new" / "out.jsonl"
    generate(
        folder, "--input", data, "--source", "en", "--references", "de", "--output", output,
        "--batch-size", batch_size, "--metrics", "bleu", "exact_match",
    )  # fmt: skip
    records = [json.loads(line) for line in output.read_text().splitlines()]
    assert [record["prediction"] for record in records] == expected(folder)
    assert [record["references"] for record in records] == [[text, "x"] for text in SOURCES]
    out = capsys.readouterr().out
    assert "nrefs:2|case:mixed|eff:no|tok:13a" in out
    assert out.splitlines()[1].startswith("exact_match")
    assert [path.name for path in output.parent.iterdir()] == ["out.jsonl"]


def test_compressed_text_files_and_files_of_references(folder, tmp_path, capsys):
    source, reference = tmp_path / "source.txt.gz", tmp_path / "reference.txt"
    source.write_bytes(gzip.compress("\n".join(SOURCES).encode()))
    reference.write_text("\n".join(expected(folder)))
    output = tmp_path / "out.txt"
    generate(
        folder, "--input", source, "--references", reference, "--output", output,
        "--metrics", "exact_match", "--margins",
    )  # fmt: skip
    assert output.read_text().splitlines() == [
        " ".join(text.splitlines()) for text in expected(folder)
    ]
    assert "exact_match  100.00 +- 0.00" in capsys.readouterr().out


def test_a_source_may_be_a_text_with_fields(folder, data, capsys):
    generate(folder, "--input", data, "--source", "{note} {en}", "--json")
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["source"] for record in records] == [f"n {text}" for text in SOURCES]


def test_several_answers_are_listed(folder, capsys):
    generate(folder, SOURCES[0], "--num-beams", "3", "--num-return", "3", "--json")
    record = json.loads(capsys.readouterr().out)
    assert len(record["alternatives"]) == 2
    generate(folder, SOURCES[0], "--num-beams", "3", "--num-return", "3")
    assert capsys.readouterr().out.count("  or: ") == 2


def test_tokens_are_streamed(folder, capsys):
    generate(folder, SOURCES[0], "--stream")
    shown = capsys.readouterr().out
    assert shown.replace("\n", "") == printable(expected(folder)[0].replace("\n", ""))


def test_answers_are_written_as_a_table_too(folder, data, tmp_path):
    words = ["--input", data, "--source", "en", "--num-beams", "2", "--num-return", "2"]
    lines, table = tmp_path / "out.jsonl", tmp_path / "out.csv"
    generate(folder, *words, "--output", lines)
    generate(folder, *words, "--output", table)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["prediction"] for row in rows] == [one["prediction"] for one in records]
    assert [row["alternatives_1_prediction"] for row in rows] == [
        one["alternatives"][0]["prediction"] for one in records
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.jsonl", data.name]


class Stopped(Exception):
    pass


def test_an_interrupted_run_goes_on_with_the_same_answers(
    folder, data, tmp_path, capsys, monkeypatch
):
    output, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    arguments = [folder, "--input", data, "--source", "en", "--batch-size", "1"]
    generate(*arguments, "--output", whole)
    monkeypatch.setattr(generate_windows, "BATCHES_A_WINDOW", 2)
    usual, asked = generate_windows._answers, []

    def answers(sources, *rest):
        if len(asked) == 1:
            raise Stopped
        asked.append(sources)
        return usual(sources, *rest)

    monkeypatch.setattr(generate_windows, "_answers", answers)
    with pytest.raises(Stopped):
        generate(*arguments, "--output", output)
    assert "has 2 answers of 5" in capsys.readouterr().err
    part = tmp_path / "out.jsonl.part"
    assert not output.exists()
    with part.open("a") as file:
        file.write('{"source": "half a li')

    monkeypatch.setattr(generate_windows, "_answers", usual)
    error = fails(*arguments, "--output", output, "--num-beams", "2", capsys=capsys)
    assert "(options changed)" in error
    generate(*arguments, "--output", output)
    assert "continuing after 2 of 5" in capsys.readouterr().err
    assert output.read_text() == whole.read_text()
    assert not part.exists()


def test_a_finished_file_is_not_replaced_by_accident(folder, data, tmp_path, capsys):
    output = tmp_path / "out.txt"
    output.write_text("mine")
    arguments = [folder, "--input", data, "--source", "en", "--output", output]
    assert "--overwrite" in fails(*arguments, capsys=capsys)
    assert output.read_text() == "mine"
    generate(*arguments, "--overwrite")
    assert len(output.read_text().splitlines()) == len(SOURCES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "{data}"], "there is no field 'source'"),
        (["--input", "{data}", "--source", "e"], "test.jsonl, line 1: there is no field 'e'"),
        (["--input", "nothing.jsonl"], "no file matches"),
        (["--references", "de"], "no file de: to name a field of references, give --input"),
        (
            ["--input", "{data}", "--source", "en", "--references", "note", "--metrics", "blue"],
            "blue",
        ),
        (["--source", "en"], "--source has no effect without --input"),
        (["a dog", "--input", "{data}"], "TEXT and --input exclude each other"),
        (["a dog", "--output", "out.xlsx"], "end in .txt, .jsonl, .csv, .tsv or .parquet"),
        (["a dog", "--output", "out.txt", "--json"], "--json and --output exclude each other"),
        (["a dog", "--stream", "--json"], "--stream and --json exclude each other"),
        (["  "], "no source"),
        (["a dog", "--stem"], "--stem has no effect without --references"),
        (["a dog", "--metrics", "bleu"], "--metrics has no effect without --references"),
        (
            ["--input", "{data}", "--references", "en", "--stream"],
            "--stream and --references exclude each other",
        ),
        (["a dog", "--source-tag", "__fr__"], "__de__"),
        (["the cat " * 60], "set too_long to cut"),
    ],
)
def test_what_is_wrong_is_said(folder, data, capsys, arguments, message):
    arguments = [argument.format(data=data) for argument in arguments]
    assert message in fails(folder, *arguments, capsys=capsys)


def test_a_run_that_fails_at_once_leaves_nothing(folder, data, tmp_path, capsys, monkeypatch):
    output = tmp_path / "out.jsonl"
    arguments = ["--input", data, "--source", "en", "--output", output]
    assert "no folder" in fails(folder + "x", *arguments, capsys=capsys)
    assert "no token" in fails(folder, *arguments, "--target-tag", "__fr__", capsys=capsys)

    def answers(*_):
        raise Stopped

    monkeypatch.setattr(generate_windows, "_answers", answers)
    with pytest.raises(Stopped):
        generate(folder, *arguments)
    assert [path.name for path in tmp_path.iterdir()] == [data.name]


def test_files_named_after_their_languages_are_lines_and_empty_references_do_not_count(
    folder, tmp_path, capsys
):
    source, target, other = (tmp_path / name for name in ("test.en", "test.de", "test2.de"))
    source.write_text("a dog\nthe cat\n", encoding="utf-8")
    target.write_text("ein Hund\ndie Katze\n", encoding="utf-8")
    other.write_text("\neine Katze\n", encoding="utf-8")
    output = tmp_path / "answers.jsonl"
    generate(
        folder, "--input", source, "--references", target, other, "--output", output,
        "--metrics", "exact_match",
    )  # fmt: skip
    records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    references = [record["references"] for record in records]
    assert references == [["ein Hund"], ["die Katze", "eine Katze"]]
    capsys.readouterr()
    generate(folder, "--input", source, "--references", other, "--metrics", "exact_match")
    note = "note: empty references lower the scores: 1, the first: "
    assert f"{note}{source}, line 1" in capsys.readouterr().err
    source.rename(tmp_path / "test.json")
    error = fails(folder, "--input", tmp_path / "test.json", capsys=capsys)
    assert "test.json" in error
    assert "not valid JSON" in error


def test_a_source_that_is_too_long_is_named_by_file_and_line(folder, tmp_path, capsys):
    path = tmp_path / "test.en"
    path.write_text("a dog\n" + "the cat " * 400 + "\n", encoding="utf-8")
    output = tmp_path / "out.jsonl"
    error = fails(folder, "--input", path, "--output", output, capsys=capsys)
    assert "1 of 2 sources could not be answered" in error
    assert "test.en, line 2: source 'the cat " in error
    good, bad = map(json.loads, output.read_text().splitlines())
    assert "error" not in good
    assert bad["prediction"] == ""
    assert "too_long" in bad["error"]
    error = fails(folder, "--input", path, "--source-tag", "__xx__", capsys=capsys)
    assert error.startswith("unblank generate: ")
    assert "'__xx__'" in error


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_record_without_its_source_has_an_error_in_its_place(folder, tmp_path, capsys, ending):
    records = [{"en": text} for text in SOURCES]
    records[1], records[3] = {"note": "n"}, {"en": {"nested": 1}}
    path, output = tmp_path / "in.jsonl", tmp_path / f"out.{ending}"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    error = fails(
        folder, "--input", path, "--source", "en", "--output", output, "--num-beams", "2",
        "--num-return", "2", capsys=capsys,
    )  # fmt: skip
    assert "2 of 5 sources" in error
    written = [record for _, record in read_records(output)]
    assert [one["prediction"] for one in written if not one.get("error")] == [
        text for text, keep in zip(expected(folder, num_beams=2), [1, 0, 1, 0, 1], strict=True)
        if keep
    ]  # fmt: skip
    assert [bool(one.get("error")) for one in written] == [False, True, False, True, False]


def test_references_of_another_number_are_refused(folder, data, tmp_path, capsys):
    path = tmp_path / "two.txt"
    path.write_text("a\nb\n")
    error = fails(folder, "--input", data, "--source", "en", "--references", path, capsys=capsys)
    assert "2 references for 5 sources" in error


def test_cut_sources_are_counted(folder, capsys):
    generate(folder, "the cat " * 60, "a dog", "--too-long", "cut")
    assert "positions of the model: 1" in capsys.readouterr().err


def test_a_part_without_its_record_is_refused(tmp_path):
    AnswerFile(tmp_path / "a.txt", {"model": 1}).append(["one"])
    (tmp_path / "a.txt.part.json").unlink()
    with pytest.raises(ValueError, match=r"a\.txt\.part\.json"):
        AnswerFile(tmp_path / "a.txt", {"model": 1})
    file = AnswerFile(tmp_path / "a.txt", {"model": 2}, overwrite=True)
    file.append(["one"])
    file.finish()
    assert (tmp_path / "a.txt").read_text() == "one\n"


def test_a_part_is_started_over_unless_the_same_command_overwrites(tmp_path):
    path, task = tmp_path / "a.txt", {"model": 1}
    AnswerFile(path, task).append(["begun to write a new file"])
    assert not list(AnswerFile(path, task, overwrite=True))
    AnswerFile(path, task, overwrite=True).append(["begun to replace one"])
    assert list(AnswerFile(path, task, overwrite=True)) == ["begun to replace one"]
    assert not list(AnswerFile(path, {"model": 2}, overwrite=True))
    AnswerFile(path, task, overwrite=True).append(["one"])
    (tmp_path / "a.txt.part").write_text("two\n")
    assert not list(AnswerFile(path, task, overwrite=True))


def test_a_glossary_and_rules_hold_in_every_answer(folder, data, tmp_path, capsys):
    glossary, output = tmp_path / "terms.tsv", tmp_path / "out.jsonl"
    glossary.write_text("Old Cat\tmat|some mat\ncat\twarm\nhouse\tfar dog\nship\tboat\n")
    rules = ("--rules", "characters=..40", "--glossary", glossary)
    generate(folder, "--input", data, "--source", "en", "--output", output, *rules, "--overwrite")
    assert "glossary: 3 of 3 terms met (100.0%)" in capsys.readouterr().err
    found = [json.loads(line)["prediction"] for line in output.read_text().splitlines()]
    for text, words in ((found[0], "mat"), (found[2], "far dog"), (found[4], "warm")):
        assert words in text
    plain = expected(folder, rules=["characters=..40"])
    assert (found[1], found[3]) == (plain[1], plain[3])
    glossary.write_text("cat\twarm\ncat\tmat\n")
    assert "twice" in fails(folder, "the cat", "--glossary", glossary, capsys=capsys)
    glossary.write_text("cat\n")
    assert "terms.tsv" in fails(folder, "the cat", "--glossary", glossary, capsys=capsys)


def test_a_glossary_as_a_hint_is_read_before_the_source(folder, tmp_path, capsys):
    glossary = tmp_path / "terms.tsv"
    glossary.write_text("Old Cat\tmat|some mat\nhouse\tfar dog\n")
    given = ("the old  cat saw a HOUSE and a house", "a dog")
    by_hand = ("old cat = mat; HOUSE = far dog. the old  cat saw a HOUSE and a house", "a dog")
    generate(folder, *by_hand, "--json")
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    generate(folder, *given, "--json", "--glossary", glossary, "--glossary-use", "hint")
    printed = capsys.readouterr()
    assert [json.loads(line) for line in printed.out.splitlines()] == expected
    written = expected[0]["prediction"]
    num_met = sum(bool(re.search(rf"\b{words}\b", written)) for words in ("mat", "far dog"))
    assert f"glossary: {num_met} of 2 terms met" in printed.err
    generate(folder, *given, "--glossary", glossary, "--glossary-use", "both")
    assert "glossary: 2 of 2 terms met" in capsys.readouterr().err


def test_hints_in_a_source_are_words_of_the_language_to_write_in(folder, data, capsys):
    by_hand = ("--input", data, "--source", "{en} Zusammenfassung:", "--json")
    generate(folder, *by_hand)
    expected = capsys.readouterr().out
    hinted = ("--input", data, "--source", "{en} {hint:summary}:", "--json")
    generate(folder, *hinted, "--target-language", "deu")
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--source", "{en} {hint:summary}:"], "--target-language"),
        (["--source", "{en} {hint:no}:", "--target-language", "de"], "'no'"),
        (["--source", "{en} {hint:summary}:", "--target-language", "eo"], "eo"),
        (["--source", "{en} {hint:summary}:", "--target-language", "nowhere"], "nowhere"),
        (["--source", "en", "--target-language", "de"], "target_language"),
        (["--source", "{en:>9}"], "{en:>9}"),
        (["--source", "{en!r}"], "{en!r}"),
    ],
)
def test_a_source_that_cannot_be_put_together_is_named_at_once(
    data, words, named, capsys, monkeypatch
):
    monkeypatch.setattr(generate_answers, "generate_and_print", pytest.fail)
    assert named in fails("nowhere", "--input", data, *words, capsys=capsys)
