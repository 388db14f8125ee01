"""What is written can be read again: by our reader, and by others."""

import csv
import datetime
import io
import json
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unblank.data import written_records
from unblank.data.records import read_records
from unblank.data.written_records import json_value, require_writable, write_records

TEXTS = st.text(st.sampled_from(string.printable + "\u00e9\u2028\u4e2d\U0001f600"), max_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("written")


@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_texts_survive_a_csv(folder, rows):
    path = folder / "a.csv"
    write_records(path, [{"number": "1", "a": a, "b": b} for a, b in rows])
    with path.open(newline="") as file:
        read = list(csv.DictReader(io.StringIO(file.read(), newline="")))
    assert [(row["a"], row["b"]) for row in read] == rows
    ours = [record for _, record in read_records(path)]
    # `\r\n` is the end of a line to our reader, inside a field, too.
    expected = [tuple(text.replace("\r\n", "\n") for text in row) for row in rows]
    assert [(row["a"], row["b"]) for row in ours] == expected


def test_a_tsv_counts_what_it_cannot_hold(folder):
    path = folder / "a.tsv"
    assert write_records(path, [{"a": "x\ty", "b": "1\r\n2"}, {"a": 'q"', "b": None}]) == 2
    assert path.read_text() == 'a\tb\nx y\t1 2\nq"\t\n'


def test_records_with_other_fields_have_all_columns(folder):
    records = [{"a": 1, "b": [1, {"c": 2}]}, {"c": True, "a": 2.5}]
    write_records(folder / "b.csv", records)
    assert (folder / "b.csv").read_text() == 'a,b,c\n1,"[1, {""c"": 2}]",\n2.5,,true\n'
    write_records(folder / "b.jsonl", records)
    assert [json.loads(line) for line in (folder / "b.jsonl").read_text().splitlines()] == records


def test_parquet_keeps_types_and_writes_mixed_ones_as_text(folder):
    parquet = pytest.importorskip("pyarrow.parquet")
    day = datetime.date(2024, 2, 29)
    records = [{"day": day, "x": 1, "none": None, "empty": {}}, {"day": None, "x": "y"}]
    write_records(folder / "a.parquet", records)
    read = parquet.read_table(folder / "a.parquet").to_pylist()
    assert [row["day"] for row in read] == [day, None]
    assert [row["x"] for row in read] == ["1", "y"]
    assert [row["none"] for row in read] == [None, None]
    write_records(folder / "a.jsonl", read)
    assert json.loads((folder / "a.jsonl").read_text().splitlines()[0])["day"] == "2024-02-29"


def test_groups_of_rows_are_one_table_whatever_types_they_have(folder, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(written_records, "_ROWS_OF_A_GROUP", 2)
    records = [
        {"a": None, "b": 1, "c": [{"x": 1}], "d": 2.5, "e": 1},
        {"a": None, "b": 2, "c": [], "d": None, "e": 2},
        {"a": "late", "b": 3.5, "c": [{"x": 2, "y": "z"}], "d": 2**62 + 1, "e": {"k": 1}},
    ]
    path = folder / "groups.parquet"
    write_records(path, records)
    assert parquet.ParquetFile(path).num_row_groups == 2
    columns = parquet.read_table(path).to_pydict()
    assert columns["a"] == [None, None, "late"]
    assert columns["b"] == [1.0, 2.0, 3.5]
    assert columns["c"] == [[{"x": 1, "y": None}], [], [{"x": 2, "y": "z"}]]
    assert columns["d"] == ["2.5", None, str(2**62 + 1)]
    assert columns["e"] == ["1", "2", '{"k": 1}']


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
def test_records_that_fail_half_way_leave_the_old_file(folder, ending):
    path = folder / f"old.{ending}"
    path.write_text("old")

    class Broken:
        def __init__(self):
            self.times = 0

        def __iter__(self):
            self.times += 1
            yield {"a": 1}
            if self.times > (ending != "jsonl"):
                raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        write_records(path, Broken())
    assert path.read_text() == "old"
    assert not list(folder.glob("old.*.tmp"))


def test_other_endings_are_refused():
    with pytest.raises(ValueError, match=r"\.csv"):
        require_writable(Path("a.xls"))
    require_writable(Path("a.CSV"))


def test_what_numpy_holds_stays_numbers_in_json():
    found = json_value(
        {
            "count": np.int64(2),
            "share": np.float32(0.5),
            "is_known": np.bool_(True),
            "values": np.array([1.0, np.nan], np.float32),
            "none": np.float32(np.inf),
        }
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "count": 2, "share": 0.5, "is_known": True, "values": [1.0, None], "none": None,
    }  # fmt: skip
