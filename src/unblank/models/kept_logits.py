"""Which columns' logits a caller wants, as transformers' `logits_to_keep` says it."""

from torch import Tensor

__all__ = ["kept_columns"]


def kept_columns(logits_to_keep: int | Tensor | None) -> slice | Tensor:
    """Return what selects the wanted columns.

    Args:
        logits_to_keep: that many last columns, 0 or None for all; or int64[Q], the columns.
    """
    if isinstance(logits_to_keep, Tensor):
        return logits_to_keep
    return slice(-logits_to_keep, None) if logits_to_keep else slice(None)
