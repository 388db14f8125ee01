"""What killed commands of this and of earlier versions left behind is removed, and nothing else."""

import os
import time
import warnings
from pathlib import Path

import pytest

from unblank.atomic_folders import new_folder, remove_leftovers, used_folder
from unblank.engine.checkpoint import remove_unfinished

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
