"""A GLM as a masked language model: what the first token of every blank would be, at its mask.

Each blank's span is opened by a `[sop]` of its own, which sees the text and no other span, so that
every answer is as if its blank were the only one that is filled. Only a GLM's first step of
filling is done here; answers of any length are those of `unblank.load(folder).fill`.

Shapes: `B` rows, `T` tokens of the text, `S` tokens as they are read, `N` spans, `D` width, `V`
vocabulary.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutputWithPast, MaskedLMOutput
from transformers.utils.generic import can_return_tuple

from unblank.models.arguments import check_rest, given_tokens
from unblank.models.glm.layout import blank_ids, span_start_id
from unblank.models.glm.modeling import GlmInfillPreTrainedModel, GlmInfillWithHead
from unblank.models.glm.part_a import PartA, part_a, special_ids_of
from unblank.models.loss import loss_per_item, token_loss

__all__ = ["GlmInfillForMaskedLM", "MaskedInfillModel"]


class MaskedInfillModel(GlmInfillPreTrainedModel, ABC):
    """A model that guesses at each blank of a text, in one pass; transformers' `fill-mask`."""

    lm_head: nn.Linear

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        return_logits: bool | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Return the logits of every column of the texts.

        What is read may have more columns than the text: `[CLS]` and an end, put there where they
        are missing, and a `[sop]` for each blank of a GLM; hidden states and attentions have them
        too.

        Args:
            input_ids: int64[B, T], texts with blanks, as a tokenizer gives them.
            attention_mask: [B, T], non-zero on real tokens; None if all are real.
            labels: int64[B, T], aligned: at a blank the first token of what fills it; -100 where
                not scored.
            inputs_embeds: float[B, T, D], in place of `input_ids`.
            num_items_in_batch: scored positions of a whole step, by which the summed loss is
                divided; None for those of this call.
            return_logits: None leaves them out in training with labels.
            **kwargs: `output_hidden_states`, `output_attentions` and `return_dict`.

        Raises:
            TypeError: an argument that the model does not have.
            ValueError: both or neither of ids and embeddings, or a text that is too long.
        """
        check_rest(kwargs)
        given = given_tokens(input_ids, inputs_embeds)
        embed = self.get_input_embeddings()
        token_ids = given if inputs_embeds is None else _special_ids_in(given, embed, self.config)
        read = part_a(token_ids, attention_mask, self.config)
        if inputs_embeds is None:
            outputs, hidden_BTD = self._encode(read, read.around(given), None, **kwargs)
        else:
            around = read.around_embedded(given, embed)
            outputs, hidden_BTD = self._encode(read, None, around, **kwargs)
        loss_sum, num_scored = None, None
        if labels is not None:
            loss_sum, num_scored = token_loss(hidden_BTD, self.lm_head.weight, labels)
        if return_logits is None:
            return_logits = labels is None or not self.training
        return MaskedLMOutput(
            loss=loss_per_item(loss_sum, num_scored, num_items_in_batch),
            logits=self.lm_head(hidden_BTD) if return_logits else None,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    @abstractmethod
    def _encode(
        self, read: PartA, input_ids: Tensor | None, inputs_embeds: Tensor | None, **kwargs: Any
    ) -> tuple[BaseModelOutputWithPast, Tensor]:
        """Return the output over all that is read, and the states of the text, float[B, T, D].

        Args:
            read: how the texts are read.
            input_ids: int64[B, S], the texts and what is read around them.
            inputs_embeds: float[B, S, D], in place of `input_ids`.
            **kwargs: passed to the Transformer.
        """


class GlmInfillForMaskedLM(MaskedInfillModel, GlmInfillWithHead):
    """Logits of the first token of every blank, where the blank is, with no other blank filled.

    Other columns have the logits of the encoded text, which a GLM is not trained on.
    """

    def text_outputs(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Return the logits at every column, as the texts are read here."""
        return {"logits": self(input_ids=token_ids).logits}

    def _encode(
        self, read: PartA, input_ids: Tensor | None, inputs_embeds: Tensor | None, **kwargs: Any
    ) -> tuple[BaseModelOutputWithPast, Tensor]:
        spans = _first_columns(read.is_blank)
        starts_BN = torch.full_like(spans, span_start_id(self.config))
        if input_ids is not None:
            input_ids = torch.cat([input_ids, starts_BN], dim=1)
        if inputs_embeds is not None:
            starts_BND = self.get_input_embeddings()(starts_BN)
            inputs_embeds = torch.cat([inputs_embeds, starts_BND], dim=1)
        outputs = self.model(
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            attention_mask=_visible(read.is_real, spans.shape[1]),
            position_ids=_positions(read.is_real, spans + read.text.start),
            use_cache=False,
            **kwargs,
        )
        num_read = read.is_real.shape[1]
        at_text_BTD = outputs.last_hidden_state[:, read.text]
        at_starts_BND = outputs.last_hidden_state[:, num_read:]
        return outputs, _at_blanks(at_text_BTD, at_starts_BND, read.is_blank)


def _special_ids_in(embedded_BTD: Tensor, embed: nn.Embedding, config: Any) -> Tensor:
    """Return int64[B, T], the ids of what matters to a layout in embedded texts, else -1."""
    around = (config.cls_token_id, config.sep_token_id, config.eos_token_id)
    known = [*blank_ids(config), *(one for one in around if one is not None)]
    return special_ids_of(embedded_BTD, embed, known)


def _first_columns(is_blank_BT: Tensor) -> Tensor:
    """Return int64[B, N], the columns of each row's blanks, and others in rows with fewer."""
    if torch.compiler.is_compiling():  # a compiled graph cannot depend on values
        num_spans = is_blank_BT.shape[1]
    else:
        num_spans = int(is_blank_BT.sum(dim=1).max()) if is_blank_BT.numel() else 0
    return (~is_blank_BT).long().argsort(dim=1, stable=True)[:, :num_spans]


def _visible(is_real_BS: Tensor, num_spans: int) -> Tensor:
    """Return bool[B, 1, S + N, S + N]: all see the text, and each column also itself."""
    keys = functional.pad(is_real_BS, (0, num_spans), value=False)
    itself = torch.eye(keys.shape[1], dtype=torch.bool, device=keys.device)
    return (keys[:, None, :] | itself)[:, None]


def _positions(is_real_BS: Tensor, spans_BN: Tensor) -> Tensor:
    """Return int64[2, B, S + N]; a span stands at its blank, and its start is its first token."""
    places_BS = (is_real_BS.cumsum(1) - 1).clamp(min=0)
    outside = torch.cat([places_BS, places_BS.gather(1, spans_BN)], dim=1)
    inside = torch.cat([torch.zeros_like(places_BS), torch.ones_like(spans_BN)], dim=1)
    return torch.stack([outside, inside])


def _at_blanks(at_text_BTD: Tensor, at_starts_BND: Tensor, is_blank_BT: Tensor) -> Tensor:
    """Return float[B, T, D], at each blank the state of its span's start instead of its own."""
    if at_starts_BND.shape[1] == 0:
        return at_text_BTD
    number_BT = (is_blank_BT.cumsum(1) - 1).clamp(min=0)
    index_BTD = number_BT[:, :, None].expand(-1, -1, at_starts_BND.shape[2])
    return torch.where(is_blank_BT[:, :, None], at_starts_BND.gather(1, index_BTD), at_text_BTD)
