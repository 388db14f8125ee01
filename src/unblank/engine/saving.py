"""The checkpoints of a run, written whole and at once, each with what a resume is checked by."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.engine.checkpoint import remove_old_checkpoints, write_checkpoint
from unblank.engine.plots import draw_losses
from unblank.engine.resume import TRAINER_NAME
from unblank.engine.state import gather_state, save_optimizer
from unblank.engine.task import TuningMethod
from unblank.engine.trainer import Trainer
from unblank.integrity import CHECKPOINTS_NAME, apply_umask

__all__ = ["Saver"]

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
        identity: what `trainer.json` records beside counters, so that a resume can be checked.
    """

    output_dir: Path
    keep: int
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    method: TuningMethod
    identity: dict[str, Any]

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint of this moment and drop the oldest; every process calls this."""
        weights, moments = gather_state(self.model, trainer.optimizers)
        if trainer.world.is_main:
            state = {
                **self.identity,
                "progress": trainer.progress.to_json(),
                "data_state": asdict(trainer.data_state),
            }

            def write_files(folder: Path) -> None:
                self._write(folder, weights)
                save_optimizer(folder, moments)
                (folder / TRAINER_NAME).write_text(json.dumps(state, indent=1), encoding="utf-8")

            root = self.output_dir / CHECKPOINTS_NAME
            write_checkpoint(root, trainer.progress.step, write_files)
            remove_old_checkpoints(root, self.keep)
            draw_losses(self.output_dir)
        trainer.world.wait()

    def replace_best(self, weights: dict[str, Tensor]) -> None:
        """Put the model of this moment in the place of the best one so far.

        Args:
            weights: of the whole model, on the CPU.
        """
        best = self.output_dir / BEST_NAME
        new, old = best.with_name(f"{BEST_NAME}.new"), best.with_name(f"{BEST_NAME}.old")
        # Left behind by a kill between the renames below.
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        new.mkdir()
        self._write(new, weights)
        apply_umask(new)
        # A rename cannot replace a folder that is not empty.
        if best.exists():
            best.rename(old)
        new.rename(best)
        shutil.rmtree(old, ignore_errors=True)

    def _write(self, folder: Path, weights: dict[str, Tensor]) -> None:
        self.method.save(folder, self.model, weights, self.tokenizer, to_continue=True)
