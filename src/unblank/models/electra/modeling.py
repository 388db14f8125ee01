"""Replaced-token detection on an encoder (ELECTRA), a baseline in the same stack.

A generator guesses masked tokens; what it samples stands in their places, and the discriminator,
the encoder that is kept, tells for every token whether it is the original.

Shapes: `B` rows, `T` tokens, `D` width, `N` chosen positions.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

from unblank.examples import IGNORE_INDEX
from unblank.models.electra.configuration import ElectraInfillConfig
from unblank.models.ganlm.losses import detection_rates, discriminator_loss_sum, sample_tokens
from unblank.models.glm.modeling import GlmInfillModel, GlmInfillPreTrainedModel
from unblank.models.loss import linear_cross_entropy_sum

__all__ = ["ElectraInfillForPreTraining", "ElectraInfillModel", "ElectraOutput"]


@dataclass
class ElectraOutput(ModelOutput):
    """Output of one step of ELECTRA's objective.

    Attributes:
        losses: "generator", "discriminator" -> (float32 sum, int64 count).
        rates: "replaced_rate", "replaced_accuracy", "original_accuracy" -> (hits, out of).
        corrupted_ids: int64[B, T], what the discriminator read.
    """

    losses: dict[str, tuple[Tensor, Tensor]] | None = None
    rates: dict[str, tuple[Tensor, Tensor]] | None = None
    corrupted_ids: Tensor | None = None


class ElectraInfillModel(GlmInfillModel):
    """The discriminator without its head: the encoder to fine-tune."""

    config: ElectraInfillConfig
    _keys_to_ignore_on_load_unexpected: list[str] = [r"^generator\.", r"^head\.", r"^lm_head\."]


class ElectraInfillForPreTraining(GlmInfillPreTrainedModel):
    """Generator, discriminator, and the head that says replaced or original."""

    config: ElectraInfillConfig
    _tied_weights_keys: dict[str, str] = {
        "lm_head.weight": "model.embed_tokens.weight",
        "generator.embed_tokens.weight": "model.embed_tokens.weight",
    }

    def __init__(self, config: ElectraInfillConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        generator_config = deepcopy(config)
        generator_config.num_hidden_layers = config.generator_layers
        self.model = ElectraInfillModel(config)
        self.generator = GlmInfillModel(generator_config)
        self.lm_head = nn.Linear(width, config.vocab_size, bias=False)
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 2))
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the token embedding."""
        return self.model.embed_tokens

    def get_output_embeddings(self) -> nn.Linear:
        """Return the generator's head."""
        return self.lm_head

    def text_outputs(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Return the generator's logits and the discriminator's judgements of plain texts."""
        guessing_BTD = self.generator(token_ids).last_hidden_state
        judging_BTD = self.model(token_ids).last_hidden_state
        return {"logits": self.lm_head(guessing_BTD), "judgements": self.head(judging_BTD)}

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor,
        segment_ids: Tensor,
        generator: torch.Generator | None = None,
        sampled_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> ElectraOutput:
        """Return the two losses of ELECTRA (its paper, section 2).

        Args:
            input_ids: int64[B, T], the text with masks.
            labels: int64[B, T], the original where the text was masked, else -100.
            segment_ids: int64[B, T], 0 on padding.
            generator: source of the samples; None for torch's own.
            sampled_ids: int64[B, T], in place of the draw.
            **kwargs: position_ids and is_prefix, as for `GlmInfillModel.forward`.
        """
        is_masked = labels != IGNORE_INDEX
        rows = {"segment_ids": segment_ids, "use_cache": False, **kwargs}
        guessing_ND = self.generator(input_ids=input_ids, **rows).last_hidden_state[is_masked]
        weight_VD = self.lm_head.weight
        generator_loss = linear_cross_entropy_sum(guessing_ND, weight_VD, labels[is_masked])
        original_BT = torch.where(is_masked, labels, input_ids)
        if sampled_ids is None:
            sampled_N = sample_tokens(guessing_ND.detach(), weight_VD, generator)
            corrupted_BT = original_BT.masked_scatter(is_masked, sampled_N)
        else:
            corrupted_BT = torch.where(is_masked, sampled_ids, original_BT)
        is_real = segment_ids != 0
        judging_ND = self.model(input_ids=corrupted_BT, **rows).last_hidden_state[is_real]
        logits_N2 = self.head(judging_ND)
        is_original_N = (corrupted_BT == original_BT)[is_real]
        return ElectraOutput(
            losses={
                "generator": (generator_loss, is_masked.sum()),
                "discriminator": (
                    discriminator_loss_sum(logits_N2, is_original_N),
                    is_real.sum(),
                ),
            },
            rates=detection_rates(is_original_N, logits_N2.argmax(dim=-1) == 1),
            corrupted_ids=corrupted_BT,
        )
