"""The layers of an encoder-decoder: attention to oneself or to a source, feed-forward, residuals.

One decoder layer covers the vanilla order (self-attention, cross-attention, feed-forward) and the
interleaved one of DeltaLM (self-attention, feed-forward, cross-attention, feed-forward).

Shapes: `B` rows, `T` tokens, `S` source tokens, `D` width, `H` heads, `K` head width.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_layers import GradientCheckpointingLayer

from unblank.models.attention import Attended, attend
from unblank.models.initialization import DECODER, ENCODER, Projection, StackStart
from unblank.models.layers import FeedForward
from unblank.models.masks import Mask

__all__ = ["Attention", "DecoderLayer", "EncoderLayer"]


class Attention(nn.Module):
    """Multi-head attention; the cache is that of the decoder's self- or cross-attention."""

    def __init__(self, config: Any, layer_idx: int, dropout: float, start: StackStart) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.num_heads = config.num_attention_heads
        self.dropout = dropout
        width = config.hidden_size
        self.q_proj = Projection(width, width, start.input_gain, self.num_heads)
        self.k_proj = Projection(width, width, start.input_gain, self.num_heads)
        self.v_proj = Projection(width, width, start.input_gain, self.num_heads)
        output_gain = start.output_gain(layer_idx, config.num_hidden_layers)
        self.o_proj = Projection(width, width, output_gain)

    def forward(
        self,
        hidden_BTD: Tensor,
        mask: Mask,
        past_key_values: EncoderDecoderCache | None = None,
        source_BSD: Tensor | None = None,
    ) -> Attended:
        """Return the attended states, [B, T, D], and the weights.

        Args:
            hidden_BTD: where the queries come from.
            mask: who sees whom.
            past_key_values: the cache; earlier tokens and the source are not projected again.
            source_BSD: where keys and values come from; None for `hidden_BTD` itself. With fewer
                rows than `hidden_BTD`, each serves as many neighbouring rows.
        """
        shape = hidden_BTD.shape
        if source_BSD is not None:
            # Rows of one source (beams, candidates) are queries of one row: its keys are read once.
            hidden_BTD = hidden_BTD.reshape(source_BSD.shape[0], -1, shape[-1])
        query_BHTK = self._heads(self.q_proj(hidden_BTD))
        if source_BSD is None:
            key_BHSK, value_BHSK = self._keys_and_values(hidden_BTD)
            if past_key_values is not None:
                cache = past_key_values.self_attention_cache
                key_BHSK, value_BHSK = cache.update(key_BHSK, value_BHSK, self.layer_idx)
        else:
            key_BHSK, value_BHSK = self._source_keys_and_values(source_BSD, past_key_values)
        attended_BHTK, weights_BHTS = attend(
            query_BHTK,
            key_BHSK,
            value_BHSK,
            mask,
            dropout=self.dropout if self.training else 0.0,
            implementation=self.config._attn_implementation,
        )
        output: Tensor = self.o_proj(attended_BHTK.transpose(1, 2).reshape(shape))
        if weights_BHTS is not None and len(weights_BHTS) < shape[0]:
            weights_BHTS = _row_each(weights_BHTS, shape[0])
        return output, weights_BHTS

    def _heads(self, projected_BTD: Tensor) -> Tensor:
        rows, tokens, _ = projected_BTD.shape
        return projected_BTD.view(rows, tokens, self.num_heads, -1).transpose(1, 2)

    def _keys_and_values(self, source_BSD: Tensor) -> tuple[Tensor, Tensor]:
        return self._heads(self.k_proj(source_BSD)), self._heads(self.v_proj(source_BSD))

    def _source_keys_and_values(
        self, source_BSD: Tensor, past_key_values: EncoderDecoderCache | None
    ) -> tuple[Tensor, Tensor]:
        if past_key_values is None:
            return self._keys_and_values(source_BSD)
        cache = past_key_values.cross_attention_cache
        if past_key_values.is_updated.get(self.layer_idx):
            layer = cache.layers[self.layer_idx]
            return layer.keys, layer.values
        past_key_values.is_updated[self.layer_idx] = True
        key_BHSK, value_BHSK = self._keys_and_values(source_BSD)
        cached: tuple[Tensor, Tensor] = cache.update(key_BHSK, value_BHSK, self.layer_idx)
        return cached


