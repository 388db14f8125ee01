"""Checks that weights are finite: one NaN or infinity makes every answer worthless."""

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

__all__ = ["is_finite", "nonfinite_name", "require_finite"]


def is_finite(tensor: Tensor) -> bool:
    """Whether all values of a tensor are finite, at about the speed of reading it."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    # A NaN is both the smallest and the largest; `isfinite` of all would write a second tensor.
    lowest, highest = tensor.detach().aminmax()
    # 0 times a number is 0, unless it is not finite. One answer to the two: weights that are not
    # read yet would be read for each, and each operation on them takes a while.
    return bool(lowest * 0 + highest * 0 == 0)


def nonfinite_name(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """Return the name of the first tensor with a value that is not finite, or None."""
    return next((name for name, tensor in tensors if not is_finite(tensor)), None)


def require_finite(tensors: Iterable[tuple[str, Tensor]], folder: Path) -> None:
    """Refuse weights that are not finite.

    Raises:
        ValueError: one has a value that is not finite; the message names it.
    """
    if name := nonfinite_name(tensors):
        raise ValueError(
            f"the weights in {folder} are not all finite: {name} has NaN or infinite values, so "
            "the model cannot be used. Take an earlier checkpoint, or copy or train it again"
        )
