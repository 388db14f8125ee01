"""What happens around the loop: log lines, held-out loss, sample fills, checkpoints."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from unblank.engine.checkpoint import remove_old_checkpoints, write_checkpoint
from unblank.engine.logging import (
    FILLS_NAME,
    METRICS_NAME,
    SKIPPED_NAME,
    VALIDATION_NAME,
    Display,
    append_line,
)
from unblank.engine.parallel import World
from unblank.engine.plots import draw_losses
from unblank.engine.precision import Precision
from unblank.engine.resume import TRAINER_NAME
from unblank.engine.settings import TrainSettings
from unblank.engine.state import ModelWriter, gather_state, save_model_folder, save_optimizer
from unblank.engine.trackers import Tracker
from unblank.engine.trainer import Trainer
from unblank.engine.units import TokenLoss, TrainUnit
from unblank.examples import TrainBatch
from unblank.integrity import CHECKPOINTS_NAME

__all__ = ["RunHooks", "held_out_loss"]


@dataclass(slots=True, kw_only=True)
class RunHooks:
    """The hooks of a pretraining run.

    Attributes:
        settings: what is due when, and where it is written.
        model: the bare model, as it is saved.
        tokenizer: saved with the model.
        display: the console.
        trackers: further places for the numbers; empty except in the main process.
        validation: this process's share of the held-out batches, which may be none of them; None
            if nothing is held out.
        fill: step -> lines with a held-out text, its answer and the model's fill.
        identity: what `trainer.json` records beside counters, so that a resume can be checked.
        write_model: writes weights, configuration and tokenizer into a folder.
    """

    settings: TrainSettings
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    display: Display
    trackers: Sequence[Tracker]
    validation: Sequence[TrainBatch] | None
    fill: Callable[[], list[dict[str, str]]] | None
    identity: dict[str, Any]
    write_model: ModelWriter = save_model_folder

    def after_step(self, trainer: Trainer) -> None:
        """Do what is due after this step; the checkpoint last, so that it holds the rest."""
        step = trainer.progress.step
        if trainer.world.is_main:
            self.display.advance(step)
        if self._is_due(step, self.settings.log_every):
            self._log(trainer)
        if self.validation_is_on and self._is_due(step, self.settings.validate_every):
            self._validate(trainer)
        if self.fill is not None and self._is_due(step, self.settings.sample_every):
            self._show_fills(trainer)
        if self._is_due(step, self.settings.save_every):
            self.save(trainer)

    def on_skipped(self, trainer: Trainer, sample_numbers: Sequence[int]) -> None:
        """Say which samples had no finite loss, on the console and in `skipped.jsonl`."""
        if not trainer.world.is_main:
            return
        step = trainer.progress.step
        line = {"step": step, "samples": list(sample_numbers)}
        append_line(self.settings.output_dir / SKIPPED_NAME, line)
        self.display.say(
            f"step {step} skipped: loss or gradient not finite, samples {min(sample_numbers)} to "
            f"{max(sample_numbers)} (all of them in {SKIPPED_NAME})"
        )

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint of this moment and drop the oldest."""
        weights, moments = gather_state(self.model, trainer.optimizer)
        if trainer.world.is_main:
            state = {
                **self.identity,
                "progress": trainer.progress.to_json(),
                "data_state": asdict(trainer.data_state),
            }

            def write_files(folder: Path) -> None:
                self.write_model(folder, self.model, weights, self.tokenizer)
                save_optimizer(folder, moments)
                (folder / TRAINER_NAME).write_text(json.dumps(state, indent=1), encoding="utf-8")

            root = self.settings.output_dir / CHECKPOINTS_NAME
            write_checkpoint(root, trainer.progress.step, write_files)
            remove_old_checkpoints(root, self.settings.keep_checkpoints)
            draw_losses(self.settings.output_dir)
        trainer.world.wait()

    @property
    def validation_is_on(self) -> bool:
        """Whether there is held-out text to measure."""
        return self.settings.validate_every > 0 and self.validation is not None

    def _is_due(self, step: int, every: int) -> bool:
        return every > 0 and (step % every == 0 or step == self.settings.max_steps)

    def _log(self, trainer: Trainer) -> None:
        progress, window = trainer.progress, trainer.take_window()
        means = window.means()
        norms = window.gradient_norms
        weights = trainer.unit.weights
        loss = sum(weights[name] * mean for name, mean in means.items()) if means else None
        metrics: dict[str, Any] = {
            "step": progress.step,
            "loss": loss,
            **({f"loss_{name}": mean for name, mean in means.items()} if len(means) > 1 else {}),
            **window.mean_shares(),
            "learning_rate": trainer.learning_rate(progress.step),
            "gradient_norm": sum(norms) / len(norms) if norms else None,
            "samples": progress.samples,
            "tokens": progress.tokens,
            "packing_efficiency": window.used_positions / window.total_positions,
            "skipped_steps": progress.skipped_steps,
            "tokens_per_second": window.used_positions / window.seconds,
        }
        if trainer.world.is_main:
            append_line(self.settings.output_dir / METRICS_NAME, metrics)
            self.track("train", metrics, progress.step)
            per_step = window.seconds / window.steps
            self.display.show_metrics(metrics, per_step * (trainer.max_steps - progress.step))

    def _validate(self, trainer: Trainer) -> None:
        loss = self.held_out_loss(trainer)
        if trainer.world.is_main:
            line = {"step": trainer.progress.step, "loss": loss}
            append_line(self.settings.output_dir / VALIDATION_NAME, line)
            self.track("validation", line, trainer.progress.step)
            self.display.say(f"step {trainer.progress.step}  held-out loss {loss:.4f}")

    def held_out_loss(self, trainer: Trainer) -> float:
        """Return the loss over the held-out rows of all processes, without dropout."""
        trainer.module.eval()
        loss = held_out_loss(
            trainer.module, trainer.unit, self.validation or (), trainer.world, trainer.precision
        )
        trainer.module.train()
        return loss

    def _show_fills(self, trainer: Trainer) -> None:
        if self.fill is None or not trainer.world.is_main:
            return
        trainer.module.eval()
        for line in self.fill():
            append_line(
                self.settings.output_dir / FILLS_NAME, {"step": trainer.progress.step, **line}
            )
            self.display.say(f"  {_around_blank(line['text'])}")
            self.display.say(f"    filled with {line['fill']!r}, was {line['answer']!r}")
        trainer.module.train()

    def track(self, group: str, values: dict[str, Any], step: int) -> None:
        """Send the numbers among `values` to the trackers, named `group/name`."""
        numbers = {
            f"{group}/{name}": value
            for name, value in values.items()
            if name != "step" and value is not None
        }
        for tracker in self.trackers:
            tracker.log(numbers, step)


def held_out_loss(
    module: Callable[[Any], Mapping[str, TokenLoss]],
    unit: TrainUnit,
    batches: Sequence[Any],
    world: World,
    precision: Precision,
) -> float:
    """Return the weighted sum of a unit's losses, each per scored token.

    Args:
        module: returns the losses of a batch; in evaluation mode.
        unit: its unit.
        batches: of this process.
        world: sums are taken over all its processes.
        precision: of the forward passes.
    """
    names = list(unit.weights)
    sums, counts = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    with torch.no_grad(), precision.autocast(world.device):
        for batch in batches:
            for name, loss in module(batch).items():
                sums[name] += float(loss.loss_sum)
                counts[name] += loss.num_scored
    totals = world.sum([*sums.values(), *counts.values()])
    pairs = zip(names, totals[: len(names)], totals[len(names) :], strict=True)
    return sum(unit.weights[name] * total / max(count, 1) for name, total, count in pairs)


def _around_blank(text: str, width: int = 40) -> str:
    """Return one line of the text around its first blank."""
    before, blank, after = text.partition("[MASK]")
    return " ".join(f"{before[-width:]}{blank}{after[:width]}".split())
