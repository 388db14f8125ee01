"""ELECTRA's two losses as a training unit, over rows that the objective `masked` made."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from unblank.engine.units import Share, TokenLoss, sampling_generator
from unblank.examples import IGNORE_INDEX, Batch, TrainBatch

__all__ = ["ElectraUnit"]


class ElectraUnit:
    """Masked-token prediction, and replaced-token detection over all tokens (ELECTRA, section 2).

    Args:
        seed: seed of the samples.

    Attributes:
        weights: 1 and 50, as in the paper.
        shares: of the last batch: replaced tokens, both accuracies.
    """

    weights: Mapping[str, float] = {"generator": 1.0, "discriminator": 50.0}

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.shares: Mapping[str, Share] = {}

    def start_step(self, update: int) -> None:
        """Nothing changes between steps."""

    def counts(self, batch: TrainBatch) -> dict[str, int]:
        """Return how many tokens were masked, and how many there are."""
        assert isinstance(batch, Batch)
        num_masked = int((batch.labels != IGNORE_INDEX).sum())
        return {"generator": num_masked, "discriminator": int((batch.segment_ids != 0).sum())}

    def __call__(
        self, model: nn.Module, batch: TrainBatch, device: torch.device
    ) -> dict[str, TokenLoss]:
        """Return both losses of the batch."""
        counts = self.counts(batch)
        generator = sampling_generator(self._seed, batch, device)
        output: Any = model(**batch.model_inputs(device), generator=generator)
        self.shares = dict(output.rates)
        return {
            name: TokenLoss(loss_sum, counts[name]) for name, (loss_sum, _) in output.losses.items()
        }
