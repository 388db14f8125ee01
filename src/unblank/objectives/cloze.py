"""Losses of cloze questions, from the scores of an example's labels or candidates.

Pure functions of scores; how they are computed is in `unblank.prompting.scoring`. The default is
the paper's (GLM, equation 5): cross-entropy over the candidates. The others are those of the
published program.

Shapes: `L` labels or candidates of one example.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

__all__ = ["ClozeLossName", "cloze_loss", "soft_target"]

ClozeLossName = Literal["cross_entropy", "hinge", "generative", "mix", "binary", "cumulative"]


def _cross_entropy(scores_L: Tensor, target_L: Tensor) -> Tensor:
    return -(target_L * scores_L.log_softmax(dim=0)).sum()


def _generative(scores_L: Tensor, target_L: Tensor) -> Tensor:
    return -(target_L * scores_L).sum()


def _hinge(scores_L: Tensor, target_L: Tensor) -> Tensor:
    margins = (1 + scores_L - (target_L * scores_L).sum()).clamp(min=0)
    return margins.sum() - 1


def _mix(scores_L: Tensor, target_L: Tensor) -> Tensor:
    return _cross_entropy(scores_L, target_L) + _generative(scores_L, target_L)


def _binary(scores_L: Tensor, target_L: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(scores_L, target_L, reduction="sum")


def _cumulative(scores_L: Tensor, target_L: Tensor) -> Tensor:
    log_p_L = scores_L.log_softmax(dim=0)
    up_to = log_p_L.logcumsumexp(dim=0)[:-1]
    above = log_p_L.flip(0).logcumsumexp(dim=0).flip(0)[1:]
    is_up_to = target_L.cumsum(dim=0)[:-1]
    return -(is_up_to * up_to + (1 - is_up_to) * above).sum()


CLOZE_LOSSES: dict[ClozeLossName, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": _cross_entropy,
    "hinge": _hinge,
    "generative": _generative,
    "mix": _mix,
    "binary": _binary,
    "cumulative": _cumulative,
}
"""`hinge`: every wrong candidate should score at least 1 lower; `generative`: the right one should
be likely in itself; `mix`: cross-entropy and generative; `binary`: the cross-entropy of each label
by itself, where several may be right; `cumulative`: of each step between labels that have an order,
whether the right one is above it."""


def cloze_loss(scores_L: Tensor, target_L: Tensor, name: ClozeLossName = "cross_entropy") -> Tensor:
    """Return the loss of one example, float32 scalar.

    Args:
        scores_L: float32, scores of its labels: log-probabilities of words, or logits.
        target_L: float32, the share of each label in what is right; sums to 1. For `binary`, 1 for
            each that is right.
        name: which loss.

    Example:
        >>> scores, target = torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.0])
        >>> [round(float(cloze_loss(scores, target, name)), 4) for name in CLOZE_LOSSES]
        [0.1269, 0.0, -2.0, -1.8731, 0.8201, 0.1269]
    """
    return CLOZE_LOSSES[name](scores_L, target_L)


def soft_target(value: float, anchors: list[float]) -> Tensor:
    """Return float32[L], the shares of a number in the two anchors beside it.

    Args:
        value: between the smallest and the largest anchor.
        anchors: ascending, at least two.

    Example:
        >>> soft_target(4.0, [0.0, 5.0])
        tensor([0.2000, 0.8000])
    """
    target_L = torch.zeros(len(anchors))
    right = next(i for i in range(1, len(anchors)) if value <= anchors[i])
    share = (value - anchors[right - 1]) / (anchors[right] - anchors[right - 1])
    target_L[right - 1], target_L[right] = 1 - share, share
    return target_L
