"""A task with labels as a model is asked it: how it answers, and how sure it may be.

Shapes: `L` labels or candidates of an example.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from unblank.calibration.maps import tempered
from unblank.calibration.record import Calibration, LabelCalibration
from unblank.finetuning.labels.training import LabelScorer
from unblank.generation.priors import Prior
from unblank.prompting import ClozeTask, TaskExample
from unblank.prompting.asking import AS_IT_STANDS, Asking
from unblank.settings.choices import Layout

__all__ = ["TunedTask", "asked_of"]


@dataclass(frozen=True, slots=True)
class TunedTask:
    """A task, and the model that answers it.

    Attributes:
        task: what is asked.
        model: in evaluation mode.
        tokenizer: of the model.
        scorer: how the model answers.
        asked: how, as plain values.
        calibration: of the probabilities; None for the model's own.
        note: why a calibration that is there is not used; empty if none is, or if it is used.
    """

    task: ClozeTask
    model: Any
    tokenizer: Any
    scorer: LabelScorer
    asked: Mapping[str, Any] = field(default_factory=dict)
    calibration: LabelCalibration | None = None
    note: str = ""

    def shares(self, examples: Sequence[TaskExample], batch_size: int = 32) -> list[Tensor]:
        """Return for each example float32[L], the probabilities of its labels or candidates.

        They are calibrated if there is a calibration.

        Args:
            examples: of the task; they need no labels.
            batch_size: examples scored together.

        Raises:
            ValueError: an example that is too long and cannot be shortened.
        """
        found = self.scorer.shares(self.model, examples, batch_size)
        if self.calibration is None:
            return found
        temperature = self.calibration.temperature
        if self.task.decision == "several":  # each label applies or does not
            pairs = [torch.stack([one, 1 - one], dim=-1).double() for one in found]
            return [torch.from_numpy(tempered(one, temperature)[:, 0]).float() for one in pairs]
        return [torch.from_numpy(tempered(one.double(), temperature)).float() for one in found]

    def are_shortened(self, examples: Sequence[TaskExample]) -> list[bool]:
        """Return for each example whether the model reads only a part of its text.

        Raises:
            ValueError: an example that is too long and cannot be shortened.
        """
        return self.scorer.are_shortened(examples)

    def calibrated(self, known: Calibration | None) -> Self:
        """Return it calibrated, if there is a calibration for what is asked.

        Args:
            known: of the model; None for none.
        """
        found = None if known is None else known.labels.get(self.task.name)
        if found is None:
            return self
        if different := found.difference(self.asked):
            return replace(
                self,
                note=f"not calibrated: the calibration of {self.task.name} was learned with other "
                f"settings ({different}): calibrate again",
            )
        thresholds = {**found.thresholds, **self.task.thresholds}  # the file's own come first
        return replace(self, calibration=found, task=replace(self.task, thresholds=thresholds))

    def threshold(self, abstain_below: float | None) -> float:
        """Return the probability below which no label is given; 0 for always one.

        Args:
            abstain_below: what is asked for; None for what was learned in calibrating, if anything.
        """
        learned = None if self.calibration is None else self.calibration.abstain_below
        return (learned if abstain_below is None else abstain_below) or 0.0


def asked_of(
    task: ClozeTask,
    *,
    patterns: Sequence[int] = (),
    layout: Layout = "blank",
    prior: Prior | None = None,
    asking: Asking = AS_IT_STANDS,
) -> dict[str, Any]:
    """Return how a model is asked in blanks, as plain values, for calibrations.

    Args:
        task: what is asked.
        patterns: numbers of its patterns; none for its own choice.
        layout: how the model answers.
        prior: what is taken off.
        asking: in which words.
    """
    return {
        "way": "cloze",
        "task": task.content_hash,
        "patterns": list(patterns) or [task.default_pattern],
        "layout": layout,
        "normalization": prior or task.scoring,
        # Left out where a task is asked as it stands, so that older calibrations still count.
        **{name: value for name, value in asdict(asking).items() if value is not None},
    }
