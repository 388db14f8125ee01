"""Which columns' logits a caller wants, as transformers' `logits_to_keep` says it."""

import torch
from torch import Tensor

from unblank.examples import IGNORE_INDEX

__all__ = ["columns_to_compute", "kept_columns"]

_COLUMNS_MULTIPLE = 64
"""The last layer computes a multiple of this many columns."""


def kept_columns(logits_to_keep: int | Tensor | None) -> slice | Tensor:
    """Return what selects the wanted columns.

    Args:
        logits_to_keep: that many last columns, 0 or None for all; or int64[Q], the columns.
    """
    if isinstance(logits_to_keep, Tensor):
        return logits_to_keep
    return slice(-logits_to_keep, None) if logits_to_keep else slice(None)


def columns_to_compute(
    num_tokens: int, labels: Tensor | None, logits_to_keep: int | Tensor | None
) -> Tensor | None:
    """Return the columns that the head needs, int64[B or 1, Q]; None for all of them.

    With labels these are the scored ones; rows with fewer are filled up with unscored columns, to
    a round number: compilers and oneDNN make a kernel for every shape they meet, and keep it.

    Args:
        num_tokens: columns that there are.
        labels: int64[B, T], -100 where not scored; None if nothing is.
        logits_to_keep: as for `kept_columns`; not read with labels.
    """
    if labels is None:
        if isinstance(logits_to_keep, Tensor):
            columns_T = torch.arange(num_tokens, device=logits_to_keep.device)
            return columns_T[logits_to_keep][None]
        if logits_to_keep is None or not 0 < logits_to_keep < num_tokens:
            return None
        return torch.arange(num_tokens - logits_to_keep, num_tokens)[None]
    is_scored = labels != IGNORE_INDEX
    most = int(is_scored.sum(dim=1).max())
    most += -most % _COLUMNS_MULTIPLE
    if not 0 < most < num_tokens:
        return None
    return is_scored.long().argsort(dim=1, descending=True, stable=True)[:, :most]
