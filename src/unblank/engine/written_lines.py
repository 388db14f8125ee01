"""The files that grow line by line with a run: what they held at a checkpoint, and back to it.

A checkpoint records size and hash of each, so that a resumed run can tell that the lines before its
step are as they were, and cut off those that a killed run wrote after it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unblank.engine.logging import (
    FILLS_NAME,
    METRICS_NAME,
    SKIPPED_NAME,
    VALIDATION_NAME,
    drop_lines_after,
)
from unblank.integrity import digest_damage, file_facts

__all__ = ["check_lines", "cut_lines", "facts_of_lines"]

_NAMES = (METRICS_NAME, VALIDATION_NAME, FILLS_NAME, SKIPPED_NAME)

LineFacts = Mapping[str, Mapping[str, Any]]
"""Name of a file -> its facts when the checkpoint was written."""


def facts_of_lines(output_dir: Path) -> dict[str, dict[str, int | str]]:
    """Return the facts of the files that there are, for a checkpoint of this moment."""
    paths = [output_dir / name for name in _NAMES]
    return {path.name: file_facts(path) for path in paths if path.is_file()}


def check_lines(output_dir: Path, recorded: LineFacts, step: int) -> list[str]:
    """Return notices of files that are gone, and refuse those that have changed.

    Args:
        output_dir: folder of the run.
        recorded: by the checkpoint that is continued.
        step: of the checkpoint.

    Raises:
        ValueError: the lines up to the step are not those that the run wrote.
    """
    notices = []
    for name, facts in recorded.items():
        path = output_dir / name
        if not path.is_file():
            notices.append(f"{path} is gone: its lines up to step {step} are lost")
        elif damage := digest_damage(path, facts):
            raise ValueError(
                f"{path} is damaged before step {step} ({damage}): restore it from a copy, or "
                "remove it to continue without these lines"
            )
    return notices


def cut_lines(output_dir: Path, recorded: LineFacts, step: int) -> None:
    """Take out what was written after a step.

    Args:
        output_dir: folder of the run.
        recorded: by the checkpoint that is continued, and checked; a file that it lacks was not
            there. Empty for a new run and for checkpoints of older versions, where each line is
            read.
        step: of the checkpoint, 0 for a new run.
    """
    for name in _NAMES:
        path = output_dir / name
        if name in recorded and path.is_file():
            os.truncate(path, recorded[name]["size"])
        elif recorded:
            path.unlink(missing_ok=True)
        else:
            drop_lines_after(path, step)
