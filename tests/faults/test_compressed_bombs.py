"""Small files that unpack to any size are read in bounded memory, or refused by name."""

import bz2
import gzip
import json
import lzma
import resource
import zipfile

import numpy as np
import pytest

from unblank.conversion.reference import read_reference
from unblank.data import unpacking
from unblank.data.parquet import read_parquet
from unblank.data.sources import TextFiles
from unblank.data.unpacking import LONGEST, byte_lines
from unblank.untrusted import npz
from unblank.untrusted.npz import arrays_in

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
zstandard = pytest.importorskip("zstandard")

PACKERS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: zstandard.ZstdCompressor().compress(content),
}
MEGABYTE = 2**20


def texts(path, **settings):
    return list(TextFiles(paths=(path,), **settings))


@pytest.fixture
def short_bound(monkeypatch):
    """The bound of a line and of what is held in memory, as 1,000."""
    for module in ("unpacking", "csv_rows", "column_rows", "parquet"):
        monkeypatch.setattr(f"unblank.data.{module}.LONGEST", 1000)


@pytest.mark.parametrize("packing", PACKERS)
def test_a_line_without_end_is_refused_by_name(tmp_path, packing):
    path = tmp_path / f"bomb.txt{packing}"
    # A stream of a megabyte, 1,000 times: all of it as one line would be a gigabyte.
    path.write_bytes(PACKERS[packing](b"a" * MEGABYTE) * 1000)
    assert path.stat().st_size < 2 * MEGABYTE
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=rf"bomb\.txt{packing}, line 1\b.*134,217,728"):
        next(byte_lines(path))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 2 * LONGEST + 64 * MEGABYTE


@pytest.mark.parametrize("packing", PACKERS)
def test_many_short_lines_are_read_one_after_another(tmp_path, packing):
    path = tmp_path / f"many.jsonl{packing}"
    block = b'{"text": "a"}\n' * 75_000
    path.write_bytes(PACKERS[packing](block) * 10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in byte_lines(path)) == 750_000
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 64 * MEGABYTE


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("content", [b"", b"a", b"a\n\nb\r\nc", b"x" * 3_000_000 + b"\ny\n"])
def test_lines_are_those_of_the_plain_content(tmp_path, packing, content):
    path = tmp_path / f"a.txt{packing}"
    middle = len(content) // 2
    for streams in ([content], [content[:middle], content[middle:], b""]):
        path.write_bytes(b"".join(map(PACKERS[packing], streams)))
        assert list(byte_lines(path)) == content.splitlines(keepends=True) or b"\r" in content
        assert b"".join(byte_lines(path)) == content


@pytest.mark.parametrize("packing", PACKERS)
def test_a_cut_file_is_damaged(tmp_path, packing):
    whole = PACKERS[packing](json.dumps(list(range(5000))).encode())
    path = tmp_path / f"a.txt{packing}"
    for length in (len(whole) - 1, len(whole) // 2, 3):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=str(path)):
            list(byte_lines(path))
    path.write_bytes(whole + b"something else")
    with pytest.raises(ValueError, match=str(path)):
        list(byte_lines(path))


def test_xz_that_asks_for_much_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.txt.xz"
    path.write_bytes(lzma.compress(b"a"))
    monkeypatch.setattr(unpacking, "_XZ_MEMORY", MEGABYTE)
    with pytest.raises(ValueError, match=r"a\.txt\.xz"):
        list(byte_lines(path))


@pytest.mark.parametrize(
    ("name", "content", "settings", "advice"),
    [
        ("a.txt", "short\n" * 300, {}, "text_unit to paragraph"),
        ("a.txt", "a\n\n" + "short\n" * 300, {"text_unit": "paragraph"}, "line 3 .*text_unit"),
        ("a.json", "[" + '{"text": "a"},\n' * 300, {}, "an object a line"),
        ("a.json", "\n" * 3000, {}, "an object a line"),
        ("a.csv", 'text\n"' + "short\n" * 300, {}, "line 2: .* more than"),
    ],
)
def test_what_is_held_in_memory_is_bounded(tmp_path, name, content, settings, advice, short_bound):
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress(content.encode()))
    with pytest.raises(ValueError, match=advice) as caught:
        texts(path, **settings)
    assert str(path) in str(caught.value)


def test_rows_of_parquet_that_are_too_long_are_refused(tmp_path, short_bound):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a" * 100_000] * 5}), path, use_dictionary=False)
    with pytest.raises(ValueError, match=r"a\.parquet .*100,\d\d\d bytes"):
        texts(path)
    pq.write_table(pa.table({"text": ["a" * 100_000] * 500}), path)
    with pytest.raises(ValueError, match=r"a\.parquet, row 1\b"):
        texts(path)


def test_a_text_that_parquet_stores_once_for_many_rows_is_unpacked_row_by_row(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a" * MEGABYTE] * 256, "n": range(256)}), path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = read_parquet(path, ("text",))
    assert sum(len(row["text"]) for _, row in rows) == 256 * MEGABYTE
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 128 * MEGABYTE


def test_an_archive_that_unpacks_to_any_size_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "r.npz", **{"a.logits": np.zeros((1000, 100))})
    assert arrays_in(tmp_path / "r.npz")["a.logits"].shape == (1000, 100)
    monkeypatch.setattr(npz, "_MOST_BYTES", 800_000)
    with pytest.raises(ValueError, match=r"r\.npz .*800,128 bytes"):
        arrays_in(tmp_path / "r.npz")
    with pytest.raises(ValueError, match=r"r\.npz"):
        read_reference(tmp_path / "r.npz", is_encoder_decoder=False)


def test_an_array_that_claims_more_than_there_is_is_refused(tmp_path):
    path = tmp_path / "r.npz"
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000000,), }".ljust(117)
    start = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.encode() + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.logits.npy", start + bytes(MEGABYTE))
    with pytest.raises(ValueError, match=r"r\.npz.*a\.logits\.npy"):
        arrays_in(path)


def test_arrays_are_read_as_numpy_reads_them(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros((0, 4)), "c": np.array(3)}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    read = arrays_in(tmp_path / "a.npz")
    assert all(np.array_equal(read[name], array) for name, array in arrays.items())
    np.save(tmp_path / "b.npy", arrays["a"])
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    with pytest.raises(ValueError, match=r"b\.npz is not an archive"):
        arrays_in(tmp_path / "b.npz")
