"""Heads over a GLM: classification of the pooled token, and multiple choice.

Shapes: `B` examples, `C` choices or classes, `T` tokens, `D` width.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import MultipleChoiceModelOutput, SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from unblank.models.glm.configuration import GlmInfillConfig
from unblank.models.glm.modeling import (
    GlmInfillForConditionalGeneration,
    GlmInfillModel,
    GlmInfillPreTrainedModel,
)

__all__ = ["GlmInfillForMultipleChoice", "GlmInfillForSequenceClassification"]


class GlmInfillForSequenceClassification(GlmInfillPreTrainedModel):
    """The classifier baseline: dropout, dense, tanh, dropout, projection of one pooled token.

    The pooled token is column 0 ([CLS]) unless `pooled_columns` names another.
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
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Return class scores.

        Args:
            input_ids: int64[B, T].
            attention_mask: [B, T] or [B, 1, T, T].
            position_ids: int64[2, B, T].
            prefix_lengths: int64[B]; None encodes all tokens bidirectionally.
            labels: int64[B] classes, or float[B] for one label (regression).
            pooled_columns: int64[B], the column to classify from; None for the first real token.
            **kwargs: passed to `GlmInfillModel.forward`.
        """
        hidden_BTD = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            prefix_lengths=prefix_lengths,
            use_cache=False,
            **kwargs,
        ).last_hidden_state
        rows = torch.arange(hidden_BTD.shape[0], device=hidden_BTD.device)
        if pooled_columns is None:
            pooled_columns = torch.zeros_like(rows)
            if attention_mask is not None and attention_mask.dim() == 2:
                pooled_columns = attention_mask.long().argmax(dim=1)
        pooled_BD = torch.tanh(self.dense(hidden_BTD[rows, pooled_columns]))
        logits_BC = self.out_proj(self.dropout(pooled_BD))
        return SequenceClassifierOutput(loss=_label_loss(logits_BC, labels), logits=logits_BC)


class GlmInfillForMultipleChoice(GlmInfillForConditionalGeneration):
    """Choices scored by the language model: the summed log-probability of each choice's tokens.

    Takes one row a choice; `unblank.generation.score` does the same in one forward for all.
    """

    def text_outputs(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Return the logits of the language model that scores the choices."""
        return {"logits": self.lm_head(self.model(token_ids).last_hidden_state)}

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        prefix_lengths: Tensor,
        target_ids: Tensor,
        labels: Tensor | None = None,
        length_penalty: float = 0.0,
        **kwargs: Any,
    ) -> MultipleChoiceModelOutput:
        """Return the score of every choice.

        Args:
            input_ids: int64[B, C, T], context and choice in a row.
            position_ids: int64[2, B, C, T].
            prefix_lengths: int64[B, C].
            target_ids: int64[B, C, T], aligned tokens of the choice, -100 elsewhere.
            labels: int64[B], index of the right choice.
            length_penalty: scores are divided by (number of tokens) ** penalty.
            **kwargs: passed to the language model.
        """
        examples, choices, tokens = input_ids.shape
        logits = (
            super()
            .forward(
                input_ids=input_ids.view(-1, tokens),
                position_ids=position_ids.view(2, -1, tokens),
                prefix_lengths=prefix_lengths.view(-1),
                use_cache=False,
                **kwargs,
            )
            .logits
        )
        targets = target_ids.view(-1, tokens)
        is_target = targets >= 0
        log_p = -functional.cross_entropy(
            logits.float().transpose(1, 2), targets, reduction="none", ignore_index=-100
        )
        counts = is_target.sum(dim=1).clamp(min=1)
        scores_BC = (log_p.sum(dim=1) / counts**length_penalty).view(examples, choices)
        return MultipleChoiceModelOutput(loss=_label_loss(scores_BC, labels), logits=scores_BC)


def _label_loss(scores_BC: Tensor, labels: Tensor | None) -> Tensor | None:
    if labels is None:
        return None
    if scores_BC.shape[1] == 1:
        return functional.mse_loss(scores_BC[:, 0].float(), labels.float())
    return functional.cross_entropy(scores_BC.float(), labels)
