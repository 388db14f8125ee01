"""What is due after a step: a log line, a validation, a look at some fills, a checkpoint."""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

from unblank.engine.parallel import MeasurementInterrupted
from unblank.engine.recording import Recorder
from unblank.engine.saving import Saver
from unblank.engine.trainer import Trainer
from unblank.engine.training import Training
from unblank.engine.unplanned import Unplanned
from unblank.engine.validation import Validation
from unblank.interruption import Interrupted

__all__ = ["Periods", "RunHooks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """Steps between two occurrences; 0 is never. What is not 0 is also due at the last step.

    Attributes:
        log: lines of metrics.
        validate: validations.
        fill: rounds of fills.
        save: checkpoints.
        last: the last step of the run.
    """

    log: int
    validate: int
    fill: int
    save: int
    last: int

    def is_due(self, step: int, period: int) -> bool:
        """Whether something with this period is due after a step."""
        return period > 0 and (step % period == 0 or step == self.last)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHooks:
    """What the loop calls after each step; the checkpoint comes last, so that it holds the rest.

    Attributes:
        periods: what is due when.
        training: fills blanks.
        recorder: writes lines.
        validation: measures.
        saver: writes checkpoints.
        unplanned: says when a checkpoint is due outside of the schedule.
    """

    periods: Periods
    training: Training
    recorder: Recorder
    validation: Validation
    saver: Saver
    unplanned: Unplanned

    def after_step(self, trainer: Trainer) -> None:
        """Do what is due after this step.

        Raises:
            Interrupted: a signal asked some process of the run to end; the checkpoint is written.
        """
        step, periods = trainer.progress.step, self.periods
        if trainer.world.is_main:
            self.recorder.display.advance(step)
        if periods.is_due(step, periods.log):
            self.recorder.metrics(trainer)
        self._measure_and_save(trainer)

    def catch_up(self, trainer: Trainer) -> None:
        """Do what a signal broke off at the last step, its validation and what follows, and save.

        Raises:
            Interrupted: as for `after_step`.
        """
        self._measure_and_save(trainer, must_save=True)

    def on_skipped(self, trainer: Trainer, sample_numbers: Sequence[int]) -> None:
        """Say which samples had no finite loss."""
        if trainer.world.is_main:
            self.recorder.skipped(trainer.progress.step, sample_numbers)

    def _measure_and_save(self, trainer: Trainer, *, must_save: bool = False) -> None:
        step, periods = trainer.progress.step, self.periods
        is_validated, is_broken_off = periods.is_due(step, periods.validate), False
        try:
            if is_validated:
                self.validation.validate(trainer)
            if periods.is_due(step, periods.fill):
                self._fill(trainer)
        except MeasurementInterrupted:
            is_validated, is_broken_off = False, True
        # What the selection keeps must not be ahead of the checkpoint that a resume starts from.
        is_selected = is_validated and self.validation.selection is not None
        must_end, is_time, has_failed = self.unplanned.look(
            trainer.world, has_failed=self.saver.has_failed
        )
        if has_failed:
            self.saver.settle()  # raises what failed, now rather than at the next checkpoint
        is_due = step == self.saver.kept_step or periods.is_due(step, periods.save)
        if is_selected or is_due or must_end or is_time or must_save:
            self.saver.save(trainer, owes_validation=is_broken_off)
            self.unplanned.saved_at = time.monotonic()
        if is_selected or must_end:
            self.saver.settle()
        if is_selected:
            self.validation.forget_snapshots(trainer)
            self.validation.stop_if_due(trainer)
        if must_end:
            raise self._interrupted(trainer)

    def _interrupted(self, trainer: Trainer) -> Interrupted:
        number = self.unplanned.signal_number(trainer.world) or signal.SIGTERM
        return Interrupted(
            number,
            f"stopped by {signal.Signals(number).name} after step {trainer.progress.step}, with a "
            f"checkpoint in {self.saver.output_dir}; run the same command again to continue",
        )

    def _fill(self, trainer: Trainer) -> None:
        if not trainer.world.is_main:
            return
        trainer.module.eval()
        self.recorder.fills(self.training.fill(self.saver.model), trainer.progress.step)
        trainer.module.train()
