"""An encoder and a decoder together, and with the tied output head: trains and generates.

Labels are aligned (the label of a position is the token predicted there) and with labels only the
scored positions reach the head.

Shapes: `B` rows, `T` target tokens, `S` source tokens, `D` width, `V` vocabulary, `N` scored.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig
from transformers.cache_utils import EncoderDecoderCache
from transformers.generation import LogitsProcessorList, SuppressTokensLogitsProcessor
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqModelOutput
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from unblank.examples import IGNORE_INDEX
from unblank.models.arguments import require_tokens
from unblank.models.encoder_decoder.configuration import EncoderDecoderConfig
from unblank.models.encoder_decoder.stacks import (
    Decoder,
    Encoder,
    EncoderDecoderPreTrainedModel,
    real_tokens,
)
from unblank.models.generation import CheckedGenerationMixin
from unblank.models.kept_logits import kept_columns
from unblank.models.loss import loss_per_item, token_loss

__all__ = [
    "EncoderDecoderForConditionalGeneration",
    "EncoderDecoderModel",
    "Seq2SeqOutput",
    "decoder_inputs",
]


@dataclass
class Seq2SeqOutput(ModelOutput):
    """Output of an encoder-decoder language model.

    Attributes:
        loss: float32 scalar, mean over scored positions; None without labels.
        logits: float[B, T, V]; None in training with labels, unless asked for.
        past_key_values: the cache.
        decoder_hidden_states: float[B, T, D] of the embeddings and every layer, on request.
        decoder_attentions: float[B, H, T, T] of every layer, on request.
        cross_attentions: float[B, H, T, S] of every layer, on request.
        encoder_last_hidden_state: float[B, S, D].
        encoder_hidden_states: float[B, S, D] of the embeddings and every layer, on request.
        encoder_attentions: float[B, H, S, S] of every layer, on request.
        loss_sum: float32 scalar, summed over scored positions; None without labels.
        num_scored: int64 scalar, the number of scored positions; None without labels.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: EncoderDecoderCache | None = None
    decoder_hidden_states: tuple[Tensor, ...] | None = None
    decoder_attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: tuple[Tensor, ...] | None = None
    encoder_attentions: tuple[Tensor, ...] | None = None
    loss_sum: Tensor | None = None
    num_scored: Tensor | None = None


