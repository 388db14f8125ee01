"""The interface between the engine and what is learned: a `Training` and a method.

The engine (`run`) owns the loop, resume, validation, early stopping, the best checkpoint, averages
and what is written. A training owns its examples, its loss and its scores; a method says which
weights change. Nothing here computes.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.loader import StepBatches
from unblank.engine.logging import Display
from unblank.engine.parallel import World
from unblank.engine.precision import Precision
from unblank.engine.state import save_model_folder
from unblank.engine.units import TrainUnit

__all__ = ["AllWeights", "Evaluation", "RunContext", "Training", "TrainingOpener", "TuningMethod"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What the engine gives whoever opens a training."""

    world: World
    """The processes of the run."""
    precision: Precision
    """The precision of forward passes."""
    display: Display
    """Where to report what was read, cut or skipped."""
    checkpoint: Path | None = None
    """The checkpoint that the run continues: its tokenizer and weights replace the model's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a training found out about a model on its held-out examples."""

    scores: dict[str, float]
    """Name -> value, the selection metric among them; the same in every process."""
    predictions: list[dict[str, Any]] = field(default_factory=list)
    """A line for each held-out example, for the predictions file; may be empty."""
    note: str = ""
    """Notes, such as signatures of the metrics, printed once."""


class Training(Protocol):
    """What is learned, as the engine sees it: data, model, losses, scores."""

    tokenizer: PreTrainedTokenizerFast
    """Tokenizer that is saved with the model."""
    unit: TrainUnit
    """The losses of a batch, see `unblank.engine.units`; set by `build_model`."""
    metric: str
    """Name of the score that chooses the best checkpoint."""
    higher_is_better: bool
    """Whether a larger value of it is better."""
    steps_per_epoch: int
    """Optimiser steps of one pass over the training examples; 0 where a run has no epochs."""
    content: list[str]
    """Hash of each training source: a run is only continued on the same data."""
    facts: Mapping[str, str]
    """Lines of the header: what is learned, and from how many examples."""

    def build_model(self) -> PreTrainedModel:
        """Return the model to start from, float32, on the CPU; of a checkpoint if there is one."""
        ...

    def steps(self, saved: Mapping[str, int] | None, /) -> Generator[StepBatches]:
        """Yield the data of one optimiser step after another, without end.

        Args:
            saved: the fields of the `state` of the last step done, or None to begin; the steps
                must continue exactly as if there had been no interruption.
        """
        ...

    def evaluate(self, model: PreTrainedModel, /) -> Evaluation:
        """Return the scores of the held-out examples.

        Args:
            model: on its device, in evaluation mode; every process calls this.
        """
        ...

    def fill(self, model: PreTrainedModel, /) -> list[dict[str, str]]:
        """Return a few held-out texts with what the model puts into their blanks; may be none.

        Args:
            model: on its device, in evaluation mode; only the main process calls this.

        Returns:
            Lines with `text`, `answer` and `fill`.
        """
        ...


TrainingOpener = Callable[[RunContext], Training]
"""Makes a training ready: reads its data and opens its tokenizer."""


class TuningMethod(Protocol):
    """Which weights a run changes, and what it leaves behind."""

    saves_whole_models: ClassVar[bool]
    """Whether `save` writes all weights and the tokenizer; otherwise a training opens the base
    model even if the run is continued (`RunContext.checkpoint` is None)."""

    def prepare(self, model: PreTrainedModel, checkpoint: Path | None, /) -> PreTrainedModel:
        """Return the model that is trained: frozen, wrapped or extended as the method wants.

        Args:
            model: from the training; with the checkpoint's weights if the method saves all.
            checkpoint: the folder that `save` wrote, of a run that is continued.
        """
        ...

    def finished(
        self, model: PreTrainedModel, weights: dict[str, Tensor], /
    ) -> tuple[PreTrainedModel, dict[str, Tensor]]:
        """Return the model that a finished folder holds, and which of the weights.

        Args:
            model: from `prepare`.
            weights: its state by name, perhaps sharded.
        """
        ...

    def save(
        self,
        folder: Path,
        model: PreTrainedModel,
        weights: dict[str, Tensor],
        tokenizer: PreTrainedTokenizerFast,
        /,
        *,
        to_continue: bool = False,
    ) -> None:
        """Write a folder that `unblank.load` opens.

        Args:
            folder: empty.
            model: from `prepare`.
            weights: its whole state by name, on the CPU; of a sharded model only what is trained.
            tokenizer: saved beside it.
            to_continue: also write what only `prepare` needs to continue from a checkpoint.
        """
        ...


@dataclass(frozen=True, slots=True)
class AllWeights:
    """The method by which all weights change, and whole models are saved.

    Attributes:
        finish: takes what only training needs from a finished model; None takes nothing.
    """

    finish: (
        Callable[[PreTrainedModel, dict[str, Tensor]], tuple[PreTrainedModel, dict[str, Tensor]]]
        | None
    ) = None
    saves_whole_models: ClassVar[bool] = True

    def prepare(self, model: PreTrainedModel, checkpoint: Path | None) -> PreTrainedModel:
        """Return the model as it is."""
        return model

    def finished(
        self, model: PreTrainedModel, weights: dict[str, Tensor]
    ) -> tuple[PreTrainedModel, dict[str, Tensor]]:
        """Return the model without what only training needs."""
        return (model, weights) if self.finish is None else self.finish(model, weights)

    def save(
        self,
        folder: Path,
        model: PreTrainedModel,
        weights: dict[str, Tensor],
        tokenizer: PreTrainedTokenizerFast,
        *,
        to_continue: bool = False,
    ) -> None:
        """Write model and tokenizer."""
        if not to_continue:
            model, weights = self.finished(model, weights)
        save_model_folder(folder, model, weights, tokenizer)
