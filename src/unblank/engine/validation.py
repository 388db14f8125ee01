"""Validation on the way: scores, the weights worth keeping, and when to stop."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblank.atomic_folders import remove_folder
from unblank.engine.checkpoint import list_checkpoints, new_checkpoint, step_name
from unblank.engine.model_files import write_weight_files
from unblank.engine.recording import Recorder
from unblank.engine.saving import Saver, require_finite_state
from unblank.engine.selection import Selection
from unblank.engine.shared_folders import folder_for_all
from unblank.engine.state import trained_weights
from unblank.engine.trainer import Trainer
from unblank.engine.training import Evaluation, Training

__all__ = ["SNAPSHOTS_NAME", "Validation", "scores_of_line"]

SNAPSHOTS_NAME = "snapshots"
"""Folder of the validated weights that are kept, inside the folder of the run."""
_OF_AVERAGE = "ema_"
"""Before the names of scores of the moving average, in `validation.jsonl`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Measures the model of a run, and keeps what the selection needs.

    Attributes:
        training: measures.
        selection: says what is worth keeping, and when to stop; None keeps and stops nothing.
        history: the validations so far, the same in every process.
        recorder: writes scores and predictions.
        saver: has the model, and writes the best one.
    """

    training: Training
    selection: Selection | None
    history: list[dict[str, Any]]
    recorder: Recorder
    saver: Saver

    def measure(self, trainer: Trainer) -> Evaluation:
        """Return the scores of the model as it is.

        Raises:
            MeasurementInterrupted: the end of the run was asked for.
        """
        trainer.module.eval()
        try:
            return self.training.evaluate(self.saver.model)
        finally:
            trainer.module.train()

    def validate(self, trainer: Trainer) -> None:
        """Measure the model of this step, write its scores, keep its weights if they are needed.

        Raises:
            MeasurementInterrupted: the end of the run was asked for; nothing is written.
        """
        step, selection = trainer.progress.step, self.selection
        evaluation = self.measure(trainer)
        line: dict[str, Any] = {"step": step}
        if self.training.steps_per_epoch:
            line["epoch"] = round(step / self.training.steps_per_epoch, 3)
        line |= evaluation.scores
        averaged = None
        if trainer.average is not None:
            with trainer.average.in_place():
                averaged = self.measure(trainer)
            line |= {f"{_OF_AVERAGE}{name}": value for name, value in averaged.scores.items()}
        self.history.append(line)
        is_best = selection is not None and selection.best_step(self.history) == step
        if trainer.world.is_main:
            if evaluation.note and len(self.history) == 1:
                self.recorder.display.say(evaluation.note)
            self.recorder.validation(line, is_best=is_best)
            self.recorder.predictions(evaluation, step_name(step))
            if averaged is not None:  # only the latest ones can become the model
                self.recorder.predictions(averaged, "ema", is_shown=False)
        if selection is not None and step in selection.needed_steps(self.history):
            self._save_snapshot(trainer, is_best)

    def stop_if_due(self, trainer: Trainer) -> None:
        """End the run if no score has improved for `patience` validations."""
        selection, step = self.selection, trainer.progress.step
        if selection is None or step >= trainer.max_steps or not selection.must_stop(self.history):
            return
        self.recorder.display.say(
            f"stopped at step {step}: no better {selection.metric} than at step "
            f"{selection.best_step(self.history)}; validations since then: {selection.patience}"
        )
        trainer.max_steps = step

    def forget_snapshots(self, trainer: Trainer) -> None:
        """Delete weights that neither are the best nor will be averaged.

        Called after the checkpoint of the same step: what an earlier one needs is there until then.
        """
        if self.selection is None or not trainer.world.is_main:
            return
        needed = {self.snapshot(step) for step in self.selection.needed_steps(self.history)}
        for folder in list_checkpoints(self.root):
            if folder not in needed:
                remove_folder(folder)

    def snapshot(self, step: int) -> Path:
        """Return the folder with the weights of a validated step."""
        return self.root / step_name(step)

    @property
    def root(self) -> Path:
        """Folder of the snapshots."""
        return self.saver.output_dir / SNAPSHOTS_NAME

    def _save_snapshot(self, trainer: Trainer, is_best: bool) -> None:
        trained = trained_weights(self.saver.model)
        require_finite_state(trained, trainer)
        world = trainer.world
        with folder_for_all(world, new_checkpoint(self.root, trainer.progress.step)) as folder:
            write_weight_files(folder, trained, world, stem="weights")
        if is_best:
            self.saver.replace_best(world)


def scores_of_line(line: Mapping[str, Any], *, of_average: bool = False) -> dict[str, float]:
    """Return the scores of the weights of a validated step, or those of their moving average."""
    scores = {name: value for name, value in line.items() if name not in ("step", "epoch")}
    return {
        name.removeprefix(_OF_AVERAGE): value
        for name, value in scores.items()
        if name.startswith(_OF_AVERAGE) == of_average
    }
