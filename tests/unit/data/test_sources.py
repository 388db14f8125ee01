"""Documents come out of every kind of file, and bad files are named with the place of the fault."""

import gzip
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.data.fields import is_visible
from unblank.data.files import find_files
from unblank.data.sources import TextFiles
from unblank.progress_bars import progress_bar, track

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
zstandard = pytest.importorskip("zstandard")

TEXTS = ["One day.", "Zwei B\u00e4ume \u2014 \u4e00\u5929\nsecond line", 'quoted "three"']


def read(path: Path, **settings) -> list[str]:
    return list(TextFiles(paths=(path,), **settings))


def as_jsonl(texts: list[str], field: str = "text") -> bytes:
    return "".join(json.dumps({"id": 1, field: text}) + "\n" for text in texts).encode()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_all_record_formats_give_the_same_documents(tmp_path, suffix):
    path = tmp_path / f"corpus{suffix}"
    raw = as_jsonl(TEXTS)
    if suffix == ".parquet":
        pq.write_table(pa.table({"text": TEXTS}), path)
    else:
        pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
        path.write_bytes(pack.get(path.suffix, bytes)(raw))
    assert read(path) == TEXTS


def test_another_field_can_hold_the_text(tmp_path):
    path = written(tmp_path / "a.jsonl", as_jsonl(TEXTS, field="body"))
    assert read(path, text_field="body") == TEXTS


def test_zstd_of_several_frames_and_long_lines_is_read_whole(tmp_path):
    texts = ["word " * 50_000, "x", "y" * 300_000]
    pack = zstandard.ZstdCompressor().compress
    path = written(tmp_path / "a.jsonl.zst", b"".join(pack(as_jsonl([text])) for text in texts))
    assert read(path) == texts


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("file", ["a\nb\n\n\nc\n"]),
        ("line", ["a", "b", "c"]),
        ("paragraph", ["a\nb", "c"]),
    ],
)
def test_text_unit_decides_what_a_document_is(tmp_path, unit, expected):
    for name, newline in (("unix.txt", b"\n"), ("windows.txt", b"\r\n")):
        path = written(tmp_path / name, b"\xef\xbb\xbfa\nb\n\n\nc\n".replace(b"\n", newline))
        assert read(path, text_unit=unit) == expected


@given(st.lists(st.text().filter(is_visible), max_size=5))
def test_jsonl_gives_back_any_text(tmp_path_factory, texts):
    path = written(tmp_path_factory.mktemp("any") / "a.jsonl.gz", gzip.compress(as_jsonl(texts)))
    assert read(path) == texts


def test_empty_documents_are_counted_and_counters_start_anew(tmp_path):
    path = written(tmp_path / "a.jsonl", as_jsonl(["a", "", " \n"]) + b'\n{"text": null}\n')
    files = TextFiles(paths=(path,))
    for _ in range(2):
        assert list(files) == ["a"]
        assert (files.num_documents, files.num_empty, files.num_characters) == (1, 3, 1)
        assert files.num_bytes_read == files.num_bytes == path.stat().st_size


def test_files_are_found_by_folder_glob_and_name_and_only_once(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.txt", "sub/a.jsonl", ".hidden.txt", "picture.png"):
        (tmp_path / name).touch()
    expected = (tmp_path / "b.txt", tmp_path / "sub" / "a.jsonl")
    assert find_files(tmp_path) == expected
    assert find_files([f"{tmp_path}/*.txt", f"{tmp_path}/**/*.jsonl", tmp_path]) == expected


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ("corpsu.txt", FileNotFoundError, "corpus.txt"),
        ("nowhere/x.txt", FileNotFoundError, r"no folder .*/nowhere\b"),
        ("empty", FileNotFoundError, "has no text"),
        ("picture.png", ValueError, r"picture\.png.*\.jsonl"),
    ],
)
def test_paths_that_lead_nowhere_are_refused(tmp_path, asked, error, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "corpus.txt").touch()
    (tmp_path / "picture.png").touch()
    with pytest.raises(error, match=message):
        find_files(tmp_path / asked)


def test_asking_for_nothing_is_refused():
    with pytest.raises(ValueError, match="no text: give"):
        find_files([])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"g\xc3\xb6d\nb\xe4d\n", "a.txt, line 2, .*UTF-8.* byte 6 .*0xe4"),
        ("a.txt.gz", gzip.compress(b"good\nb\xe4d", mtime=0), "byte 6 .*decompression.*0xe4"),
        ("a.txt", "wide".encode("utf-16"), "byte 0 is 0xff .* iconv -f UTF-16 -t UTF-8"),
        ("a.txt", "w\u00efde".encode("utf-16-le"), "byte 1 is 0x00 .* iconv -f UTF-16LE -t UTF-8"),
        ("a.jsonl", "{}\n".encode("utf-32"), "byte 0 is 0xff .* iconv -f UTF-32 -t UTF-8"),
        ("a.tsv.txt", b"caf\xe9", "iconv -f LATIN1 -t UTF-8"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": \n', "a.jsonl, line 3: .*JSON"),
        ("a.jsonl", b"[" * 100_000, "line 1: .*JSON"),
        ("a.jsonl", b'["a"]\n', "line 1: .*JSON object.*list"),
        ("a.jsonl", b'{"txt": "a", "id": 1}', "line 1: .*'text'.*'txt', 'id'"),
        ("a.jsonl", b"{}", "only none"),
        ("a.jsonl", b'{"text": 3}', "line 1: .*'text'.*number"),
        ("a.jsonl", b'{"text": "a\\ud800"}', "line 1: .*surrogate"),
        ("a.jsonl.gz", gzip.compress(as_jsonl(TEXTS), mtime=0)[:-20], "gzip"),
        ("a.jsonl.gz", b"not gzip", "gzip"),
        ("a.jsonl.zst", zstandard.compress(as_jsonl(TEXTS))[:-20], "zstd"),
        ("a.jsonl.zst", b"not zstd", "zstd"),
        ("a.parquet", b"PAR1 not parquet", "damaged parquet"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_in_a_file_is_named_with_its_place(tmp_path, name, content, message):
    path = written(tmp_path / name, content)
    with pytest.raises(ValueError, match=message):
        read(path)


def test_parquet_without_the_column_or_with_numbers_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"txt": ["a"], "n": [1]}), path)
    with pytest.raises(ValueError, match=r"'text'.*'txt', 'n'"):
        read(path)
    with pytest.raises(ValueError, match=r"row 1: .*number"):
        read(path, text_field="n")


@pytest.mark.parametrize(
    ("name", "module"), [("a.parquet", "pyarrow.parquet"), ("a.txt.zst", "zstandard")]
)
def test_a_missing_extra_says_how_to_install_it(tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'unblank\[data\]'"):
        read(written(tmp_path / name, b"x"))


def test_tracking_gives_out_the_same_texts(tmp_path):
    files = TextFiles(paths=(written(tmp_path / "a.jsonl", as_jsonl(TEXTS)),))
    with progress_bar(show=False) as progress:
        assert list(track(files, progress, "reading")) == TEXTS
        assert list(track(iter(TEXTS), progress, "reading")) == TEXTS
        assert [task.completed for task in progress.tasks] == [files.num_bytes, 3]
