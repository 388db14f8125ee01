"""The encoder and the decoder, each a stack of layers.

The encoder owns the one embedding table; the decoder is handed token embeddings, so that no second
table exists that could drift apart.

Shapes: `B` rows, `T` tokens, `S` source tokens, `D` width.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
)
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from unblank.models.arguments import check_rest, given_tokens
from unblank.models.attention import (
    prepare_mask,
    warn_without_weights,
)
from unblank.models.caches import count_cached
from unblank.models.encoder_decoder.configuration import EncoderDecoderConfig
from unblank.models.encoder_decoder.embeddings import (
    PositionEmbedding,
    RelativeBias,
    count_positions,
    last_positions,
)
from unblank.models.encoder_decoder.layers import Attention, DecoderLayer, EncoderLayer
from unblank.models.initialization import DECODER, ENCODER, draw_weights
from unblank.models.layers import compute_dtype
from unblank.models.masks import padding_visibility, prefix_visibility
from unblank.models.pretrained import InfillPreTrainedModel

__all__ = ["Decoder", "Encoder", "EncoderDecoderPreTrainedModel", "real_tokens"]


class EncoderDecoderPreTrainedModel(InfillPreTrainedModel):
    """Initialisation and the transformers contract of every encoder-decoder."""

    config: EncoderDecoderConfig
    _no_split_modules: list[str] = ["EncoderLayer", "DecoderLayer"]

    def text_outputs(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Return by name what the model gives for plain texts, each its own source and target.

        Args:
            token_ids: int64[B, T], without padding.
        """
        output = self(input_ids=token_ids, decoder_input_ids=token_ids)
        if "logits" in output:
            return {"logits": output.logits}
        return {"hidden states": output.last_hidden_state}

    def _init_weights(self, module: nn.Module) -> None:
        draw_weights(module, ENCODER, self.config)


class Encoder(EncoderDecoderPreTrainedModel):
    """The bidirectional encoder."""

    main_input_name = "input_ids"
    _can_record_outputs: dict[str, Any] = {
        "hidden_states": EncoderLayer,
        "attentions": Attention,
    }

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embeddings = PositionEmbedding(config)
        self.relative_bias: nn.Module | None = None
        if config.relative_bias_buckets:
            self.relative_bias = RelativeBias(config)
        self.layers = nn.ModuleList(
            EncoderLayer(config, layer_idx) for layer_idx in range(config.encoder_layers)
        )
        self.norm = _final_norm(config)
        self.gradient_checkpointing = False
        self.post_init()

    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        """Return the hidden states of the source.

        Args:
            input_ids: int64[B, S].
            attention_mask: [B, S], non-zero on real tokens; None finds the padding in `input_ids`.
            inputs_embeds: float[B, S, D], in place of `input_ids`.
            **kwargs: `output_hidden_states`, `output_attentions` and `return_dict`; `generate`
                hands over all that the whole model takes, which the decoder checks.

        Raises:
            ValueError: both or neither of ids and embeddings, or too many tokens.
        """
        given_tokens(input_ids, inputs_embeds)
        if input_ids is not None:
            attention_mask = real_tokens(input_ids, attention_mask, self.config)
            inputs_embeds = self.embed_tokens(input_ids)
        assert inputs_embeds is not None
        if attention_mask is None:
            attention_mask = inputs_embeds.new_ones(inputs_embeds.shape[:2], dtype=torch.bool)
        num_tokens = inputs_embeds.shape[1]
        implementation = self.config._attn_implementation
        warn_without_weights(kwargs.get("output_attentions"), implementation)
        mask = prepare_mask(
            padding_visibility(attention_mask, num_tokens),
            compute_dtype(self),
            implementation,
            bias=None if self.relative_bias is None else self.relative_bias(num_tokens),
        )
        hidden_BSD = self.embeddings(inputs_embeds, count_positions(attention_mask))
        hidden_BSD = functional.dropout(hidden_BSD, self.config.hidden_dropout_prob, self.training)
        for layer in self.layers:
            hidden_BSD = layer(hidden_BSD, mask, mask.bias)
        return BaseModelOutput(last_hidden_state=self.norm(hidden_BSD))


