"""Classification through one branch of a GanLM: the generator or the discriminator.

The chosen decoder reads the source once more, rolled right by one, and the first column is pooled
(paper, section 8, and the published program).

Shapes: `B` rows, `S` source tokens, `D` width, `C` classes.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from unblank.models.encoder_decoder import Decoder, Encoder
from unblank.models.encoder_decoder.stacks import real_tokens
from unblank.models.ganlm.configuration import GanLMConfig
from unblank.models.ganlm.modeling import GanLMPreTrainedModel

__all__ = ["GanLMForSequenceClassification"]


class GanLMForSequenceClassification(GanLMPreTrainedModel):
    """Encoder, one decoder, and a head: dense, tanh, projection of the first column."""

    _keys_to_ignore_on_load_unexpected: list[str] = [
        r"^model\.decoder\.",
        r"^discriminator\.",
        r"^lm_head\.",
    ]

    def __init__(self, config: GanLMConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.is_discriminator = config.classifier_branch == "discriminator"
        self.model = nn.ModuleDict({"encoder": Encoder(config)})
        if self.is_discriminator and not config.share_generator_discriminator:
            dropout = config.discriminator_dropout
            decoder = Decoder(config, config.discriminator_layers, dropout, dropout)
            self.discriminator = nn.ModuleDict({"decoder": decoder})
        else:
            self.model["decoder"] = Decoder(config, config.decoder_layers)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the token embedding."""
        encoder: Any = self.model["encoder"]
        table: nn.Embedding = encoder.embed_tokens
        return table

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the token embedding."""
        self.model["encoder"].embed_tokens = value

    def text_outputs(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Return the class scores of plain texts."""
        return {"logits": self(input_ids=token_ids).logits}

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Return class scores.

        Args:
            input_ids: int64[B, S].
            attention_mask: [B, S], non-zero on real tokens; None finds the padding.
            labels: int64[B] classes, or float[B] for one label (regression).
            **kwargs: the rest of the transformers contract.
        """
        is_real = real_tokens(input_ids, attention_mask, self.config)
        is_real = torch.ones_like(input_ids) if is_real is None else is_real
        is_real = is_real.bool()
        source_BSD = self.model["encoder"](input_ids, is_real, **kwargs).last_hidden_state
        is_own = self.is_discriminator and not self.config.share_generator_discriminator
        decoder = self.discriminator["decoder"] if is_own else self.model["decoder"]
        hidden_BSD = decoder(
            inputs_embeds=self.get_input_embeddings()(rolled_source(input_ids, is_real)),
            encoder_hidden_states=source_BSD,
            attention_mask=is_real,
            encoder_attention_mask=is_real,
            use_cache=False,
            is_bidirectional=self.is_discriminator,
            num_layers=self.config.discriminator_layers if self.is_discriminator else None,
        ).last_hidden_state
        first = is_real.long().argmax(dim=1)
        pooled_BD = hidden_BSD[torch.arange(len(first), device=first.device), first]
        pooled_BD = torch.tanh(self.dense(self.dropout(pooled_BD)))
        logits_BC = self.out_proj(self.dropout(pooled_BD))
        return SequenceClassifierOutput(loss=_loss(logits_BC, labels), logits=logits_BC)


def rolled_source(input_ids: Tensor, is_real: Tensor) -> Tensor:
    """Return each row's real tokens moved right by one, the last one first; padding stays.

    Args:
        input_ids: int64[B, S].
        is_real: bool[B, S], one run of real tokens in each row.

    Example:
        >>> rolled_source(torch.tensor([[5, 6, 7, 1]]), torch.tensor([[True, True, True, False]]))
        tensor([[7, 5, 6, 1]])
    """
    first = is_real.long().argmax(dim=1, keepdim=True)
    last = first + is_real.sum(dim=1, keepdim=True) - 1
    shifted = input_ids.roll(1, dims=1).scatter(1, first, input_ids.gather(1, last))
    return torch.where(is_real, shifted, input_ids)


def _loss(logits_BC: Tensor, labels: Tensor | None) -> Tensor | None:
    if labels is None:
        return None
    if logits_BC.shape[1] == 1:
        return functional.mse_loss(logits_BC[:, 0].float(), labels.float())
    return functional.cross_entropy(logits_BC.float(), labels)
