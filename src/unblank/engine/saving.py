"""The checkpoints of a run, written whole and at once, each with what a resume is checked by."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.engine.averages import save_average
from unblank.engine.checkpoint import remove_old_checkpoints, write_checkpoint
from unblank.engine.language_plots import draw_language_losses
from unblank.engine.plots import draw_losses
from unblank.engine.resume import OWED_NAME, TRAINER_NAME
from unblank.engine.state import gather_state, save_optimizer
from unblank.engine.trainer import NonFiniteError, Trainer
from unblank.engine.training import TuningMethod
from unblank.engine.written_lines import facts_of_lines
from unblank.integrity import (
    CHECKPOINTS_NAME,
    PROVENANCE_NAME,
    facts_of_files,
    seal,
    write_at_once,
)
from unblank.models.finite import nonfinite_name
from unblank.whole_folders import new_folder

__all__ = ["Saver", "require_finite_state"]

BEST_NAME = "best"
"""Folder of the best model so far, which can be opened while the run continues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saver:
    """What writes the model of a run.

    Attributes:
        output_dir: folder of the run.
        keep: how many of the latest checkpoints are kept.
        model: the bare model.
        tokenizer: saved with it.
        method: writes a folder of it.
        content: hash of each training source, for `trainer.json`: a resume is checked by it.
        compared: steps done -> what another start is compared by, for the same.
        kept_step: step whose checkpoint is kept beside the latest ones; None for no such step.
    """

    output_dir: Path
    keep: int
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    method: TuningMethod
    content: list[str]
    compared: Callable[[int], dict[str, Any]]
    kept_step: int | None = None

    def save(self, trainer: Trainer, *, owes_validation: bool = False) -> None:
        """Write a checkpoint of this moment and drop the oldest; every process calls this.

        Args:
            trainer: of the run.
            owes_validation: whether what was due after this step has still to be measured.

        Raises:
            NonFiniteError: weights or moments are not finite; the checkpoints stay as they are.
        """
        averaged = trainer.average.gather() if trainer.average is not None else {}
        weights, moments = gather_state(self.model, trainer.optimizers)
        require_finite_state({**weights, **moments}, trainer)
        if trainer.world.is_main:
            state = {
                "content": self.content,
                "settings": self.compared(trainer.progress.step),
                "progress": trainer.progress.to_json(),
                "data_state": asdict(trainer.data_state),
                "lines": facts_of_lines(self.output_dir),
                OWED_NAME: owes_validation,
                "saved_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }

            def write_files(folder: Path) -> None:
                self._write(folder, weights)
                save_optimizer(folder, moments)
                if averaged:
                    save_average(folder, averaged)
                (folder / TRAINER_NAME).write_text(json.dumps(state, indent=1), encoding="utf-8")

            root = self.output_dir / CHECKPOINTS_NAME
            write_checkpoint(root, trainer.progress.step, write_files)
            remove_old_checkpoints(root, self.keep, self.kept_step)
            draw_losses(self.output_dir)
            draw_language_losses(self.output_dir)
        trainer.world.wait()

    def replace_best(self, weights: dict[str, Tensor]) -> None:
        """Put the model of this moment in the place of the best one so far.

        Args:
            weights: of the whole model, on the CPU.
        """
        with new_folder(self.output_dir / BEST_NAME, replace=True) as folder:
            self._write(folder, weights)
            write_at_once(folder / PROVENANCE_NAME, seal({"files": facts_of_files(folder)}))

    def _write(self, folder: Path, weights: dict[str, Tensor]) -> None:
        self.method.save(folder, self.model, weights, self.tokenizer, to_continue=True)


def require_finite_state(tensors: Mapping[str, Tensor], trainer: Trainer) -> None:
    """Raise NonFiniteError, in every process, if weights to be saved are not finite.

    Args:
        tensors: what is to be saved, by name; the main process has it.
        trainer: of the run; every process calls this.
    """
    name = nonfinite_name(tensors.items()) if trainer.world.is_main else None
    (is_bad,) = trainer.world.sum([float(name is not None)])
    if is_bad:
        raise NonFiniteError(
            f"stopped at step {trainer.progress.step}: {name or 'a weight'} is not finite, so "
            "nothing was saved, and earlier checkpoints stay. Start a new run, from one of them if "
            "you like (--model.init-from), with a lower optim.learning_rate or a longer "
            "optim.warmup_steps, or with --train.precision fp32"
        )
