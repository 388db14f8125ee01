"""GanLM's three losses as a training unit, with weights that may grow, and the shares it logs."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from unblank.engine.units import Share, TokenLoss, sampling_generator
from unblank.examples import IGNORE_INDEX, TrainBatch
from unblank.families.settings import GanLMSettings
from unblank.models.ganlm import GanLMConfig
from unblank.models.ganlm.losses import content_ids, content_positions, warmed_up_weight

__all__ = ["GanLMUnit"]


class GanLMUnit:
    """Span corruption, replaced-token detection and replaced-token denoising (GanLM, section 2).

    Args:
        config: of the model; says which ids are content.
        settings: weights and rules.
        seed: seed of the samples.
        label_smoothing: of generator and denoising loss in training, in [0, 1); in evaluation mode
            nothing is smoothed.

    Attributes:
        weights: name of each loss -> its factor at this step; losses of final weight 0 are left
            out, the generator's never is.
        shares: of the last batch: replaced tokens, both accuracies, both inconsistency rates.
    """

    def __init__(
        self,
        config: GanLMConfig,
        settings: GanLMSettings,
        seed: int,
        label_smoothing: float = 0.0,
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._label_smoothing = label_smoothing
        # Batches lie there, also where the model is built without memory.
        self._is_content_V = content_ids(
            config.vocab_size,
            config.first_special_id,
            config.sentinel_token_ids,
            device=torch.device("cpu"),
        )
        self.shares: Mapping[str, Share] = {}
        self.weights: Mapping[str, float] = {}
        self.start_step(1)

    def start_step(self, update: int) -> None:
        """Set the weights of optimiser step `update`, counted from 1."""
        settings, done = self._settings, update - 1
        weights = {"generator": 1.0}
        if settings.discriminator_weight > 0 or settings.denoising_weight > 0:
            weights["discriminator"] = warmed_up_weight(
                settings.discriminator_weight,
                done,
                settings.discriminator_start_step,
                settings.discriminator_warmup_steps,
            )
        if settings.denoising_weight > 0:
            weights["denoising"] = warmed_up_weight(
                settings.denoising_weight,
                done,
                settings.denoising_start_step,
                settings.denoising_warmup_steps,
            )
        self.weights = weights

    def counts(self, batch: TrainBatch) -> dict[str, int]:
        """Return how many labels each loss scores: all, or those that are ordinary tokens."""
        num_labels = int((batch.labels != IGNORE_INDEX).sum())
        num_content = int(content_positions(batch.labels, self._is_content_V).sum())
        sizes = {"generator": num_labels, "discriminator": num_content, "denoising": num_labels}
        return {name: sizes[name] for name in self.weights}

    def __call__(
        self, model: nn.Module, batch: TrainBatch, device: torch.device
    ) -> dict[str, TokenLoss]:
        """Return the losses of the batch."""
        settings, counts = self._settings, self.counts(batch)
        # A weight that is still 0 stays in: every parameter needs a gradient in every process.
        output: Any = model(
            **batch.model_inputs(device),
            discriminator_weight=settings.discriminator_weight,
            denoising_weight=settings.denoising_weight,
            denoising_rule=settings.denoising_rule,
            discriminator_reads=settings.discriminator_reads,
            temperature=settings.sampling_temperature,
            smoothing=self._label_smoothing if model.training else 0.0,
            return_logits=False,
            generator=sampling_generator(self._seed, batch, device),
        )
        self.shares = dict(output.rates)
        return {
            name: TokenLoss(loss_sum, counts[name]) for name, (loss_sum, _) in output.losses.items()
        }
