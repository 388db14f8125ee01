"""Classification through one branch of a GanLM: the generator or the discriminator.

The chosen decoder reads the source once more, rolled right by one, and the first column is pooled
(paper, section 8, and the published program).

Shapes: `B` rows, `S` source tokens, `D` width, `C` classes.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import Seq2SeqSequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from unblank.models.arguments import given_tokens
from unblank.models.classifier_loss import classifier_loss
from unblank.models.encoder_decoder import Decoder, Encoder
from unblank.models.encoder_decoder.stacks import real_tokens
from unblank.models.ganlm.configuration import GanLMConfig
from unblank.models.ganlm.modeling import GanLMPreTrainedModel

__all__ = ["GanLMForSequenceClassification"]


class _ClassifierStacks(GanLMPreTrainedModel):
    """The encoder, and the generator's decoder if that is the one that reads.

    They are what a classifier shares with other classes, and saves and loads like these.
    """

    def __init__(self, config: GanLMConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        self.decoder: Decoder | None = None
        if not _reads_with_own_decoder(config):
            self.decoder = Decoder(config, config.decoder_layers)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the token embedding."""
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the token embedding."""
        self.encoder.embed_tokens = value


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
        self.model = _ClassifierStacks(config)
        if _reads_with_own_decoder(config):
            dropout = config.discriminator_dropout
            decoder = Decoder(config, config.discriminator_layers, dropout, dropout)
            self.discriminator = nn.ModuleDict({"decoder": decoder})
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def text_outputs(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Return the class scores of plain texts."""
        return {"logits": self(input_ids=token_ids).logits}

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> Seq2SeqSequenceClassifierOutput:
        """Return class scores.

        Args:
            input_ids: int64[B, S].
            attention_mask: [B, S], non-zero on real tokens; None finds the padding.
            labels: what `config.problem_type` says, see `classifier_loss`: int64[B] classes, or
                float[B] for one label (regression), or float[B, C].
            inputs_embeds: float[B, S, D], in place of `input_ids`.
            num_items_in_batch: labels of a whole step, by which the summed loss is divided; None
                for those of this call.
            **kwargs: `output_hidden_states`, `output_attentions` and `return_dict`.

        Raises:
            ValueError: both or neither of ids and embeddings, or too many tokens.
        """
        given = given_tokens(input_ids, inputs_embeds)
        is_real = attention_mask
        if input_ids is not None:
            is_real = real_tokens(input_ids, attention_mask, self.config)
        if is_real is None:
            is_real = torch.ones(given.shape[:2], device=given.device)
        is_real = is_real.bool()
        source = self.model.encoder(input_ids, is_real, inputs_embeds, **kwargs)
        decoder = self.model.decoder or self.discriminator["decoder"]
        rolled = _rolled_source(given, is_real)
        outputs = decoder(
            inputs_embeds=self.get_input_embeddings()(rolled) if inputs_embeds is None else rolled,
            encoder_hidden_states=source.last_hidden_state,
            attention_mask=is_real,
            encoder_attention_mask=is_real,
            use_cache=False,
            is_bidirectional=self.is_discriminator,
            num_layers=self.config.discriminator_layers if self.is_discriminator else None,
            **kwargs,
        )
        hidden_BSD = outputs.last_hidden_state
        first = is_real.long().argmax(dim=1)
        pooled_BD = hidden_BSD[torch.arange(len(first), device=first.device), first]
        pooled_BD = torch.tanh(self.dense(self.dropout(pooled_BD)))
        logits_BC = self.out_proj(self.dropout(pooled_BD))
        return Seq2SeqSequenceClassifierOutput(
            loss=classifier_loss(logits_BC, labels, self.config.problem_type, num_items_in_batch),
            logits=logits_BC,
            decoder_hidden_states=outputs.hidden_states,
            decoder_attentions=outputs.attentions,
            cross_attentions=outputs.cross_attentions,
            encoder_last_hidden_state=source.last_hidden_state,
            encoder_hidden_states=source.hidden_states,
            encoder_attentions=source.attentions,
        )


def _reads_with_own_decoder(config: GanLMConfig) -> bool:
    """Return whether the discriminator reads, with a decoder that is not the generator's."""
    is_shared: bool = config.share_generator_discriminator
    return config.classifier_branch == "discriminator" and not is_shared


def _rolled_source(tokens: Tensor, is_real: Tensor) -> Tensor:
    """Return each row's real tokens moved right by one, the last one first; padding stays.

    Args:
        tokens: int64[B, S], or their embeddings, float[B, S, D].
        is_real: bool[B, S], one run of real tokens in each row.

    Example:
        >>> _rolled_source(torch.tensor([[5, 6, 7, 1]]), torch.tensor([[True, True, True, False]]))
        tensor([[7, 5, 6, 1]])
    """
    first = is_real.long().argmax(dim=1, keepdim=True)
    last = first + is_real.sum(dim=1, keepdim=True) - 1
    before = torch.arange(is_real.shape[1], device=is_real.device) - 1
    column = before.expand(is_real.shape).scatter(1, first, last)
    column = torch.where(is_real, column, before + 1)
    if tokens.dim() == 3:
        column = column[:, :, None].expand(tokens.shape)
    return tokens.gather(1, column)