def _row_each(weights_BHTS: Tensor, rows: int) -> Tensor:
    """Return the weights with a row for each target where several shared a source."""
    sources, heads, _, num_keys = weights_BHTS.shape
    by_target = weights_BHTS.view(sources, heads, rows // sources, -1, num_keys)
    return by_target.transpose(1, 2).reshape(rows, heads, -1, num_keys)


class _ResidualLayer(GradientCheckpointingLayer):
    def __init__(self, config: Any, dropout: float) -> None:
        super().__init__()
        self.is_pre_norm = config.normalize_before
        self.dropout = dropout

    def _residual(
        self, hidden_BTD: Tensor, norm: nn.Module, sublayer: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return x + sublayer(norm(x)), or norm(x + sublayer(x)) in a post-LN model."""
        output = sublayer(norm(hidden_BTD) if self.is_pre_norm else hidden_BTD)
        hidden_BTD = hidden_BTD + functional.dropout(output, self.dropout, self.training)
        if self.is_pre_norm:
            return hidden_BTD
        normed: Tensor = norm(hidden_BTD)
        return normed


class EncoderLayer(_ResidualLayer):
    """Bidirectional self-attention, then feed-forward."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, config.hidden_dropout_prob)
        dropout, num_layers = config.attention_probs_dropout_prob, config.num_hidden_layers
        self.self_attn = Attention(config, layer_idx, dropout, ENCODER)
        self.self_attn_norm = _norm(config)
        self.mlp = FeedForward(config, ENCODER.output_gain(layer_idx, num_layers))
        self.mlp_norm = _norm(config)

    def forward(self, hidden_BTD: Tensor, mask: Mask, bias: Tensor | None = None) -> Tensor:
        """Return the next states, [B, T, D].

        Args:
            hidden_BTD: the states.
            mask: who sees whom.
            bias: in place of the mask's; apart, because a checkpointed layer passes gradients only
                to tensors that it is given.
        """
        mask = replace(mask, bias=bias)
        hidden_BTD = self._residual(
            hidden_BTD, self.self_attn_norm, lambda states: self.self_attn(states, mask)[0]
        )
        return self._residual(hidden_BTD, self.mlp_norm, self.mlp)


class DecoderLayer(_ResidualLayer):
    """Self-attention, (feed-forward,) attention to the source, feed-forward."""

    def __init__(
        self, config: Any, layer_idx: int, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__(config, dropout)
        self.is_interleaved = config.interleaved_decoder
        output_gain = DECODER.output_gain(layer_idx, config.num_hidden_layers)
        self.self_attn = Attention(config, layer_idx, attention_dropout, DECODER)
        self.self_attn_norm = _norm(config)
        if self.is_interleaved:
            self.bottom_mlp = FeedForward(config, output_gain)
            self.bottom_mlp_norm = _norm(config)
        self.cross_attn = Attention(config, layer_idx, attention_dropout, DECODER)
        self.cross_attn_norm = _norm(config)
        self.mlp = FeedForward(config, output_gain)
        self.mlp_norm = _norm(config)

    def forward(
        self,
        hidden_BTD: Tensor,
        mask: Mask,
        source_BSD: Tensor,
        source_mask: Mask,
        past_key_values: EncoderDecoderCache | None = None,
    ) -> Tensor:
        """Return the next states, [B, T, D]."""
        hidden_BTD = self._residual(
            hidden_BTD,
            self.self_attn_norm,
            lambda states: self.self_attn(states, mask, past_key_values)[0],
        )
        if self.is_interleaved:
            hidden_BTD = self._residual(hidden_BTD, self.bottom_mlp_norm, self.bottom_mlp)
        hidden_BTD = self._residual(
            hidden_BTD,
            self.cross_attn_norm,
            lambda states: self.cross_attn(states, source_mask, past_key_values, source_BSD)[0],
        )
        return self._residual(hidden_BTD, self.mlp_norm, self.mlp)


def _norm(config: Any) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
