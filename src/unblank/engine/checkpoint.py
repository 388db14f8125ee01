"""Checkpoint folders that survive a kill, a full disk and a damaged file.

A checkpoint is written into a hidden folder, a manifest of sizes and hashes last, every file forced
to disk, then renamed: a folder named `step-N` was complete when it got its name. This module knows
files only; what is in them is `engine.state`.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from unblank.atomic_folders import new_folder, remove_folder, remove_leftovers
from unblank.disk_errors import writes_to
from unblank.integrity import MANIFEST_NAME, FileFacts, facts_of_files, seal

__all__ = [
    "CheckpointError",
    "cannot_write",
    "list_checkpoints",
    "new_checkpoint",
    "remove_old_checkpoints",
    "remove_unfinished",
    "step_name",
    "write_checkpoint",
]

_FOLDER = re.compile(r"step-(\d+)")
_UNFINISHED_BEFORE, _FINAL_BEFORE = ".tmp-", "final.tmp"
"""In the names of half-written folders of version 0.2."""


class CheckpointError(RuntimeError):
    """A checkpoint that could not be written or read; the message says which, why, what to do."""


def step_name(step: int) -> str:
    """Return the name of what belongs to an optimiser step: a checkpoint, weights, predictions."""
    return f"step-{step:08d}"


def _checkpoint_step(folder: Path) -> int | None:
    """Return the step in the name of a finished checkpoint folder, or None for other names."""
    match = _FOLDER.fullmatch(folder.name)
    return int(match.group(1)) if match else None


def list_checkpoints(root: Path) -> list[Path]:
    """Return the finished checkpoint folders under `root`, latest first."""
    if not root.is_dir():
        return []
    steps = {folder: _checkpoint_step(folder) for folder in root.iterdir()}
    found = [(step, folder) for folder, step in steps.items() if step is not None]
    return [folder for _, folder in sorted(found, reverse=True)]


@contextmanager
def new_checkpoint(
    root: Path, step: int, known: Mapping[str, FileFacts] | None = None
) -> Iterator[Path]:
    """Write a checkpoint in the block; it appears whole at the end of it, or not at all.

    Args:
        root: folder of all checkpoints of the run.
        step: optimiser steps done.
        known: name -> size and hash of files that other processes have forced to disk by the end
            of the block.

    Yields:
        The folder that every file is to be written to.

    Raises:
        CheckpointError: if it could not be written; what had been written is removed and earlier
            checkpoints are untouched.
    """
    target = root / step_name(step)
    try:
        with writes_to(target):
            # What is there is damaged: a good one of this step would have been resumed.
            with new_folder(target, replace=True) as folder:
                yield folder
                _write_manifest(folder, known or {})
            # A rename survives a crash only once the folder that holds the name is on the disk.
            _force_to_disk(root)
    except OSError as error:
        raise CheckpointError(cannot_write(root, str(error))) from error


def write_checkpoint(root: Path, step: int, write_files: Callable[[Path], None]) -> Path:
    """Write a checkpoint at once, and return its folder; errors as for `new_checkpoint`.

    Args:
        root: folder of all checkpoints of the run.
        step: optimiser steps done.
        write_files: called with an empty folder; writes every file into it.
    """
    with new_checkpoint(root, step) as folder:
        write_files(folder)
    return root / step_name(step)


def remove_old_checkpoints(root: Path, keep: int, kept_step: int | None = None) -> None:
    """Delete all but the latest `keep` checkpoints under `root`, and that of `kept_step`."""
    for folder in list_checkpoints(root)[keep:]:
        if _checkpoint_step(folder) != kept_step:
            remove_folder(folder)


def remove_unfinished(root: Path) -> None:
    """Delete what killed runs left half written or half removed under `root`."""
    remove_leftovers(root)
    for folder in root.glob(f"step-*{_UNFINISHED_BEFORE}*"):
        shutil.rmtree(folder)
    shutil.rmtree(root / _FINAL_BEFORE, ignore_errors=True)


def cannot_write(root: Path, reason: str) -> str:
    """Return the message for a checkpoint that could not be written."""
    earlier = list_checkpoints(root)
    kept = f"the last good one is {earlier[0]}" if earlier else "there is no earlier one"
    return (
        f"the checkpoint was not saved: {reason}. Nothing is left of it; {kept}. After that, run "
        "the same command again to continue from there (a lower train.keep_checkpoints takes less "
        "room)"
    )


def _write_manifest(folder: Path, known: Mapping[str, FileFacts]) -> None:
    for path in folder.rglob("*"):
        if path.relative_to(folder).as_posix() not in known:
            _force_to_disk(path)
    # Last, when all that it lists is on the disk: a folder without it is known to be incomplete.
    manifest = folder / MANIFEST_NAME
    facts = facts_of_files(folder, known)
    manifest.write_text(seal({"files": facts}), encoding="utf-8")
    _force_to_disk(manifest)
    _force_to_disk(folder)


def _force_to_disk(path: Path) -> None:
    # fsync takes any descriptor, and a folder can be opened for reading only.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
