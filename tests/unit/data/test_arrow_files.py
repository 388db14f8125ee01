"""Arrow files and the folders that `datasets.save_to_disk` writes."""

import warnings

import pyarrow as arrow
import pytest
from pyarrow import ipc

from unblank.data.files import find_files
from unblank.data.records import read_records
from unblank.data.sources import TextFiles

TEXTS = [f"text {number}" for number in range(600)]


def written(path, kind, texts=TEXTS):
    table = arrow.table({"text": texts, "other": list(range(len(texts)))})
    new = ipc.new_stream if kind == "stream" else ipc.new_file
    with new(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=250)
    return path


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_the_rows_of_a_file(tmp_path, kind):
    path = written(tmp_path / "a.arrow", kind)
    assert list(TextFiles(paths=(path,))) == TEXTS
    place, record = list(read_records(path))[-1]
    assert (place, record) == (f"{path}, row 600", {"text": "text 599", "other": 599})


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_a_damaged_file_is_named(tmp_path, kind):
    path = written(tmp_path / "a.arrow", kind)
    content = path.read_bytes()
    for damaged in (b"", content[:100], content[: len(content) // 2], b"x" * 500):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.arrow"):
            list(read_records(path, ["text"]))


def test_a_missing_field_and_a_long_text_are_refused(tmp_path, monkeypatch):
    path = written(tmp_path / "a.arrow", "stream")
    with pytest.raises(ValueError, match=r"'txt'.*'text'"):
        list(read_records(path, ["txt"]))
    monkeypatch.setattr("unblank.data.column_rows.LONGEST", 7)
    with pytest.raises(ValueError, match=r"a\.arrow, row 101"):
        list(TextFiles(paths=(path,)))


def saved(folder, texts):
    """Write what `datasets.Dataset.save_to_disk` does."""
    folder.mkdir(parents=True)
    half = len(texts) // 2
    written(folder / "data-00000-of-00002.arrow", "stream", texts[:half])
    written(folder / "data-00001-of-00002.arrow", "stream", texts[half:])
    (folder / "state.json").write_text('{"_data_files": []}')
    (folder / "dataset_info.json").write_text('{"description": "no text"}')


def test_a_saved_data_set_has_its_rows_and_not_its_descriptions(tmp_path):
    saved(tmp_path / "set" / "train", TEXTS)
    saved(tmp_path / "set" / "test", ["held out", "too"])
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.warns(UserWarning, match="descriptions of a data set 2"):
        assert list(TextFiles(paths=find_files(tmp_path / "set" / "train"))) == TEXTS
    with pytest.warns(UserWarning, match="descriptions of a data set 5"):
        assert len(list(TextFiles(paths=find_files(tmp_path / "set")))) == 602


@pytest.mark.slow
def test_what_datasets_itself_saves(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": TEXTS}).save_to_disk(tmp_path / "set", num_shards=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert list(TextFiles(paths=find_files(tmp_path / "set"))) == TEXTS
