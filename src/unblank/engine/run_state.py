"""What a run's folder says of the run, while it trains and afterwards; reads files only."""

import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from unblank.engine.checkpoint import list_checkpoints
from unblank.engine.folder_lock import LOCK_NAME
from unblank.engine.logging import METRICS_NAME, VALIDATION_NAME, read_json_lines
from unblank.engine.resume import RUN_NAME
from unblank.integrity import CHECKPOINTS_NAME, find_damage
from unblank.settings.recipes import read_mapping

__all__ = ["RunState", "read_run_state"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """How far a run is.

    Attributes:
        folder: of the run.
        is_running: whether a process is at it.
        step: last step of which metrics were written; 0 before the first.
        num_steps: steps of the whole run; None if its files do not say it.
        loss: of the training text, at that step; None if unknown.
        held_out_loss: of the last validation; None without one.
        seconds_left: at the speed of the last steps; None if unknown.
        checkpoint: the latest one, which is complete; None before the first.
    """

    folder: Path
    is_running: bool
    step: int
    num_steps: int | None
    loss: float | None
    held_out_loss: float | None
    seconds_left: float | None
    checkpoint: Path | None

    @property
    def is_finished(self) -> bool:
        """Whether all steps are done."""
        return self.num_steps is not None and self.step >= self.num_steps

    def __str__(self) -> str:
        total = "" if self.num_steps is None else f" of {self.num_steps:,}"
        parts = [f"step {self.step:,}{total}"]
        parts += [] if self.loss is None else [f"loss {self.loss:.4f}"]
        parts += [] if self.held_out_loss is None else [f"held-out loss {self.held_out_loss:.4f}"]
        if self.is_running and self.seconds_left is not None and not self.is_finished:
            parts.append(f"about {timedelta(seconds=round(self.seconds_left))} left")
        return ", ".join(parts)


def read_run_state(folder: Path, *, verify: bool = False) -> RunState | None:
    """Return how far a run is, or None if the folder is not that of a run.

    Args:
        folder: `train.output_dir` of a run.
        verify: pass over checkpoints whose files have changed since they were written.

    Raises:
        ValueError: its files are damaged.
    """
    if not (folder / RUN_NAME).is_file():
        return None
    recipe = read_mapping(folder / RUN_NAME)
    train = recipe.get("train") if isinstance(recipe, dict) else None
    metrics = read_json_lines(folder / METRICS_NAME)
    validations = read_json_lines(folder / VALIDATION_NAME)
    found = list_checkpoints(folder / CHECKPOINTS_NAME)
    good = (one for one in found if not verify or find_damage(one) is None)
    step = metrics[-1].get("step", 0) if metrics else 0
    num_steps = _num_steps(train if isinstance(train, dict) else {}, validations)
    per_step = _seconds_per_step(metrics)
    return RunState(
        folder=folder,
        is_running=_is_locked(folder / LOCK_NAME),
        step=step,
        num_steps=num_steps,
        loss=metrics[-1].get("loss") if metrics else None,
        held_out_loss=validations[-1].get("loss") if validations else None,
        seconds_left=None if None in (per_step, num_steps) else (num_steps - step) * per_step,  # type: ignore[operator]
        checkpoint=next(good, None),
    )


def _num_steps(train: dict[str, Any], validations: list[dict[str, Any]]) -> int | None:
    """Return the steps of a run: as set, or from its epochs once a validation tells their size."""
    if isinstance(train.get("max_steps"), int):
        return int(train["max_steps"])
    epochs = train.get("epochs")
    sizes = [one["step"] / one["epoch"] for one in validations if one.get("epoch")]
    if not isinstance(epochs, int | float) or not sizes:
        return None
    return int(epochs * sizes[-1] + 0.5)


def _seconds_per_step(metrics: list[dict[str, Any]]) -> float | None:
    """Return the time of a step between the last two lines of metrics."""
    if not metrics:
        return None
    first = metrics[-2] if len(metrics) > 1 else {"step": 0, "tokens": 0}
    last = metrics[-1]
    try:
        steps, tokens = last["step"] - first["step"], last["tokens"] - first["tokens"]
        seconds: float = tokens / last["tokens_per_second"] / steps
    except (KeyError, TypeError, ZeroDivisionError):
        return None
    return seconds


def _is_locked(path: Path) -> bool:
    """Whether a process holds a run's folder; never on Windows, where none is locked."""
    if sys.platform == "win32" or not path.is_file():
        return False
    import fcntl

    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
