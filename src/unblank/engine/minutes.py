"""`train.minutes`: how many steps fit into a time, found by a few steps that are timed first.

The number is fixed before the run's first step and stands in its settings from then on: the
schedule is a function of the step, and a run that is continued has as many steps.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from unblank.engine.checkpoint import list_checkpoints
from unblank.engine.first_steps import time_first_steps
from unblank.engine.resume import RUN_NAME, require_recorded_settings
from unblank.engine.settings import TrainSettings
from unblank.engine.trainer import Trainer
from unblank.integrity import CHECKPOINTS_NAME
from unblank.settings.recipes import read_settings

__all__ = ["fit_steps", "with_recorded_steps", "with_steps"]

WARM_UP, FEWEST_TIMED = 2, 2
"""Steps that are not timed, as the first ones are slow, and the fewest that are."""
_TIMED_SHARE = 0.02
"""Share of the time that goes into timing, if so few steps take less."""
_MOST_TIMED_SECONDS = 60.0
"""Its upper limit, as longer timing tells nothing more."""
_TOLD_SHARE = 0.25
"""Share of the time before the first step from which on the header mentions it."""
KEPT_BACK = 0.05
"""Share of the time that is left for validations, checkpoints and the end."""

_Settings = TypeVar("_Settings")


@dataclass(frozen=True, slots=True)
class FittedSteps:
    """How many steps fit into a time, and what they take.

    Attributes:
        count: of steps.
        seconds: of one step.
        num_timed: steps of which that is the mean.
        share_before: of the time, over before the first step.
    """

    count: int
    seconds: float
    num_timed: int
    share_before: float = 0.0

    def __str__(self) -> str:
        said = f"{self.seconds:.2g} s a step, the mean of {self.num_timed}"
        if self.share_before < _TOLD_SHARE:
            return said
        return f"{said}; {self.share_before:.0%} of the time was over before the first step"


def with_steps(settings: _Settings, count: int) -> _Settings:
    """Return the settings of a run with that many steps."""
    given: Any = settings
    changed: _Settings = replace(given, train=replace(given.train, max_steps=count))
    return changed


def with_recorded_steps(settings: _Settings) -> _Settings:
    """Return the settings of a run; those of a timed run that is continued with its steps.

    Raises:
        ValueError: the folder holds a run of another length, or `train.resume` names a checkpoint,
            whose run has a length already.
    """
    given: Any = settings
    train: TrainSettings = given.train
    if not train.is_timed or train.resume == "never":
        return settings
    path = train.output_dir / RUN_NAME
    is_begun = path.is_file() or list_checkpoints(train.output_dir / CHECKPOINTS_NAME)
    if not is_begun and train.resume == "auto":
        return settings
    advice = "its number of steps is fixed: give train.max_steps instead of train.minutes"
    if not path.is_file():
        raise ValueError(f"a checkpoint is to be continued; {advice}")
    require_recorded_settings(train.output_dir)
    before: TrainSettings = read_settings(type(given), path).train
    if before.minutes != train.minutes or before.max_steps is None:
        raise ValueError(
            f"the run in {train.output_dir} was begun with {_length(before)}, and train.minutes is "
            f"{train.minutes:g}; {advice}, or choose another train.output_dir"
        )
    return with_steps(settings, before.max_steps)


def fit_steps(trainer: Trainer, minutes: float, spent: float) -> FittedSteps:
    """Return how many steps fit into what is left of a time.

    The steps are done with a learning rate of 0, so that no weight changes.

    Args:
        trainer: at its first step; it is of no use afterwards, nor are its optimisers.
        minutes: in all.
        spent: seconds of them that are over.

    Raises:
        ValueError: not one does, in any process.
    """
    whole = minutes * 60
    if _is_over(trainer, whole - spent):
        raise ValueError(
            f"train.minutes is {minutes:g}, and reading the text and making the model took "
            f"{spent:.1f} seconds already: give more minutes, or train.max_steps"
        )
    trainer.learning_rate = _no_learning_rate
    times = time_first_steps(
        trainer,
        warm_up=WARM_UP,
        num_timed=FEWEST_TIMED,
        seconds=min(whole * _TIMED_SHARE, _MOST_TIMED_SECONDS),
        most_seconds=whole - spent,
    )
    timed = times[WARM_UP:] or times[-1:]
    seconds = sum(timed) / len(timed)
    left = (whole - spent - sum(times)) * (1 - KEPT_BACK)
    # Of the main process alone: the clocks differ.
    (count,) = trainer.world.sum([float(int(left / seconds)) if trainer.world.is_main else 0.0])
    if count < 1:
        needed = (spent + sum(times) + seconds / (1 - KEPT_BACK)) / 60
        raise ValueError(
            f"train.minutes is {minutes:g}, too short for one step: before the first one "
            f"{spent + sum(times):.1f} seconds are over, and a step takes {seconds:.2g}. Give "
            f"train.minutes {math.ceil(needed * 10) / 10:g} or more, or train.max_steps"
        )
    return FittedSteps(int(count), seconds, len(timed), (spent + sum(times)) / whole)


def _is_over(trainer: Trainer, left: float) -> bool:
    """Return whether the main process has no time left; the same in every process."""
    return any(trainer.world.sum([float(trainer.world.is_main and left <= 0)]))


def _no_learning_rate(update: int) -> float:
    return 0.0


def _length(train: TrainSettings) -> str:
    """Say how long a run was meant to be."""
    if train.minutes is not None:
        return f"train.minutes {train.minutes:g}"
    return f"train.max_steps {train.max_steps:,}" if train.max_steps else "another length"
