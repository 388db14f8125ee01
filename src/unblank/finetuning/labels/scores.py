"""From the scores of each example's labels to a loss, and on held-out examples to metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unblank.engine.training import Evaluation
from unblank.engine.units import Share, TokenLoss
from unblank.metrics.by_language import score_by_language
from unblank.objectives.cloze import ClozeLossName, cloze_loss
from unblank.prompting.examples import TaskExample
from unblank.prompting.judging import judge, right_label
from unblank.prompting.predicting import Prediction, decide
from unblank.prompting.task import ClozeTask
from unblank.prompting.training import target_shares

__all__ = ["evaluation_of", "label_loss", "loss_of", "symmetric_kl"]

_SMALLEST = 1e-30
_LOSSES: Mapping[str, ClozeLossName] = {"several": "binary", "rank": "cumulative"}
"""Decisions that have a loss of their own."""


def loss_of(task: ClozeTask, wanted: ClozeLossName = "cross_entropy") -> ClozeLossName:
    """Return the loss of a task: where several labels may apply or they have an order, its own.

    Raises:
        ValueError: another loss is wanted, which such a task does not have.
    """
    own = _LOSSES.get(task.decision)
    if own is not None and wanted != "cross_entropy":
        raise ValueError(
            f"task {task.name} has decision: {task.decision}, whose loss is its own: leave "
            f"cloze.loss {wanted} out"
        )
    return own or wanted


def label_loss(
    scores: Sequence[Tensor], targets: Sequence[Tensor], name: ClozeLossName = "cross_entropy"
) -> tuple[TokenLoss, Share]:
    """Return the summed loss of some examples, and how many of them are answered right.

    Args:
        scores: for each example float32[L], of its labels or candidates.
        targets: for each, float32[L]: how much of the answer each label is.
        name: which loss.
    """
    pairs = [(s, target.to(s.device)) for s, target in zip(scores, targets, strict=True)]
    loss_sum = torch.stack([cloze_loss(*pair, name) for pair in pairs]).sum()
    if name == "binary":
        right = [((s > 0) == (target > 0.5)).all() for s, target in pairs]
    else:
        right = [s.argmax() == target.argmax() for s, target in pairs]
    num_right = torch.stack(right).sum()
    share = (num_right, torch.tensor(len(pairs), device=num_right.device))
    return TokenLoss(loss_sum, len(pairs)), share


def symmetric_kl(one_L: Tensor, other_L: Tensor) -> Tensor:
    """Return KL(p||q) + KL(q||p) in nats, of the probabilities that two scores stand for.

    Both get gradients (PCT, Qi and others, ACL 2022).
    """
    log_p_L, log_q_L = one_L.float().log_softmax(dim=0), other_L.float().log_softmax(dim=0)
    return ((log_p_L.exp() - log_q_L.exp()) * (log_p_L - log_q_L)).sum()


def evaluation_of(
    task: ClozeTask, examples: Sequence[TaskExample], shares: Sequence[Tensor]
) -> Evaluation:
    """Return scores, mean loss and predictions from the probabilities of each example's labels.

    Of several languages the scores are means with equal weight, beside those of each.
    """
    predictions = [decide(task, *pair) for pair in zip(examples, shares, strict=True)]
    losses = [_surprise(task, *pair) for pair in zip(examples, shares, strict=True)]
    lines = [_line(task, *pair) for pair in zip(examples, predictions, strict=True)]

    def score(some: list[int]) -> dict[str, float]:
        return judge(task, [examples[n] for n in some], [predictions[n] for n in some])

    scores = score_by_language([example.language for example in examples], score).named()
    return Evaluation(scores={**scores, "loss": float(np.mean(losses))}, predictions=lines)


def _line(task: ClozeTask, example: TaskExample, prediction: Prediction) -> dict[str, Any]:
    right: Any = [right_label(task, example, answer) for answer in example.answers]
    if task.decision != "several":
        right = right[0] if len(right) == 1 else right or example.value
    return {
        "predicted": list(prediction.labels) if task.decision == "several" else prediction.label,
        "right": right,
        "probability": round(max(prediction.probabilities), 4),
        "place": example.place,
        "probabilities": list(prediction.probabilities),
        **({"lang": example.language} if example.language else {}),
    }


def _surprise(task: ClozeTask, example: TaskExample, shares_L: Tensor) -> float:
    """Return -log of the probability of what is right, or the cross-entropy with its shares."""
    if example.value is not None:
        target_L = target_shares(task, example)
        return -float((target_L * shares_L.clamp_min(_SMALLEST).log()).sum())
    if task.decision in _LOSSES:
        target_L = target_shares(task, example)
        several = task.decision == "several"
        scores_L = shares_L.logit(_SMALLEST) if several else shares_L.clamp_min(_SMALLEST).log()
        return float(cloze_loss(scores_L, target_L, _LOSSES[task.decision]))
    if task.decision == "first":
        right = float(shares_L[0])
        return -float(np.log(max(right if example.answers == (1,) else 1 - right, _SMALLEST)))
    return -float(np.log(max(float(shares_L[list(example.answers)].sum()), _SMALLEST)))
