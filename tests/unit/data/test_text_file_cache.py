"""A file is read again exactly if it may have changed."""

import hashlib
import os
import time

import pytest

from unblank.data import text_file_cache
from unblank.data.text_file_cache import TextFileCache


@pytest.fixture
def reads(monkeypatch):
    """The files that were read, in order."""
    read, found = text_file_cache.file_hash, []

    def noted(path, advance):
        found.append(path.name)
        return read(path, advance)

    monkeypatch.setattr(text_file_cache, "file_hash", noted)
    return found


def settled(path, content, seconds=60):
    path.write_bytes(content)
    then = time.time_ns() - seconds * 10**9
    os.utime(path, ns=(then, then))
    return path


def digest(cache, path, **options):
    known = TextFileCache(cache, **options)
    found = known.digest(path)
    known.save()
    return found


def test_an_unchanged_file_is_read_once(tmp_path, reads):
    path = settled(tmp_path / "a.txt", b"text" * 1000)
    expected = hashlib.blake2b(b"text" * 1000).hexdigest()
    assert [digest(tmp_path, path) for _ in range(3)] == [expected] * 3
    assert reads == ["a.txt"]
    assert TextFileCache(tmp_path).has_hash(path)


@pytest.mark.parametrize("change", ["content", "size", "time", "inode"])
def test_a_changed_file_is_read_again(tmp_path, reads, change):
    path = settled(tmp_path / "a.txt", b"text")
    digest(tmp_path, path)
    new = b"txet" if change == "content" else b"texts" if change == "size" else b"text"
    if change == "inode":
        facts = path.stat()
        other = settled(tmp_path / "b", new)
        os.utime(other, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
        other.replace(path)
    else:
        settled(path, new, seconds=30)
    assert digest(tmp_path, path) == hashlib.blake2b(new).hexdigest()
    assert reads == ["a.txt"] * 2


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path, reads):
    path = settled(tmp_path / "a.txt", b"text", seconds=0)
    known = TextFileCache(tmp_path)
    assert known.digest(path) == known.digest(path)  # within one start it is
    known.save()
    digest(tmp_path, path)
    assert reads == ["a.txt"] * 2


def test_verify_reads_everything_and_keeps_the_record_of_others(tmp_path, reads):
    path, other = (settled(tmp_path / name, b"text") for name in ("a.txt", "b.txt"))
    for one in (path, other):
        digest(tmp_path, one)
    digest(tmp_path, path, verify=True)
    digest(tmp_path, other)
    assert reads == ["a.txt", "b.txt", "a.txt"]


@pytest.mark.parametrize("harm", [b"", b"{}", b'{"files": 3, "answers": {}}', b"\xff"])
def test_a_damaged_record_costs_nothing_but_time(tmp_path, harm):
    path = settled(tmp_path / "a.txt", b"text")
    expected = digest(tmp_path, path)
    (tmp_path / "known_text.json").write_bytes(harm)
    assert digest(tmp_path, path) == expected
    assert TextFileCache(tmp_path).has_hash(path)


def test_answers_are_remembered_beside_those_of_other_runs(tmp_path):
    one, other = TextFileCache(tmp_path), TextFileCache(tmp_path)
    one.put("a", [2**64 - 1])
    one.save()
    other.put("b", 2)
    other.save()
    known = TextFileCache(tmp_path)
    assert (known.get("a"), known.get("b"), known.get("c")) == ([2**64 - 1], 2, None)
