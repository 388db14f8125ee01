"""The two values that flow from text to model: `Example` (numpy, one sample) and `Batch` (torch).

An objective makes an `Example` from token ids; packing lays examples side by side in rows of fixed
length; collation turns rows into a `Batch`. Nothing here computes.

Shapes: `T` tokens of one example or row, `B` rows, `N` scored positions of a batch.
"""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

__all__ = ["IGNORE_INDEX", "Batch", "Example", "IntArray"]

IntArray = NDArray[np.int64]

IGNORE_INDEX = -100
"""Label of a position that is not scored (torch's and transformers' convention)."""


@dataclass(frozen=True, slots=True)
class Example:
    """One corrupted sample: Part A (the prefix, bidirectional) followed by Part B (causal).

    Attributes:
        input_ids: int64[T], Part A then Part B.
        position_ids: int64[2, T]. Row 0: position in Part A (a Part B token takes the position of
            its mask); row 1: position inside the span, 0 in Part A (GLM paper, section 2.2.1).
        labels: int64[T], the token to predict *at* this position (not shifted), `IGNORE_INDEX`
            where nothing is scored.
        prefix_length: tokens of Part A; 0 is a causal language model, T a bidirectional encoder.
        objective: name of the objective that made it, for the logs.
    """

    input_ids: IntArray
    position_ids: IntArray
    labels: IntArray
    prefix_length: int
    objective: str

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(slots=True)
class Batch:
    """Rows of packed examples, ready for `GlmInfillForConditionalGeneration`.

    Attributes:
        input_ids: int64[B, T].
        position_ids: int64[2, B, T].
        labels: int64[B, T], `IGNORE_INDEX` where not scored.
        segment_ids: int64[B, T], 1, 2, ... for the packed examples of a row, 0 for padding.
        is_prefix: bool[B, T], True on Part A.
        sample_numbers: the global numbers of the samples in this batch, in row order.
        objectives: objective name of each of these samples.
    """

    input_ids: "torch.Tensor"
    position_ids: "torch.Tensor"
    labels: "torch.Tensor"
    segment_ids: "torch.Tensor"
    is_prefix: "torch.Tensor"
    sample_numbers: list[int]
    objectives: list[str]

    def model_inputs(self, device: "torch.device | str | None" = None) -> dict[str, Any]:
        """Return the tensors by the names of the model's `forward`, moved to `device` if given."""
        import torch

        tensors = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if isinstance(getattr(self, field.name), torch.Tensor)
        }
        if device is None:
            return tensors
        return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}
