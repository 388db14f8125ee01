"""Held-out examples with labels: from the probabilities of each one's labels to scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from unblank.finetuning.task import Evaluation
from unblank.prompting.examples import TaskExample
from unblank.prompting.judging import judge, right_label
from unblank.prompting.scoring import Prediction, decide
from unblank.prompting.task import ClozeTask
from unblank.prompting.training import target_shares

__all__ = ["evaluation_of"]

_SMALLEST = 1e-30


def evaluation_of(
    task: ClozeTask, examples: Sequence[TaskExample], shares: Sequence[Tensor]
) -> Evaluation:
    """Return scores, mean loss and predictions from the probabilities of each example's labels."""
    predictions = [decide(task, *pair) for pair in zip(examples, shares, strict=True)]
    losses = [_surprise(task, *pair) for pair in zip(examples, shares, strict=True)]
    lines = [_line(task, *pair) for pair in zip(examples, predictions, strict=True)]
    scores = judge(task, examples, predictions)
    return Evaluation(scores={**scores, "loss": float(np.mean(losses))}, predictions=lines)


def _line(task: ClozeTask, example: TaskExample, prediction: Prediction) -> dict[str, Any]:
    right = [right_label(task, example, answer) for answer in example.answers]
    return {
        "predicted": prediction.label,
        "right": right[0] if len(right) == 1 else right or example.value,
        "probability": round(max(prediction.probabilities), 4),
        "place": example.place,
        "probabilities": list(prediction.probabilities),
    }


def _surprise(task: ClozeTask, example: TaskExample, shares_L: Tensor) -> float:
    """Return -log of the probability of what is right, or the cross-entropy with its shares."""
    if example.value is not None:
        target_L = target_shares(task, example)
        return -float((target_L * shares_L.clamp_min(_SMALLEST).log()).sum())
    if task.decision == "first":
        right = float(shares_L[0])
        return -float(np.log(max(right if example.answers == (1,) else 1 - right, _SMALLEST)))
    return -float(np.log(max(float(shares_L[list(example.answers)].sum()), _SMALLEST)))
