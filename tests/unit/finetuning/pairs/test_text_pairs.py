"""Pairs of texts from files: the rules for lists and fields, and everything that can be wrong."""

import gzip
import json

import pytest

from unblank.finetuning.pairs.text import TextPair, read_text_pairs


def write_lines(path, *records):
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return path


def test_a_list_in_the_source_is_joined_and_one_in_the_target_holds_references(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {"s": ["One.", "Two."], "t": ["x", " y "]})
    (pair,) = read_text_pairs(str(path), "s", "t")
    assert pair == TextPair(f"{path}, line 1", "One. Two.", ("x", "y"))


def test_a_source_may_be_a_text_with_fields(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {"p": "Berlin is big.", "a": "Berlin", "q": "Which?"})
    (pair,) = read_text_pairs(str(path), "{p} Question: [MASK] Answer: {a}", "q")
    assert pair.source == "Berlin is big. Question: [MASK] Answer: Berlin"


def test_fields_in_the_entry_go_before_the_settings(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {"en": "cat", "de": "Katze", "fr": "chat"})
    (pair,) = read_text_pairs(f"{path}:en:fr", "en", "de")
    assert (pair.source, pair.targets) == ("cat", ("chat",))


@pytest.mark.parametrize(("first", "second"), [("a.txt", "b.txt.gz"), ("a.en", "a.de.gz")])
def test_two_files_are_read_line_by_line_also_compressed(tmp_path, first, second):
    (tmp_path / first).write_text("one\ntwo\n", encoding="utf-8")
    with gzip.open(tmp_path / second, "wt", encoding="utf-8") as file:
        file.write("eins\nzwei\n")
    pairs = read_text_pairs(f"{tmp_path}/{first}:{tmp_path}/{second}", "s", "t")
    assert [(pair.source, *pair.targets) for pair in pairs] == [("one", "eins"), ("two", "zwei")]


def test_columns_of_a_table_go_by_name_or_by_number(tmp_path):
    (tmp_path / "named.tsv").write_text('en\tde\na "cat"\tKatze\n', encoding="utf-8")
    (tmp_path / "bare.tsv").write_text("GEN 1\tIn the beginning\nGEN 2\tAnd\n", encoding="utf-8")
    (tmp_path / "quoted.csv").write_text('en,de\n"a, b","c"\n', encoding="utf-8")
    assert read_text_pairs(f"{tmp_path}/named.tsv", "en", "de")[0].source == 'a "cat"'
    bare = read_text_pairs(f"{tmp_path}/bare.tsv", "2", "1")
    assert [pair.source for pair in bare] == ["In the beginning", "And"]
    assert read_text_pairs(f"{tmp_path}/quoted.csv", "en", "de")[0].source == "a, b"


def test_parquet_gives_the_same_pairs_as_json_lines(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    records = [{"s": ["a", "b"], "t": ["x"]}, {"s": ["c"], "t": ["y", "z"]}]
    parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "a.parquet")
    write_lines(tmp_path / "a.jsonl", *records)
    one, other = (
        read_text_pairs(f"{tmp_path}/a.{kind}", "s", "t") for kind in ("parquet", "jsonl")
    )
    assert [(p.source, p.targets) for p in one] == [(p.source, p.targets) for p in other]
    assert one[1].place.endswith("row 2")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"s": "a", "t": ""}, r"line 2: .*target.*'t'"),
        ({"s": " ", "t": "x"}, r"line 2: .*source.*'s'"),
        ({"s": None, "t": "x"}, r"line 2: .*source.*'s'"),
        ({"s": "a", "t": []}, "line 2: .*empty list"),
        ({"s": "a", "t": ["x", ""]}, "line 2: .*empty"),
        ({"s": "a", "tt": "x"}, "line 2: .*'t'.*'s', 'tt'"),
        ({"s": 3, "t": "x"}, "line 2: field 's' .*'?3'?"),
        ([1], "line 2: .*JSON object"),
    ],
)
def test_what_is_wrong_with_a_record_is_named_by_file_and_line(tmp_path, record, message):
    path = write_lines(tmp_path / "a.jsonl", {"s": "a", "t": "x"}, record)
    with pytest.raises(ValueError, match=message) as caught:
        read_text_pairs(str(path), "s", "t")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("a\nb\n", "x\n", r"b\.txt.*\b1\b.*a\.txt"),
        ("a\n", "x\ny\nz\n", r"a\.txt.*\b1\b.*b\.txt"),
        ("a\n\nc\n", "x\ny\nz\n", r"a\.txt, line 2"),
        ("a\nb\n", "x\n \n", r"b\.txt, line 2"),
    ],
)
def test_sides_that_do_not_fit_are_named(tmp_path, first, second, message):
    (tmp_path / "a.txt").write_text(first, encoding="utf-8")
    (tmp_path / "b.txt").write_text(second, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_text_pairs(f"{tmp_path}/a.txt:{tmp_path}/b.txt", "s", "t")


def test_missing_files_and_unknown_kinds_are_named(tmp_path):
    write_lines(tmp_path / "train.jsonl", {"s": "a", "t": "b"})
    (tmp_path / "a.doc").write_text("x")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(FileNotFoundError, match=r"\btrain\.jsonl"):
        read_text_pairs(f"{tmp_path}/trian.jsonl", "s", "t")
    with pytest.raises(ValueError, match=r"\.jsonl"):
        read_text_pairs(f"{tmp_path}/a.doc", "s", "t")
    with pytest.raises(ValueError, match=r"empty\.jsonl"):
        read_text_pairs(f"{tmp_path}/empty.jsonl", "s", "t")
    with pytest.raises(ValueError, match=r"source '\{s': expected '\}'"):
        read_text_pairs(f"{tmp_path}/train.jsonl", "{s", "t")


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"s": "a"}' * 50)[:30])
    with pytest.raises(ValueError, match="gzip"):
        read_text_pairs(f"{tmp_path}/a.jsonl.gz", "s", "t")
    (tmp_path / "b.tsv").write_text("en\tde\na\tb\tc\n")
    with pytest.raises(ValueError, match=r"b\.tsv, line 2: 3 columns"):
        read_text_pairs(f"{tmp_path}/b.tsv", "en", "de")


