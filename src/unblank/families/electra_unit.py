"""ELECTRA's two losses as a training unit, over rows that the objective `masked` made."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from unblank.engine.units import Share, TokenLoss, sampling_generator
from unblank.examples import IGNORE_INDEX, Batch, TrainBatch
from unblank.families.settings import ElectraSettings

__all__ = ["ElectraUnit"]


class ElectraUnit:
    """Masked-token prediction, and replaced-token detection over all tokens (ELECTRA, section 2).

    Attributes:
        weights: name of each loss -> its factor at this step; 1 and 50 in the paper.
        shares: of the last batch: replaced tokens, both accuracies.
    """

    def __init__(self, seed: int, settings: ElectraSettings) -> None:
        self._seed = seed
        self._settings = settings
        self.shares: Mapping[str, Share] = {}
        self.weights: Mapping[str, float] = {}
        self.start_step(1)

    def start_step(self, update: int) -> None:
        """Set the weights of optimiser step `update`, counted from 1."""
        settings = self._settings
        has_begun = update > settings.discriminator_start_step
        # A weight of 0 stays in: every parameter needs a gradient in every process.
        self.weights = {
            "generator": 1.0,
            "discriminator": settings.discriminator_weight if has_begun else 0.0,
        }

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
