"""`train.resume` names a folder: a checkpoint, or what the message says of it."""

import pytest

from unblank.engine.checkpoint import write_checkpoint
from unblank.engine.resume import find_start


def write(*names):
    return lambda folder: [(folder / name).write_text("{}") for name in names]


@pytest.mark.parametrize("name", [".", "checkpoints"])
def test_a_folder_around_checkpoints_is_no_checkpoint_and_the_latest_one_is_offered(tmp_path, name):
    for step in (2, 4):
        latest = write_checkpoint(tmp_path / "checkpoints", step, write("trainer.json"))
    with pytest.raises(ValueError, match=rf"no checkpoint.*{latest}") as error:
        find_start(tmp_path, str(tmp_path / name), None, None)
    assert "damaged" not in str(error.value)


def test_weights_that_no_run_can_continue_from_are_no_checkpoint(tmp_path):
    folder = write_checkpoint(tmp_path / "snapshots", 2, write("weights.safetensors"))
    with pytest.raises(ValueError, match=rf"{folder}.*no checkpoint"):
        find_start(tmp_path, str(folder), None, None)


def test_a_checkpoint_without_its_record_is_damaged(tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoints", 2, write("trainer.json"))
    (folder / "manifest.json").unlink()
    with pytest.raises(ValueError, match="damaged"):
        find_start(tmp_path, str(folder), None, None)
