"""The first steps of a run, done for their time alone: nothing is written."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from unblank.engine.trainer import Trainer

__all__ = ["NoHooks", "time_first_steps"]


class NoHooks:
    """Hooks of a trainer that does nothing but steps."""

    def after_step(self, trainer: Trainer) -> None:
        """Nothing is due."""

    def on_skipped(self, trainer: Trainer, sample_numbers: Sequence[int]) -> None:
        """Nothing is written."""


@dataclass(slots=True, kw_only=True)
class _Clock(NoHooks):
    """Hooks of a run that look at the clock and end it when enough was timed."""

    warm_up: int
    num_timed: int
    seconds: float
    most_seconds: float
    ends: list[float]

    def after_step(self, trainer: Trainer) -> None:
        """Note when a step has ended."""
        if trainer.world.device.type == "cuda":
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        timed = self.ends[self.warm_up :]
        is_enough = len(timed) > self.num_timed and timed[-1] - timed[0] >= self.seconds
        is_over = self.ends[-1] - self.ends[0] >= self.most_seconds
        # The clocks differ, so that of the main process counts.
        ends = trainer.world.is_main and (is_enough or is_over)
        if any(trainer.world.sum([float(ends)])):
            trainer.max_steps = trainer.progress.step


def time_first_steps(
    trainer: Trainer,
    *,
    warm_up: int,
    num_timed: int,
    seconds: float = 0.0,
    most_seconds: float = float("inf"),
) -> list[float]:
    """Do the first steps of a run, write nothing, and return the seconds that each of them took.

    Args:
        trainer: at its first step; its hooks are replaced, and it is of no use afterwards.
        warm_up: how many steps to do before, as the first ones are slow.
        num_timed: how many steps to do after those, if the run has as many.
        seconds: go on until these have taken so long.
        most_seconds: do no further step when all have taken so long.
    """
    clock = _Clock(
        warm_up=warm_up,
        num_timed=num_timed,
        seconds=seconds,
        most_seconds=most_seconds,
        ends=[time.perf_counter()],
    )
    trainer.hooks = clock
    trainer.run()
    return [end - start for start, end in pairwise(clock.ends)]
