"""The checkpoints of a run, each written at once, with the record that a resume checks."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.atomic_folders import new_folder
from unblank.engine.checkpoint import remove_old_checkpoints, write_checkpoint
from unblank.engine.language_plots import draw_language_losses
from unblank.engine.model_files import whole_trained_weights, write_run_model
from unblank.engine.parallel import World
from unblank.engine.plots import draw_losses
from unblank.engine.resume import OWED_NAME, TRAINER_NAME
from unblank.engine.sharded_saving import ShardedSaving
from unblank.engine.shared_folders import folder_for_all
from unblank.engine.state import (
    State,
    local,
    named_moments,
    named_weights,
    save_model_folder,
    save_tensors,
)
from unblank.engine.trainer import NonFiniteError, Trainer
from unblank.engine.training import TuningMethod
from unblank.engine.written_lines import facts_of_lines
from unblank.integrity import (
    CHECKPOINTS_NAME,
    PROVENANCE_NAME,
    facts_of_files,
    seal,
    write_atomically,
)
from unblank.models.finite import nonfinite_name
from unblank.untrusted.sharded_weights import CheckpointPart

__all__ = ["Saver", "require_finite_state"]

_BEST_NAME = "best"
"""Folder of the best model so far, which can be opened while the run continues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saver:
    """Writes the model of a run.

    Attributes:
        output_dir: folder of the run.
        keep: how many of the latest checkpoints are kept.
        model: the bare model.
        tokenizer: saved with it.
        method: writes a folder of it.
        content: hash of each training source, for `trainer.json`: a resume is checked by it.
        compared: steps done -> what another start is compared by, for the same file.
        kept_step: step whose checkpoint is kept beside the latest ones; None for no such step.
        shards: writes the checkpoints of a sharded model; None if each process holds all of it.
    """

    output_dir: Path
    keep: int
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    method: TuningMethod
    content: list[str]
    compared: Callable[[int], dict[str, Any]]
    kept_step: int | None = None
    shards: ShardedSaving | None = None

    def save(self, trainer: Trainer, *, owes_validation: bool = False) -> None:
        """Write a checkpoint of this moment and drop the oldest; every process calls this.

        That of a sharded model is written while the run goes on (`settle` waits for it).

        Args:
            trainer: of the run.
            owes_validation: whether what was due after this step has still to be measured.

        Raises:
            NonFiniteError: weights or moments are not finite; the checkpoints stay as they are.
            CheckpointError: it could not be written, or the one before.
        """
        moments = named_moments(self.model, trainer.optimizers)
        averaged = trainer.average.weights if trainer.average is not None else {}
        weights = named_weights(self.model)
        require_finite_state({**weights, **moments}, trainer)
        record = self._record(trainer, owes_validation)
        root, step, world = self.output_dir / CHECKPOINTS_NAME, trainer.progress.step, trainer.world

        def write_record(folder: Path) -> None:
            (folder / TRAINER_NAME).write_text(record, encoding="utf-8")

        def write_whole(folder: Path) -> None:
            self.write_model(folder, world, to_continue=True)
            save_tensors(folder, "moments", moments)
            if averaged:
                save_tensors(folder, "average", averaged)
            write_record(folder)

        if self.shards is not None:
            parts: dict[CheckpointPart, State] = {"moments": moments, "average": averaged}
            if self.method.saves_whole_models:
                parts = {"weights": weights, **parts}
            self.shards.start(
                step, parts, [self._rest_of_shards(), write_record], self._drop_old_ones
            )
            return
        if world.is_main:
            write_checkpoint(root, step, write_whole)
            self._drop_old_ones()
        world.wait()

    @property
    def has_failed(self) -> bool:
        """Whether the last checkpoint could not be written, as far as this process knows."""
        return self.shards is not None and self.shards.has_failed

    def settle(self) -> None:
        """Return when no checkpoint is being written; every process calls this.

        Raises:
            CheckpointError: the last one could not be written.
        """
        if self.shards is not None:
            self.shards.settle()

    def write_model(self, folder: Path, world: World, *, to_continue: bool = False) -> None:
        """Write the model of this moment; every process of a sharded one calls this.

        Args:
            folder: empty.
            world: the processes of the run.
            to_continue: as for the method's `save`.
        """
        write_run_model(
            folder, self.model, self.tokenizer, self.method, world, to_continue=to_continue
        )

    def replace_best(self, world: World) -> None:
        """Put the model of this moment in the place of the best one so far; all call this.

        Raises:
            CheckpointError: it could not be written.
        """
        new = new_folder(self.output_dir / _BEST_NAME, replace=True)
        with folder_for_all(world, new) as folder:
            self.write_model(folder, world, to_continue=True)
            world.wait()
            if world.is_main:
                facts = seal({"files": facts_of_files(folder)})
                write_atomically(folder / PROVENANCE_NAME, facts)

    def _record(self, trainer: Trainer, owes_validation: bool) -> str:
        """Return the text of `trainer.json`."""
        state = {
            "content": self.content,
            "settings": self.compared(trainer.progress.step),
            "progress": trainer.progress.to_json(),
            "data_state": asdict(trainer.data_state),
            "lines": facts_of_lines(self.output_dir),
            OWED_NAME: owes_validation,
            "saved_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return json.dumps(state, indent=1)

    def _rest_of_shards(self) -> Callable[[Path], None]:
        """Return what writes all of a folder of the model but what each process writes itself."""
        if self.method.saves_whole_models:
            return lambda folder: save_model_folder(folder, self.model, {}, self.tokenizer)
        trained = {name: value.cpu() for name, value in whole_trained_weights(self.model).items()}
        return lambda folder: self.method.save(
            folder, self.model, trained, self.tokenizer, to_continue=True
        )

    def _drop_old_ones(self) -> None:
        remove_old_checkpoints(self.output_dir / CHECKPOINTS_NAME, self.keep, self.kept_step)
        draw_losses(self.output_dir)
        draw_language_losses(self.output_dir)


def require_finite_state(tensors: Mapping[str, Tensor], trainer: Trainer) -> None:
    """Raise NonFiniteError, in every process, if weights to be saved are not finite.

    Args:
        tensors: name -> what this process holds of what is to be saved.
        trainer: of the run; every process calls this.
    """
    own = nonfinite_name((name, local(tensor)) for name, tensor in tensors.items())
    name = next((one for one in trainer.world.gather(own) if one is not None), None)
    if name is not None:
        raise NonFiniteError(
            f"stopped at step {trainer.progress.step}: {name} is not finite, so nothing was saved, "
            "and earlier checkpoints stay. Start a new run, from one of them if you like "
            "(--model.init-from), with a lower optim.learning_rate or a longer optim.warmup_steps, "
            "or with --train.precision fp32"
        )
