"""The seam between the loop and a model family: what is summed, and over how many tokens.

The loop never sees logits or labels. A unit tells it how many tokens each of its losses scores
(read from labels on the CPU, before any forward pass) and computes the sums; the loop divides by
the counts of the whole global batch, so that micro-batches and processes change nothing.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from unblank.examples import IGNORE_INDEX, TrainBatch

__all__ = ["InfillUnit", "Share", "TokenLoss", "TrainUnit", "UnitModule", "sampling_generator"]

Share = tuple[Tensor, Tensor]
"""(hits, out of), both scalars."""


class TokenLoss(NamedTuple):
    """One loss of one micro-batch."""

    loss_sum: Tensor
    """float32 scalar with gradient: the loss summed over scored tokens."""
    num_scored: int
    """Scored tokens."""


class TrainUnit(Protocol):
    """How a model family turns a batch into losses."""

    weights: Mapping[str, float]
    """Name of each loss -> its factor in the total."""

    shares: Mapping[str, Share]
    """Name -> share that the last call measured, for the logs."""

    def start_step(self, update: int, /) -> None:
        """Begin optimiser step `update`, counted from 1: `weights` may change."""
        ...

    def counts(self, batch: Any, /) -> dict[str, int]:
        """Return the number of scored tokens of each loss; needs no model.

        A batch is what the run's stream yields: the loop only passes it on.
        """
        ...

    def __call__(
        self, model: nn.Module, batch: Any, device: torch.device, /
    ) -> dict[str, TokenLoss]:
        """Return each loss of the batch, computed on `device`."""
        ...


class InfillUnit:
    """One loss, `lm`, over the labelled positions: of blanks (GLM paper, equation 3) or targets.

    Args:
        label_smoothing: of the training loss, as the model's `forward` takes it, in [0, 1); in
            evaluation mode nothing is smoothed.
        sampled_softmax: rows of the vocabulary from which the training loss is estimated, 0 for all
            of them; in evaluation mode it is exact.
    """

    weights: Mapping[str, float] = {"lm": 1.0}
    shares: Mapping[str, Share] = {}

    def __init__(self, label_smoothing: float = 0.0, sampled_softmax: int = 0) -> None:
        self._training_loss = {
            "smoothing": label_smoothing,
            "sampled_softmax": sampled_softmax,
        }

    def start_step(self, update: int) -> None:
        """Nothing changes between steps."""

    def counts(self, batch: TrainBatch) -> dict[str, int]:
        """Return {"lm": labelled positions}."""
        return {"lm": int((batch.labels != IGNORE_INDEX).sum())}

    def __call__(
        self, model: nn.Module, batch: TrainBatch, device: torch.device
    ) -> dict[str, TokenLoss]:
        """Return {"lm": summed cross-entropy over the labelled positions}."""
        loss_settings = self._training_loss if model.training else {"return_logits": False}
        output = model(**batch.model_inputs(device), **loss_settings)
        return {"lm": TokenLoss(output.loss_sum, self.counts(batch)["lm"])}


def sampling_generator(seed: int, batch: TrainBatch, device: torch.device) -> torch.Generator:
    """Return the source of the tokens that a unit samples from its own model.

    It is a function of the seed and the batch's first sample number, so that samples depend neither
    on which process sees the batch nor on what was drawn before.
    """
    state = np.random.SeedSequence((seed, batch.sample_numbers[0])).generate_state(2)
    return torch.Generator(device).manual_seed(int(state[0]) << 31 | int(state[1]) >> 1)


class UnitModule(nn.Module):
    """A unit and its model as one module, so that DDP sees one forward pass a micro-batch."""

    def __init__(self, model: nn.Module, unit: TrainUnit, device: torch.device) -> None:
        super().__init__()
        self.model = model
        self.unit = unit
        self.device = device

    def forward(self, batch: Any) -> dict[str, TokenLoss]:
        """Return the unit's losses of the batch."""
        return self.unit(self.model, batch, self.device)
