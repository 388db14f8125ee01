"""The parts of a file are the file, whatever it holds and wherever it is divided."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.data.file_parts import file_parts
from unblank.data.sources import TextFiles

POSSIBLE = ["", " ", "a", "\ufeffmark", "w\0i\0d\0e\0", "two words", "\u00e9t\u00e9" * 9, "x" * 40]
LINES = st.lists(st.sampled_from(POSSIBLE))


@given(LINES, st.integers(1, 60), st.sampled_from(["line", "paragraph"]), st.booleans())
def test_documents_of_parts_are_those_of_the_file(tmp_path_factory, lines, size, unit, is_ended):
    path = tmp_path_factory.mktemp("parts") / "a.txt"
    ending = "\n" if is_ended else ""
    path.write_text("\n".join(["plain", *lines]) + ending, encoding="utf-8")
    parts = file_parts(path, size, unit)
    whole = list(TextFiles(paths=(path,), text_unit=unit))
    apart = [one for part in parts for one in TextFiles(paths=(part,), text_unit=unit)]
    together = list(TextFiles(paths=tuple(parts), text_unit=unit))
    if parts:
        assert apart == together == whole
        assert sum(part.stat().st_size for part in parts) == path.stat().st_size
    else:
        assert path.stat().st_size < 2 * size


def test_records_of_parts_are_those_of_the_file(tmp_path):
    path = tmp_path / "a.jsonl"
    texts = [f"text {number} " + "y" * (number % 50) for number in range(100)]
    path.write_text("".join(json.dumps({"text": one}) + "\n" for one in texts), encoding="utf-8")
    parts = file_parts(path, 300, "file")
    assert len(parts) > 5
    assert list(TextFiles(paths=tuple(parts))) == texts


CELLS = st.lists(
    st.sampled_from(["", "a", '"', '"open', "\ufeffmark", "x" * 30]), min_size=2, max_size=2
)


@given(st.lists(CELLS | st.just([""])), st.integers(1, 60), st.sampled_from(["text", "2"]))
def test_rows_of_parts_are_those_of_the_table(tmp_path_factory, rows, size, field):
    path = tmp_path_factory.mktemp("parts") / "a.tsv"
    lines = ["\t".join(row) for row in [["id", "text"], *rows]]
    path.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    parts = file_parts(path, size, "file")
    assert len(parts) > 1 or path.stat().st_size < 2 * size
    whole = list(TextFiles(paths=(path,), text_field=field))
    apart = [one for part in parts for one in TextFiles(paths=(part,), text_field=field)]
    assert not parts or apart == whole


def test_a_row_of_another_width_is_refused_in_any_part(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("one\ttwo\n" * 50 + "three\n" * 50, encoding="utf-8")
    *_, last = file_parts(path, 200, "file")
    with pytest.raises(ValueError, match=r"after byte \d+, line 1: 1 column, but 2"):
        list(TextFiles(paths=(last,), text_field="1"))


@pytest.mark.parametrize("first", ["", " ", "\ufeff"])
def test_a_table_that_begins_with_an_empty_line_is_not_divided(tmp_path, first):
    (tmp_path / "a.tsv").write_text(f"{first}\nid\ttext\n" + "1\ta\n" * 90, encoding="utf-8")
    assert not file_parts(tmp_path / "a.tsv", 100, "file")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv", "a.json", "a.parquet"])
def test_what_has_no_lines_to_find_is_not_divided(tmp_path, name):
    (tmp_path / name).write_bytes(b"0" * 9000)
    assert not file_parts(tmp_path / name, 100, "line")
    assert not file_parts(tmp_path / name, 100, "file")


def test_a_text_that_is_one_document_is_not_divided(tmp_path):
    (tmp_path / "a.txt").write_text("line\n" * 900)
    assert not file_parts(tmp_path / "a.txt", 100, "file")


def test_a_fault_says_where_its_part_begins(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n' * 50 + "{broken\n", encoding="utf-8")
    *_, last = file_parts(path, 200, "file")
    with pytest.raises(ValueError, match=r"a\.jsonl, after byte \d+, line \d+"):
        list(TextFiles(paths=(last,)))


def test_a_fault_of_a_part_advises_on_the_whole_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"plain\n" * 50 + "K\u00e4se\n".encode("latin-1"))
    *_, last = file_parts(path, 100, "line")
    with pytest.raises(ValueError, match=r"iconv -f LATIN1 -t UTF-8 \S*a\.txt > NEW"):
        list(TextFiles(paths=(last,), text_unit="line"))