class Decoder(EncoderDecoderPreTrainedModel):
    """A decoder over the encoder's states: causal, or bidirectional like a discriminator."""

    main_input_name = "inputs_embeds"
    _can_record_outputs: dict[str, Any] = {
        "hidden_states": DecoderLayer,
        "attentions": OutputRecorder(Attention, index=1, layer_name="self_attn"),
        "cross_attentions": OutputRecorder(Attention, index=1, layer_name="cross_attn"),
    }

    def __init__(
        self,
        config: EncoderDecoderConfig,
        num_layers: int,
        dropout: float | None = None,
        attention_dropout: float | None = None,
    ) -> None:
        super().__init__(config)
        self.dropout = config.hidden_dropout_prob if dropout is None else dropout
        if attention_dropout is None:
            attention_dropout = config.attention_probs_dropout_prob
        self.embeddings = PositionEmbedding(config)
        self.layers = nn.ModuleList(
            DecoderLayer(config, layer_idx, self.dropout, attention_dropout)
            for layer_idx in range(num_layers)
        )
        self.norm = _final_norm(config)
        self.gradient_checkpointing = False
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        draw_weights(module, DECODER, self.config)

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        inputs_embeds: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        use_cache: bool | None = None,
        is_bidirectional: bool = False,
        num_layers: int | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Return the hidden states of the new target tokens.

        Args:
            inputs_embeds: float[B, T, D], embeddings of the new tokens.
            encoder_hidden_states: float[B, S, D]; or fewer rows, each the source of as many
                neighbouring rows of the target.
            attention_mask: [B, cached + T], non-zero on real tokens; None is all real, which is
                also right for right padding in a causal decoder. Or bool or 0-1
                [B, 1, T, cached + T], complete: a token's position is the number of those it sees.
            encoder_attention_mask: as many rows as the source, non-zero on real source tokens;
                None is all real.
            past_key_values: cache of earlier tokens and of the source.
            use_cache: whether to return a cache.
            is_bidirectional: every token sees every real token, earlier or later.
            num_layers: run only that many first layers; None for all.
            **kwargs: `output_hidden_states`, `output_attentions` and `return_dict`.

        Raises:
            TypeError: an argument that the decoder does not have.
            ValueError: a bidirectional decoder with a cache, a static cache, too many tokens, or
                targets that cannot share the sources.
        """
        check_rest(kwargs)
        if use_cache and past_key_values is None:
            past_key_values = EncoderDecoderCache(
                DynamicCache(config=self.config), DynamicCache(config=self.config)
            )
        num_cached = count_cached(past_key_values)
        if is_bidirectional and num_cached:
            raise ValueError(
                "a bidirectional decoder cannot continue from a cache: leave past_key_values out"
            )
        (rows, num_tokens), num_sources = inputs_embeds.shape[:2], encoder_hidden_states.shape[0]
        if rows % num_sources:
            raise ValueError(
                f"the target has {rows} rows and the source {num_sources}: give as many of both, "
                "or a multiple of targets, of which neighbours share a source"
            )
        dtype, implementation = compute_dtype(self), self.config._attn_implementation
        warn_without_weights(kwargs.get("output_attentions"), implementation)
        targets_per_source = rows // num_sources
        visible, positions = _visibility_and_positions(
            inputs_embeds, attention_mask, num_cached, is_bidirectional
        )
        source_visible = None
        if num_tokens > 1 or encoder_attention_mask is not None:
            if encoder_attention_mask is None:
                encoder_attention_mask = encoder_hidden_states.new_ones(
                    encoder_hidden_states.shape[:2], dtype=torch.bool
                )
            source_visible = padding_visibility(
                encoder_attention_mask, targets_per_source * num_tokens
            )
        mask = prepare_mask(visible, dtype, implementation)
        source_mask = prepare_mask(source_visible, dtype, implementation)
        hidden_BTD = self.embeddings(inputs_embeds, positions)
        hidden_BTD = functional.dropout(hidden_BTD, self.dropout, self.training)
        for layer in self.layers[:num_layers]:
            hidden_BTD = layer(
                hidden_BTD, mask, encoder_hidden_states, source_mask, past_key_values
            )
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=self.norm(hidden_BTD),
            past_key_values=past_key_values if use_cache else None,
        )


def real_tokens(
    input_ids: Tensor, attention_mask: Tensor | None, config: EncoderDecoderConfig
) -> Tensor | None:
    """Return `attention_mask`, or where `input_ids` are not padding.

    None if that cannot be told: there is no padding token, or it also ends every text.
    """
    if attention_mask is not None or config.pad_token_id in (None, config.eos_token_id):
        return attention_mask
    return input_ids != config.pad_token_id


def _visibility_and_positions(
    inputs_embeds: Tensor, attention_mask: Tensor | None, num_cached: int, is_bidirectional: bool
) -> tuple[Tensor | None, Tensor]:
    """Return who sees whom, None for all, and the row of the position table for each new token."""
    rows, num_tokens = inputs_embeds.shape[:2]
    if attention_mask is not None and attention_mask.dim() == 4:
        visible = attention_mask.bool()
        return visible, last_positions(visible[:, 0])
    is_real = attention_mask
    if is_real is None:
        is_real = inputs_embeds.new_ones((rows, num_cached + num_tokens), dtype=torch.bool)
    positions = count_positions(is_real)[:, num_cached:]
    # A single new token without padding sees everything, and no mask is the fastest.
    if num_tokens == 1 and attention_mask is None:
        return None, positions
    prefix = num_tokens if is_bidirectional else 0
    prefix_lengths = torch.full((rows,), prefix, device=inputs_embeds.device)
    return prefix_visibility(prefix_lengths, num_tokens, num_cached, attention_mask), positions


def _final_norm(config: EncoderDecoderConfig) -> nn.Module:
    """Only a pre-LN stack has a norm at its end."""
    if config.normalize_before:
        return nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
    return nn.Identity()
