"""The check that labels are classes or tokens that a model has."""

import torch
from torch import Tensor

from unblank.examples import IGNORE_INDEX

__all__ = ["check_labels"]


def check_labels(labels: Tensor, num_classes: int, kind: str) -> None:
    """Check that every label is one that can be predicted, or is to be ignored.

    On a GPU the check is part of the stream of kernels, so that nothing waits for it.

    Args:
        labels: int64, -100 where nothing is scored.
        num_classes: labels that there are.
        kind: what a label is, in the plural, for the message.

    Raises:
        ValueError: a label beyond them, or a negative one (RuntimeError on a GPU).
    """
    if torch.compiler.is_compiling() or labels.is_meta or labels.numel() == 0:
        return
    wanted = f"from 0 to {num_classes - 1}, or -100 for what is not scored"
    is_known = ((labels >= 0) & (labels < num_classes)) | (labels == IGNORE_INDEX)
    if not labels.is_cpu:
        torch._assert_async(is_known.all(), f"labels are not {kind} {wanted}")
    elif not bool(is_known.all()):
        raise ValueError(
            f"labels hold {int(labels[~is_known][0])}, but the model has {num_classes} {kind}: "
            f"give numbers {wanted}"
        )