class EncoderDecoderModel(EncoderDecoderPreTrainedModel):
    """Encoder and decoder without a head."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config, config.decoder_layers)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the token embedding."""
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the token embedding."""
        self.encoder.embed_tokens = value

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple[Tensor, ...] | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> Seq2SeqModelOutput:
        """Return the hidden states of source and target.

        Args:
            input_ids: int64[B, S].
            attention_mask: [B, S], non-zero on real source tokens, padded on either side; None
                finds the padding in `input_ids`.
            decoder_input_ids: int64[B, T], the target shifted right; with a cache, new tokens only.
            decoder_attention_mask: [B, T], needed only for left-padded targets; or as for
                `Decoder.forward`.
            encoder_outputs: of an earlier call, in place of `input_ids`.
            past_key_values: cache of earlier target tokens and of the source.
            inputs_embeds: float[B, S, D], in place of `input_ids`.
            decoder_inputs_embeds: float[B, T, D], in place of `decoder_input_ids`.
            use_cache: whether to return a cache.
            **kwargs: `output_hidden_states`, `output_attentions` and `return_dict`.

        Raises:
            ValueError: no target or an empty one, or source or target given twice.
        """
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            raise ValueError(
                "the decoder needs a target: give decoder_input_ids. The features of a text alone "
                "are those of the encoder: model.get_encoder()(input_ids)"
            )
        if decoder_input_ids is not None and decoder_inputs_embeds is not None:
            raise ValueError("give only one of decoder_input_ids and decoder_inputs_embeds")
        for name, given in (
            ("decoder_input_ids", decoder_input_ids),
            ("decoder_inputs_embeds", decoder_inputs_embeds),
        ):
            if given is not None:
                require_tokens(given, name)
        if input_ids is not None:
            attention_mask = real_tokens(input_ids, attention_mask, self.config)
        source: BaseModelOutput = encoder_outputs
        if encoder_outputs is None:
            source = self.encoder(
                input_ids=input_ids,
                attention_mask=attention_mask,
                inputs_embeds=inputs_embeds,
                **kwargs,
            )
        elif isinstance(encoder_outputs, tuple):
            source = BaseModelOutput(*encoder_outputs)
        if decoder_inputs_embeds is None:
            decoder_inputs_embeds = self.encoder.embed_tokens(decoder_input_ids)
        decoder_outputs = self.decoder(
            inputs_embeds=decoder_inputs_embeds,
            encoder_hidden_states=source.last_hidden_state,
            attention_mask=decoder_attention_mask,
            encoder_attention_mask=attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            **kwargs,
        )
        return Seq2SeqModelOutput(
            last_hidden_state=decoder_outputs.last_hidden_state,
            past_key_values=decoder_outputs.past_key_values,
            decoder_hidden_states=decoder_outputs.hidden_states,
            decoder_attentions=decoder_outputs.attentions,
            cross_attentions=decoder_outputs.cross_attentions,
            encoder_last_hidden_state=source.last_hidden_state,
            encoder_hidden_states=source.hidden_states,
            encoder_attentions=source.attentions,
        )


class EncoderDecoderForConditionalGeneration(EncoderDecoderPreTrainedModel, CheckedGenerationMixin):
    """Encoder and decoder with the tied output head."""

    _tied_weights_keys: dict[str, str] = {"lm_head.weight": "model.encoder.embed_tokens.weight"}
    # Labels are aligned; transformers would pick a loss from the class name.
    loss_type = "ForMaskedLM"
    model: EncoderDecoderModel
    lm_head: nn.Linear

    def get_encoder(self, modality: str | None = None) -> Encoder:
        """Return the encoder."""
        return self.model.encoder

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Return the labels shifted right after the decoder's start token."""
        return decoder_inputs(labels, self.config)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple[Tensor, ...] | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor | None = None,
        smoothing: float = 0.0,
        sampled_softmax: int = 0,
        num_items_in_batch: Tensor | int | None = None,
        return_logits: bool | None = None,
        **kwargs: Any,
    ) -> Seq2SeqOutput:
        """Return loss or logits; arguments not named here as for `EncoderDecoderModel.forward`.

        Args:
            input_ids: int64[B, S].
            attention_mask: [B, S].
            decoder_input_ids: int64[B, T]; None with labels shifts them right.
            decoder_attention_mask: [B, T].
            encoder_outputs: of an earlier call.
            past_key_values: cache of earlier tokens.
            inputs_embeds: float[B, S, D].
            decoder_inputs_embeds: float[B, T, D].
            labels: int64[B, T], aligned, -100 where not scored.
            use_cache: whether to return a cache.
            logits_to_keep: logits of that many last columns, 0 or None for all; or int64[Q], the
                columns.
            smoothing: of labels, weight of the uniform distribution over all V rows, in [0, 1).
            sampled_softmax: rows of the vocabulary from which the loss is estimated, without
                smoothing; 0 is all of them.
            num_items_in_batch: scored positions of a whole step, by which the summed loss is
                divided; None for those of this call.
            return_logits: None leaves them out in training with labels, unless `logits_to_keep`
                asks for them.
            **kwargs: `output_hidden_states`, `output_attentions` and `return_dict`.

        Raises:
            ValueError: neither labels nor another target, or as for `EncoderDecoderModel.forward`.
        """
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            if labels is None:
                raise ValueError(
                    "the decoder needs a target: give labels or decoder_input_ids. Trainer keeps "
                    "the labels to itself if it has a label_smoothing_factor, so have its collator "
                    "make decoder_input_ids: DataCollatorForSeq2Seq(tokenizer, model=model)"
                )
            decoder_input_ids = decoder_inputs(labels, self.config)
        if labels is not None and use_cache is None:
            use_cache = False
        outputs = self.model(
            input_ids=input_ids, attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids, decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs, past_key_values=past_key_values,
            inputs_embeds=inputs_embeds, decoder_inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache, **kwargs,
        )  # fmt: skip
        hidden_BTD = outputs.last_hidden_state
        loss_sum, num_scored, logits = None, None, None
        if labels is not None:
            loss_sum, num_scored = token_loss(
                hidden_BTD, self.lm_head.weight, labels, smoothing, sampled_softmax
            )
        if return_logits is None:
            return_logits = labels is None or logits_to_keep is not None or not self.training
        if return_logits:
            logits = self.lm_head(hidden_BTD[:, kept_columns(logits_to_keep)])
        return Seq2SeqOutput(
            loss=loss_per_item(loss_sum, num_scored, num_items_in_batch),
            logits=logits,
            past_key_values=outputs.past_key_values,
            decoder_hidden_states=outputs.decoder_hidden_states,
            decoder_attentions=outputs.decoder_attentions,
            cross_attentions=outputs.cross_attentions,
            encoder_last_hidden_state=outputs.encoder_last_hidden_state,
            encoder_hidden_states=outputs.encoder_hidden_states,
            encoder_attentions=outputs.encoder_attentions,
            loss_sum=loss_sum,
            num_scored=num_scored,
        )

    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return generated ids, as transformers' `generate`; padding in the source is found here.

        transformers leaves it to the caller of an encoder-decoder, and cross-attention to padding
        would go unnoticed.

        Args:
            inputs: int64[B, S], the source; or `input_ids=`.
            generation_config: how to decode; None for the model's own.
            **kwargs: of `GenerationMixin.generate`.
        """
        source = kwargs.get("input_ids") if inputs is None else inputs
        if source is not None and kwargs.get("attention_mask") is None:
            kwargs["attention_mask"] = real_tokens(source, None, self.config)
        return super().generate(inputs, generation_config, **kwargs)

    def _get_logits_processor(
        self, generation_config: GenerationConfig, *args: Any, **kwargs: Any
    ) -> LogitsProcessorList:
        """Padding and the rows above the tokenizer are never generated."""
        processors: LogitsProcessorList = super()._get_logits_processor(
            generation_config, *args, **kwargs
        )
        config = self.config
        size = config.vocab_size if config.tokenizer_size is None else config.tokenizer_size
        never = list(range(size, config.vocab_size))
        if config.pad_token_id not in (None, config.eos_token_id):
            never.append(config.pad_token_id)
        if never:
            processors.append(SuppressTokensLogitsProcessor(never, device=self.device))
        return processors


def decoder_inputs(labels_BT: Tensor, config: EncoderDecoderConfig) -> Tensor:
    """Return the decoder's start token and the labels without their last column.

    Args:
        labels_BT: int64[B, T], -100 where not scored.
        config: names the start and the padding token.

    Raises:
        ValueError: the configuration has no start token.
    """
    if config.decoder_start_token_id is None:
        raise ValueError(
            "config.decoder_start_token_id is not set: set it, or give decoder inputs with the "
            "labels"
        )
    start = torch.full_like(labels_BT[:, :1], config.decoder_start_token_id)
    filler = config.decoder_start_token_id if config.pad_token_id is None else config.pad_token_id
    shifted = torch.cat([start, labels_BT[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == IGNORE_INDEX, filler)
