"""What killed commands of this and of earlier versions left behind is removed, and nothing else."""

import os
import signal
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from unblank.atomic_folders import (
    absent_folders,
    new_folder,
    remove_leftovers,
    unfinished_folder,
    used_folder,
)
from unblank.data.shards import CorpusCache
from unblank.data.shared_progress import shared_bar
from unblank.engine.checkpoint import remove_unfinished
from unblank.integrity import atomic_file, write_atomically

DAY = 24 * 60 * 60


def folder_of(path: Path, *files: str, age: float = 2 * DAY, mode: int = 0o700) -> Path:
    path.mkdir(mode=mode)
    for name in files:
        (path / name).write_text("half")
    for one in (*path.iterdir(), path):
        os.utime(one, (time.time() - age,) * 2)
    return path


@pytest.mark.parametrize("name", [".building-0123abcd-x_1b2c3d", ".building-removed-x_1b2c3d"])
def test_corpora_that_earlier_versions_left_are_removed_when_nobody_writes_them(tmp_path, name):
    left = folder_of(tmp_path / name, "tokens.bin")
    in_use = folder_of(tmp_path / f"{name}2", "tokens.bin", age=60)
    with pytest.warns(UserWarning, match=rf"{tmp_path}: {name}"):
        remove_leftovers(tmp_path)
    assert not left.exists()
    assert in_use.exists()


def test_a_conversion_removes_what_one_of_an_earlier_version_left(tmp_path):
    left = folder_of(tmp_path / ".model.x_1b2c3d", "config.json", "model.safetensors")
    kept = [
        folder_of(tmp_path / ".model.y_1b2c3d", "config.json", age=60),
        folder_of(tmp_path / ".model.backups1", "config.json", mode=0o755),
        folder_of(tmp_path / ".model.private1", "diary.doc"),
        folder_of(tmp_path / ".model.more", "config.json"),
        folder_of(tmp_path / ".other.x_1b2c3d", "config.json"),
    ]
    with (
        pytest.warns(UserWarning, match=r"\.model\.x_1b2c3d"),
        new_folder(tmp_path / "model") as folder,
    ):
        (folder / "config.json").write_text("{}")
    assert not left.exists()
    assert all(folder.exists() for folder in kept)


def test_a_run_removes_the_half_written_model_of_an_earlier_version(tmp_path):
    folder_of(tmp_path / "final.tmp", "model.safetensors", age=0)
    remove_unfinished(tmp_path)
    assert not list(tmp_path.iterdir())


def test_where_nothing_is_left_nothing_is_said(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        remove_leftovers(tmp_path)
        with new_folder(tmp_path / "model"):
            pass


def test_a_folder_that_is_made_for_a_block_stays_if_something_is_in_it(tmp_path):
    with pytest.raises(KeyError), used_folder(tmp_path / "a" / "b"):
        raise KeyError
    with pytest.raises(OSError, match="too long"), used_folder(tmp_path / "a" / ("x" * 300)):
        pass
    assert list(tmp_path.iterdir()) == []
    with used_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "file").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]
    with used_folder(tmp_path / "a"):
        (tmp_path / "a" / "file").unlink()
    assert (tmp_path / "a").is_dir()


@pytest.mark.parametrize("last", [0, 1])
def test_the_last_of_several_processes_removes_the_folder_that_none_used(last, tmp_path):
    folder = tmp_path / "a" / "b"
    absent = absent_folders(folder)  # which processes tell each other before any makes it
    both = [used_folder(folder, absent) for _ in range(2)]
    own = [folder / f"{number}.json" for number in range(2)]
    for one, path in zip(both, own, strict=True):
        one.__enter__()
        path.touch()
    for number in (1 - last, last):
        own[number].unlink()
        both[number].__exit__(None, None, None)
    assert not [*tmp_path.iterdir()]


@pytest.fixture
def live_folders(tmp_path):
    """The bar of two processes, and what `unblank prepare` makes beside the shards."""
    world = SimpleNamespace(rank=0, size=2, gather=lambda value: [value, value])
    bar = shared_bar("reading", 1, world, tmp_path, show=False)
    with bar, unfinished_folder(tmp_path, "tokenizer"):
        yield sorted(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_start_removes_nothing_that_a_live_process_uses(live_folders, tmp_path):
    assert len(live_folders) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CorpusCache(tmp_path)
    assert sorted(tmp_path.iterdir()) == live_folders


def test_of_two_that_make_the_same_folder_the_second_is_told_that_it_exists(tmp_path):
    def make(content, meanwhile=lambda: None):
        with new_folder(tmp_path / "model") as folder:
            (folder / "config.json").write_text(content)
            meanwhile()

    with pytest.raises(FileExistsError, match="model"):
        make("second", meanwhile=lambda: make("first"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "config.json").read_text() == "first"


def test_two_that_write_one_file_at_once_both_write_it_whole(tmp_path):
    path = tmp_path / "known.json"
    with atomic_file(path) as first:
        first.write(b"first")
        first.flush()
        with atomic_file(path) as second:
            second.write(b"2nd")
        assert path.read_bytes() == b"2nd"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_a_killed_process_left_half_written_goes_with_the_next_one(tmp_path):
    (tmp_path / "[1].json").write_text("old")
    if os.fork() == 0:
        with atomic_file(tmp_path / "[1].json") as file:
            file.write(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_file(tmp_path / "other.json"):
        write_atomically(tmp_path / "[1].json", "new")
        assert (tmp_path / "[1].json").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["[1].json", "other.json"]


def test_a_start_removes_half_written_files_too_but_none_in_use(tmp_path):
    (left := tmp_path / ".recipe.json.unfinished-0123abcd").write_text("half")
    with atomic_file(tmp_path / "known_text.json") as file:
        file.write(b"{}")
        with pytest.warns(UserWarning, match=left.name):
            CorpusCache(tmp_path)
        assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["known_text.json"]
