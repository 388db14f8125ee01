"""What happens around the loop of a fine-tuning run: validation, weights worth keeping, the end.

Log lines and checkpoints are those of pretraining (`training.hooks`).
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from unblank.engine.checkpoint import list_checkpoints, write_checkpoint
from unblank.engine.hooks import RunHooks
from unblank.engine.logging import VALIDATION_NAME, append_line
from unblank.engine.selection import Selection
from unblank.engine.state import gather_state
from unblank.engine.task import Evaluation, FinetuneTask
from unblank.engine.trainer import Trainer
from unblank.integrity import apply_umask

__all__ = [
    "BEST_NAME",
    "PREDICTIONS_NAME",
    "SNAPSHOTS_NAME",
    "WEIGHTS_NAME",
    "FinetuneHooks",
    "prediction_name",
    "score_text",
]

SNAPSHOTS_NAME = "snapshots"
"""Folder of the validated weights that are worth keeping, inside the folder of the run."""
WEIGHTS_NAME = "weights.safetensors"
PREDICTIONS_NAME = "predictions"
BEST_NAME = "best"
"""Folder of the best model so far, which opens like any other while the run goes on."""

_SHOWN_PREDICTIONS = 2
_LONGEST_SHOWN = 100


@dataclass(slots=True, kw_only=True)
class FinetuneHooks:
    """The hooks of a fine-tuning run.

    Attributes:
        inner: logs and saves, as in pretraining.
        task: measures the model.
        selection: says what is worth keeping, and when to stop.
        validate_every: steps between two validations; 0 is never.
        history: the validations so far, the same in every process.
        steps_per_epoch: to say in which epoch the run is.
    """

    inner: RunHooks
    task: FinetuneTask
    selection: Selection
    validate_every: int
    history: list[dict[str, Any]]
    steps_per_epoch: int

    def after_step(self, trainer: Trainer) -> None:
        """Do what is due after this step."""
        step = trainer.progress.step
        is_validated = self._is_due(step, self.validate_every)
        if is_validated:
            self._validate(trainer)
        self.inner.after_step(trainer)
        if is_validated:
            if not self._is_due(step, self.inner.settings.save_every):
                self.inner.save(trainer)
            self._forget_snapshots(trainer)
            self.stop_if_due(trainer)

    def on_skipped(self, trainer: Trainer, sample_numbers: Sequence[int]) -> None:
        """Say which samples had no finite loss."""
        self.inner.on_skipped(trainer, sample_numbers)

    def stop_if_due(self, trainer: Trainer) -> None:
        """End the run if nothing has become better for long enough."""
        if self.selection.must_stop(self.history) and trainer.progress.step < trainer.max_steps:
            best = self.selection.best_step(self.history)
            self.inner.display.say(
                f"stopped at step {trainer.progress.step}: no better {self.selection.metric} than "
                f"that of step {best} in {self.selection.patience} validations"
            )
            trainer.max_steps = trainer.progress.step

    def measure(self, trainer: Trainer) -> Evaluation:
        """Return the scores of the model as it is."""
        trainer.module.eval()
        evaluation = self.task.evaluate(self.inner.model)
        trainer.module.train()
        return evaluation

    def snapshot(self, step: int) -> Path:
        """Return the file with the weights of a validated step."""
        return self.root / f"step-{step:08d}" / WEIGHTS_NAME

    @property
    def root(self) -> Path:
        """Folder of the snapshots."""
        return self.inner.settings.output_dir / SNAPSHOTS_NAME

    def _validate(self, trainer: Trainer) -> None:
        step = trainer.progress.step
        evaluation = self.measure(trainer)
        line = {"step": step, "epoch": round(step / max(self.steps_per_epoch, 1), 3)}
        line |= evaluation.scores
        self.history.append(line)
        is_best = self.selection.best_step(self.history) == step
        if trainer.world.is_main:
            append_line(self.inner.settings.output_dir / VALIDATION_NAME, line)
            if evaluation.note and len(self.history) == 1:
                self.inner.display.say(evaluation.note)
            mark = "  (best so far)" if is_best else ""
            self.inner.display.say(f"step {step}  held out: {score_text(evaluation.scores)}{mark}")
            self.keep_predictions(evaluation, prediction_name(step))
            self.inner.track("validation", line, step)
        if step in self.selection.needed_steps(self.history):
            self._save_snapshot(trainer, is_best)

    def keep_predictions(self, evaluation: Evaluation, name: str) -> None:
        """Write the predictions of a measurement, if it has any, and show the first."""
        if not evaluation.predictions:
            return
        folder = self.inner.settings.output_dir / PREDICTIONS_NAME
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.jsonl"
        path.unlink(missing_ok=True)
        for line in evaluation.predictions:
            append_line(path, line)
        for line in evaluation.predictions[:_SHOWN_PREDICTIONS]:
            for name, value in line.items():
                self.inner.display.say(f"  {name:10}  {_shortened(value)}")

    def _save_snapshot(self, trainer: Trainer, is_best: bool) -> None:
        weights, _ = gather_state(self.inner.model, trainer.optimizer)
        if trainer.world.is_main:
            trained = {
                name
                for name, parameter in self.inner.model.named_parameters()
                if parameter.requires_grad
            }
            kept = {name: weights[name].contiguous() for name in sorted(trained)}
            write_checkpoint(
                self.root,
                trainer.progress.step,
                lambda folder: save_file(kept, folder / WEIGHTS_NAME),
            )
            if is_best:
                self._replace_best(weights)
        trainer.world.wait()

    def _replace_best(self, weights: dict[str, Tensor]) -> None:
        """Put the model of this moment in the place of the best one so far."""
        best = self.inner.settings.output_dir / BEST_NAME
        new, old = best.with_name(f"{BEST_NAME}.new"), best.with_name(f"{BEST_NAME}.old")
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        new.mkdir()
        self.inner.write_model(new, self.inner.model, weights, self.inner.tokenizer)
        apply_umask(new)
        if best.exists():
            best.rename(old)
        new.rename(best)
        shutil.rmtree(old, ignore_errors=True)

    def _forget_snapshots(self, trainer: Trainer) -> None:
        """Delete weights that neither are the best nor will be averaged.

        Called after the checkpoint of the same step: what an earlier one needs is there until then.
        """
        if not trainer.world.is_main:
            return
        needed = {self.snapshot(step).parent for step in self.selection.needed_steps(self.history)}
        for folder in list_checkpoints(self.root):
            if folder not in needed:
                shutil.rmtree(folder)

    def _is_due(self, step: int, every: int) -> bool:
        return every > 0 and (step % every == 0 or step == self.inner.settings.max_steps)


def prediction_name(step: int) -> str:
    """Return the stem of the file with the predictions of a validated step."""
    return f"step-{step:08d}"


def score_text(scores: dict[str, float]) -> str:
    """Return scores as one line."""
    return "  ".join(f"{name} {value:.4g}" for name, value in scores.items())


def _shortened(value: object) -> str:
    shown = " | ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = " ".join(shown.split())
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."
