"""The two values that flow from text to model: an example (numpy, one sample) and a batch (torch).

An objective makes an `Example` from token ids; packing lays examples side by side in rows of fixed
length; collation turns rows into a `Batch`. For encoder-decoders they are `Seq2SeqExample` and
`Seq2SeqBatch`, with examples of similar length below each other. Nothing here computes.

Shapes: `T` tokens of one example or row (of the target, if there is one), `S` source tokens, `B`
rows, `N` scored positions of a batch.
"""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

__all__ = [
    "IGNORE_INDEX",
    "AnyExample",
    "Batch",
    "Example",
    "IntArray",
    "Seq2SeqBatch",
    "Seq2SeqExample",
    "TrainBatch",
]

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
        return _tensors(self, device)


@dataclass(frozen=True, slots=True)
class Seq2SeqExample:
    """One sample for an encoder-decoder.

    Attributes:
        input_ids: int64[S], the source.
        decoder_input_ids: int64[T], what the decoder reads.
        labels: int64[T], the token to predict *at* this position (not shifted).
        objective: name of the objective that made it, for the logs.
    """

    input_ids: IntArray
    decoder_input_ids: IntArray
    labels: IntArray
    objective: str

    def __len__(self) -> int:
        """Return the positions that the model needs: those of the longer side."""
        return max(len(self.input_ids), len(self.labels))


@dataclass(slots=True)
class Seq2SeqBatch:
    """Examples below each other, padded on the right, ready for an encoder-decoder.

    Attributes:
        input_ids: int64[B, S].
        attention_mask: bool[B, S], True on the source, False on padding.
        decoder_input_ids: int64[B, T].
        labels: int64[B, T], `IGNORE_INDEX` where not scored.
        sample_numbers: the global number of each row's sample.
        objectives: objective name of each of these samples.
    """

    input_ids: "torch.Tensor"
    attention_mask: "torch.Tensor"
    decoder_input_ids: "torch.Tensor"
    labels: "torch.Tensor"
    sample_numbers: list[int]
    objectives: list[str]

    def model_inputs(self, device: "torch.device | str | None" = None) -> dict[str, Any]:
        """Return the tensors by the names of the model's `forward`, moved to `device` if given."""
        return _tensors(self, device)


AnyExample = Example | Seq2SeqExample
"""What an objective makes."""

TrainBatch = Batch | Seq2SeqBatch
"""What a training step sees."""


def _tensors(batch: TrainBatch, device: "torch.device | str | None") -> dict[str, Any]:
    import torch

    tensors = {
        field.name: getattr(batch, field.name)
        for field in fields(batch)
        if isinstance(getattr(batch, field.name), torch.Tensor)
    }
    if device is None:
        return tensors
    return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}
