"""What is due after a step: a log line, a validation, a look at some fills, a checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

from unblank.engine.recording import Recorder
from unblank.engine.saving import Saver
from unblank.engine.task import Task
from unblank.engine.trainer import Trainer
from unblank.engine.validation import Validation

__all__ = ["Periods", "RunHooks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """Steps between two of the same; 0 is never. All but 0 are also due at the last step.

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
        task: fills blanks.
        recorder: writes lines.
        validation: measures.
        saver: writes checkpoints.
    """

    periods: Periods
    task: Task
    recorder: Recorder
    validation: Validation
    saver: Saver

    def after_step(self, trainer: Trainer) -> None:
        """Do what is due after this step."""
        step, periods = trainer.progress.step, self.periods
        if trainer.world.is_main:
            self.recorder.display.advance(step)
        if periods.is_due(step, periods.log):
            self.recorder.metrics(trainer)
        is_validated = periods.is_due(step, periods.validate)
        if is_validated:
            self.validation.validate(trainer)
        if periods.is_due(step, periods.fill):
            self._fill(trainer)
        # What the selection keeps must not be ahead of the checkpoint that a resume starts from.
        is_selected = is_validated and self.validation.selection is not None
        if is_selected or periods.is_due(step, periods.save):
            self.saver.save(trainer)
        if is_selected:
            self.validation.forget_snapshots(trainer)
            self.validation.stop_if_due(trainer)

    def on_skipped(self, trainer: Trainer, sample_numbers: Sequence[int]) -> None:
        """Say which samples had no finite loss."""
        if trainer.world.is_main:
            self.recorder.skipped(trainer.progress.step, sample_numbers)

    def _fill(self, trainer: Trainer) -> None:
        if not trainer.world.is_main:
            return
        trainer.module.eval()
        self.recorder.fills(self.task.fill(self.saver.model), trainer.progress.step)
        trainer.module.train()
