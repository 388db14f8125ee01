import errno
import shutil

import pytest

from unblank.integrity import find_damage
from unblank.training.checkpoint import (
    CheckpointError,
    list_checkpoints,
    remove_old_checkpoints,
    remove_unfinished,
    write_checkpoint,
)


def writer(text="weights"):
    def write_files(folder):
        (folder / "model.safetensors").write_text(text * 100)
        (folder / "trainer.json").write_text("{}")

    return write_files


def test_a_written_checkpoint_is_complete_and_listed_latest_first(tmp_path):
    for step in (5, 100, 20):
        write_checkpoint(tmp_path, step, writer())
    (tmp_path / "notes.txt").write_text("not a checkpoint")
    folders = list_checkpoints(tmp_path)
    assert [folder.name for folder in folders] == [
        "step-00000100",
        "step-00000020",
        "step-00000005",
    ]
    assert [find_damage(folder) for folder in folders] == [None] * 3


def test_only_the_latest_are_kept(tmp_path):
    for step in range(1, 6):
        write_checkpoint(tmp_path, step, writer())
        remove_old_checkpoints(tmp_path, keep=2)
    assert [folder.name[-1] for folder in list_checkpoints(tmp_path)] == ["5", "4"]


def test_a_full_disk_leaves_the_earlier_checkpoint_and_nothing_half_written(tmp_path):
    good = write_checkpoint(tmp_path, 1, writer())

    def fills_the_disk(folder):
        (folder / "model.safetensors").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CheckpointError, match=r"No space left.*last good one is .*step-00000001"):
        write_checkpoint(tmp_path, 2, fills_the_disk)
    assert list(tmp_path.iterdir()) == [good]
    assert find_damage(good) is None


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda folder: (folder / "model.safetensors").write_text("x"), "has 1 bytes instead of"),
        (lambda folder: (folder / "trainer.json").write_text("[]"), "trainer.json has changed"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json cannot be read"),
        (shutil.rmtree, "manifest.json cannot be read"),
    ],
)
def test_damage_is_named(tmp_path, harm, named):
    folder = write_checkpoint(tmp_path, 3, writer())
    harm(folder)
    assert named in find_damage(folder)


def test_a_damaged_checkpoint_is_replaced_when_its_step_comes_again(tmp_path):
    folder = write_checkpoint(tmp_path, 3, writer())
    (folder / "trainer.json").write_text("broken")
    assert write_checkpoint(tmp_path, 3, writer("new")) == folder
    assert find_damage(folder) is None


def test_what_a_kill_left_half_written_is_no_checkpoint_and_is_removed(tmp_path):
    (tmp_path / "step-00000004.tmp-abc").mkdir()
    assert list_checkpoints(tmp_path) == []
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []
