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
from transformers.utils.generic import can_return_tuple

from unblank.examples import IGNORE_INDEX
from unblank.models.electra.configuration import ElectraInfillConfig
from unblank.models.ganlm.losses import (
    at_chosen,
    detection_rates,
    discriminator_loss_sum,
    put_back,
    sample_tokens,
)
from unblank.models.glm.modeling import GlmInfillModel, GlmInfillPreTrainedModel
from unblank.models.loss import token_loss

__all__ = ["ElectraInfillForPreTraining", "ElectraInfillModel", "ElectraOutput"]


@dataclass
class ElectraOutput(ModelOutput):
    """Output of one step of ELECTRA's objective.

    Attributes:
        loss: float32 scalar, the weighted sum of both losses per token; None without labels.
        logits: float[B, T, 2], the scores of "replaced" and "original"; None in training.
        hidden_states: float[B, T, D] of the discriminator's embeddings and layers, on request.
        attentions: float[B, H, T, T] of its layers, on request.
        losses: "generator", "discriminator" -> (float32 sum, int64 count).
        rates: "replaced_rate", "replaced_accuracy", "original_accuracy" -> (hits, out of).
        corrupted_ids: int64[B, T], what the discriminator read.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
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
    # The discriminator's loss has a count of its own, which no trainer knows beforehand.
    accepts_loss_kwargs = False
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

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the token embedding."""
        self.model.embed_tokens = value
        self.generator.embed_tokens = value

    def text_outputs(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Return the generator's logits and the discriminator's judgements of plain texts."""
        guessing_BTD = self.generator(token_ids).last_hidden_state
        judging_BTD = self.model(token_ids).last_hidden_state
        return {"logits": self.lm_head(guessing_BTD), "judgements": self.head(judging_BTD)}

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        segment_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        generator: torch.Generator | None = None,
        sampled_ids: Tensor | None = None,
        discriminator_weight: float = 50.0,
        **kwargs: Any,
    ) -> ElectraOutput:
        """Return the two losses of ELECTRA (its paper, section 2), or judgements without labels.

        Args:
            input_ids: int64[B, T], the text, with masks if there are labels.
            labels: int64[B, T], the original where the text was masked, else -100.
            segment_ids: int64[B, T], 0 on padding, with `is_prefix`: packed rows.
            attention_mask: [B, T], non-zero on real tokens, in place of `segment_ids`.
            inputs_embeds: float[B, T, D], in place of `input_ids`, without labels.
            generator: source of the samples; None for torch's own.
            sampled_ids: int64[B, T], in place of the draw.
            discriminator_weight: of the discriminator's loss in the sum; 50 in the paper.
            **kwargs: position_ids and is_prefix, as for `GlmInfillModel.forward`.

        Raises:
            TypeError: an argument that the model does not have.
            ValueError: labels without `input_ids`, or with embeddings.
        """
        rows = {"segment_ids": segment_ids, "attention_mask": attention_mask, **kwargs}
        rows["use_cache"] = False
        if labels is None:
            outputs = self.model(input_ids=input_ids, inputs_embeds=inputs_embeds, **rows)
            return ElectraOutput(
                logits=self.head(outputs.last_hidden_state),
                hidden_states=outputs.hidden_states,
                attentions=outputs.attentions,
            )
        if input_ids is None or inputs_embeds is not None:
            raise ValueError(
                "labels need input_ids alone: a generator reads tokens, and replaces some"
            )
        is_masked = labels != IGNORE_INDEX
        guessing_BTD = self.generator(input_ids=input_ids, **rows).last_hidden_state
        weight_VD = self.lm_head.weight
        original_BT = torch.where(is_masked, labels, input_ids)
        if sampled_ids is None:
            guessing_ND = at_chosen(guessing_BTD.detach(), is_masked)
            sampled_N = sample_tokens(guessing_ND, weight_VD, generator)
            corrupted_BT = put_back(sampled_N, is_masked, original_BT)
        else:
            corrupted_BT = torch.where(is_masked, sampled_ids, original_BT)
        is_real = torch.ones_like(is_masked)
        if attention_mask is not None:
            is_real = attention_mask != 0
        elif segment_ids is not None:
            is_real = segment_ids != 0
        outputs = self.model(input_ids=corrupted_BT, **rows)
        logits_N2 = self.head(at_chosen(outputs.last_hidden_state, is_real))
        is_original_N = at_chosen(corrupted_BT == original_BT, is_real)
        counts_N = at_chosen(is_real, is_real)
        detection_loss = discriminator_loss_sum(logits_N2, is_original_N, counts_N)
        losses = {
            "generator": token_loss(guessing_BTD, weight_VD, labels),
            "discriminator": (detection_loss, is_real.sum()),
        }
        means = {name: total / n.clamp(min=1) for name, (total, n) in losses.items()}
        return ElectraOutput(
            loss=means["generator"] + discriminator_weight * means["discriminator"],
            logits=None if self.training else self.head(outputs.last_hidden_state),
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            losses=losses,
            rates=detection_rates(is_original_N, logits_N2.argmax(dim=-1) == 1, counts_N),
            corrupted_ids=corrupted_BT,
        )