def test_an_entry_may_have_a_source_of_its_own_with_colons_and_hints(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {"article": "It rains.", "zh": "\u4e0b\u96e8"})
    (pair,) = read_text_pairs(
        f"{path}:{{article}} {{hint:summary}}::zh", "s", "t", languages=("en", "zh")
    )
    assert pair.source == "It rains. \u4e2d\u6587\u6458\u8981:"
    assert pair.targets == ("\u4e0b\u96e8",)


@pytest.mark.parametrize(
    ("hint", "language", "named"),
    [("summary", "", "FILE@en-de"), ("summary", "is", r"\bis\b"), ("sumary", "zh", "'sumary'")],
)
def test_a_hint_without_a_word_is_named_with_its_file(tmp_path, hint, language, named):
    path = write_lines(tmp_path / "a.jsonl", {"s": "a", "t": "b"})
    with pytest.raises(ValueError, match=rf"a\.jsonl: .*{named}"):
        read_text_pairs(str(path), f"{{s}} {{hint:{hint}}}:", "t", languages=("en", language))


NCLS = "an article\na summary\nanother\nits summary\n"


def test_lines_that_take_turns_are_the_fields_of_a_record(tmp_path):
    path = tmp_path / "train.txt.gz"
    path.write_bytes(gzip.compress(NCLS.encode()))
    first, second = read_text_pairs(str(path), "{article}:", "summary", lines=LINES)
    assert first == TextPair(f"{path}, line 1", "an article:", ("a summary",))
    assert second == TextPair(f"{path}, line 3", "another:", ("its summary",))


LINES = ("article", "summary")


@pytest.mark.parametrize(
    ("name", "text", "lines", "named"),
    [
        ("a.txt", NCLS + "an article too many\n", LINES, "line 5"),
        ("a.txt", NCLS, (*LINES, "third"), "line 4"),
        ("a.txt", NCLS.replace("another", ""), LINES, r"line 3.*'article'"),
        ("a.txt", NCLS.replace("its summary", " "), LINES, r"line 3.*'summary'"),
        ("a.jsonl", '{"article": "a", "summary": "b"}', LINES, "data.lines"),
    ],
)
def test_lines_that_do_not_take_turns_are_named(tmp_path, name, text, lines, named):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=named) as caught:
        read_text_pairs(f"{tmp_path}/{name}", "article", "summary", lines=lines)
    assert str(tmp_path / name) in str(caught.value)


def test_lines_of_a_record_are_not_those_of_two_files(tmp_path):
    (tmp_path / "a.txt").write_text(NCLS, encoding="utf-8")
    with pytest.raises(ValueError, match=r"data\.lines"):
        read_text_pairs(f"{tmp_path}/a.txt:{tmp_path}/a.txt", "article", "summary", lines=LINES)
