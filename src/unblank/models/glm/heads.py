"""Heads over a GLM: classification of the pooled token, and multiple choice.

Shapes: `B` examples, `C` choices or classes, `T` tokens, `D` width.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import MultipleChoiceModelOutput, SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from unblank.examples import IGNORE_INDEX
from unblank.models.arguments import given_tokens
from unblank.models.classifier_loss import classifier_loss
from unblank.models.glm.configuration import GlmInfillConfig
from unblank.models.glm.layout import blank_positions
from unblank.models.glm.modeling import (
    GlmInfillModel,
    GlmInfillPreTrainedModel,
    GlmInfillWithHead,
)

__all__ = ["GlmInfillForMultipleChoice", "GlmInfillForSequenceClassification"]

_SINGLE_LABEL = "single_label_classification"


class GlmInfillForSequenceClassification(GlmInfillPreTrainedModel):
    """The classifier baseline: dense, tanh, dropout, projection of one pooled token.

    The pooled token is the one of `config.classifier_pooled` unless `pooled_columns` names others.
    """

    def __init__(self, config: GlmInfillConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = GlmInfillModel(config)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.classifier_dropout or 0.0)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        prefix_lengths: Tensor | None = None,
        labels: Tensor | None = None,
        pooled_columns: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Return class scores.

        Args:
            input_ids: int64[B, T].
            attention_mask: [B, T] or [B, 1, T, T].
            position_ids: int64[2, B, T].
            prefix_lengths: int64[B]; None encodes all tokens bidirectionally.
            labels: what `config.problem_type` says, see `classifier_loss`: int64[B] classes, or
                float[B] for one label (regression), or float[B, C].
            pooled_columns: int64[B], the column to classify from; None for the first real token, or
                the last one, as `config.classifier_pooled` says.
            num_items_in_batch: labels of a whole step, by which the summed loss is divided; None
                for those of this call.
            **kwargs: passed to `GlmInfillModel.forward`.
        """
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            prefix_lengths=prefix_lengths,
            use_cache=False,
            **kwargs,
        )
        hidden_BTD = outputs.last_hidden_state
        rows = torch.arange(hidden_BTD.shape[0], device=hidden_BTD.device)
        if pooled_columns is None:
            pooled_columns = self._pooled_columns(hidden_BTD, attention_mask)
        pooled_BD = torch.tanh(self.dense(hidden_BTD[rows, pooled_columns]))
        logits_BC = self.out_proj(self.dropout(pooled_BD))
        return SequenceClassifierOutput(
            loss=classifier_loss(logits_BC, labels, self.config.problem_type, num_items_in_batch),
            logits=logits_BC,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _pooled_columns(self, hidden_BTD: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return int64[B], the column of each row's first or last real token."""
        is_real_BT = attention_mask
        if is_real_BT is None or is_real_BT.dim() != 2:
            is_real_BT = hidden_BTD.new_ones(hidden_BTD.shape[:2])
        is_real_BT = is_real_BT.bool().long()
        if self.config.classifier_pooled == "end":
            return is_real_BT.shape[1] - 1 - is_real_BT.flip(1).argmax(dim=1)
        return is_real_BT.argmax(dim=1)


class GlmInfillForMultipleChoice(GlmInfillWithHead):
    """Choices scored by the language model: the summed log-probability of each choice's tokens.

    Takes one row a choice; `unblank.generation.score` does the same in one forward for all.
    """

    def text_outputs(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Return the logits of the language model that scores the choices."""
        return {"logits": self.lm_head(self.model(token_ids).last_hidden_state)}

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        prefix_lengths: Tensor | None = None,
        target_ids: Tensor | None = None,
        labels: Tensor | None = None,
        length_penalty: float = 0.0,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> MultipleChoiceModelOutput:
        """Return the score of every choice.

        Args:
            input_ids: int64[B, C, T], in each row a text with a blank, `[sop]`, and the choice that
                fills the blank; its end token is scored if it is there.
            position_ids: int64[2, B, C, T]; None finds them from blank and `[sop]`.
            prefix_lengths: int64[B, C]; None is the text before `[sop]`.
            target_ids: int64[B, C, T], aligned tokens of the choice, -100 elsewhere; None is all
                tokens after `[sop]`.
            labels: int64[B], index of the right choice.
            length_penalty: scores are divided by (number of tokens) ** penalty.
            attention_mask: [B, C, T], non-zero on real tokens; None if all are real.
            inputs_embeds: float[B, C, T, D], in place of `input_ids`, with all of `position_ids`,
                `prefix_lengths` and `target_ids`.
            num_items_in_batch: examples of a whole step, by which the summed loss is divided; None
                for those of this call.
            **kwargs: passed to `GlmInfillModel.forward`.

        Raises:
            ValueError: a row without a blank or `[sop]`, or embeddings without the rest.
        """
        given = given_tokens(input_ids, inputs_embeds)
        is_real = None if attention_mask is None else attention_mask.flatten(0, 1)
        if position_ids is None or prefix_lengths is None or target_ids is None:
            if input_ids is None:
                raise ValueError(
                    "with inputs_embeds, give position_ids, prefix_lengths and target_ids"
                )
            positions, lengths, targets = _choice_rows(
                input_ids.flatten(0, 1), is_real, self.config
            )
        if position_ids is not None:
            positions = position_ids.flatten(1, 2)
        if prefix_lengths is not None:
            lengths = prefix_lengths.flatten()
        if target_ids is not None:
            targets = target_ids.flatten(0, 1)
        outputs = self.model(
            input_ids=None if input_ids is None else input_ids.flatten(0, 1),
            inputs_embeds=None if inputs_embeds is None else inputs_embeds.flatten(0, 1),
            attention_mask=is_real,
            position_ids=positions,
            prefix_lengths=lengths,
            use_cache=False,
            **kwargs,
        )
        logits = self.lm_head(outputs.last_hidden_state)
        log_p = -functional.cross_entropy(
            logits.float().transpose(1, 2), targets, reduction="none", ignore_index=IGNORE_INDEX
        )
        counts = (targets != IGNORE_INDEX).sum(dim=1).clamp(min=1)
        scores_BC = (log_p.sum(dim=1) / counts**length_penalty).view(given.shape[:2])
        return MultipleChoiceModelOutput(
            loss=classifier_loss(scores_BC, labels, _SINGLE_LABEL, num_items_in_batch),
            logits=scores_BC,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def _choice_rows(
    input_ids: Tensor, is_real: Tensor | None, config: GlmInfillConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Return positions, prefix lengths and targets of texts whose blanks are filled.

    Args:
        input_ids: int64[B, T].
        is_real: [B, T], non-zero on tokens that are not padding; None if all are real.
        config: names the special tokens.
    """
    positions = blank_positions(input_ids, is_real, config)
    is_span = positions[1] > 0
    follows = is_span[:, :-1] & is_span[:, 1:]
    if is_real is not None:
        follows &= is_real[:, 1:].bool()
    targets = torch.full_like(input_ids, IGNORE_INDEX)
    targets[:, :-1] = torch.where(follows, input_ids[:, 1:], IGNORE_INDEX)
    return positions, (~is_span).sum(dim=1), targets
