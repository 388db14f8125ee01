import errno
import os
import shutil
import stat

import pytest
import torch
from safetensors.torch import save_file

from unblank.atomic_folders import new_folder
from unblank.engine.checkpoint import (
    CheckpointError,
    list_checkpoints,
    remove_old_checkpoints,
    remove_unfinished,
    write_checkpoint,
)
from unblank.engine.finished import published_model
from unblank.integrity import find_damage


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


def saved_as_checkpoint(output, write_files):
    output.mkdir()
    return write_checkpoint(output, 1, write_files)


def published(output, write_files):
    output.mkdir()
    with published_model(output, {}) as folder:
        write_files(folder)
    return output


def put_into_a_new_folder(output, write_files):
    with new_folder(output) as folder:
        write_files(folder)
    return output


@pytest.mark.parametrize("write", [saved_as_checkpoint, published, put_into_a_new_folder])
@pytest.mark.parametrize(("umask", "file", "folder"), [(0o22, 0o644, 0o755), (0o27, 0o640, 0o750)])
def test_others_may_read_what_is_written_as_far_as_the_umask_lets_them(
    tmp_path, write, umask, file, folder
):
    before = os.umask(umask)
    try:
        output = write(
            tmp_path / "out",
            lambda inside: save_file({"a": torch.ones(2)}, inside / "model.safetensors"),
        )
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in output.iterdir()}
    assert (modes, stat.S_IMODE(output.stat().st_mode)) == ({file}, folder)


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

    with pytest.raises(CheckpointError, match=r"No space left.*step-00000001"):
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
    for name in ("step-00000004.tmp-abc", ".step-00000004.unfinished-abc"):
        (tmp_path / name).mkdir()
    assert list_checkpoints(tmp_path) == []
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_old_checkpoint_loses_its_name_before_its_files(tmp_path, monkeypatch):
    for step in (1, 2):
        write_checkpoint(tmp_path, step, writer())

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda folder, **options: None)
        remove_old_checkpoints(tmp_path, keep=1)
    assert [folder.name for folder in list_checkpoints(tmp_path)] == ["step-00000002"]
    assert len(list(tmp_path.iterdir())) == 2
    remove_unfinished(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
