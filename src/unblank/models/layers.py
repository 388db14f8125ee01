"""The pre-LayerNorm Transformer layer of GLM: attention and feed-forward, each with a residual.

Given `columns`, a layer returns the states of these tokens only: the last layer of a model needs no
others, while its keys and values still come from all tokens.

Shapes: `B` rows, `T` tokens, `Q` wanted columns, `D` width, `H` heads, `K` head width.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer

from unblank.models.attention import Attended, attend
from unblank.models.initialization import GLM_STACK, Projection
from unblank.models.masks import Mask

__all__ = ["FeedForward", "SelfAttention", "TransformerLayer", "compute_dtype"]


class SelfAttention(nn.Module):
    """Multi-head self-attention; the fused projection holds all Q rows, then K, then V."""

    def __init__(self, config: Any, layer_idx: int, output_gain: float) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.num_heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob
        width = config.hidden_size
        self.qkv_proj = Projection(width, 3 * width, num_parts=3 * self.num_heads)
        self.o_proj = Projection(width, width, output_gain)
        self.prompt: nn.Module | None = None  # a deep prompt: keys and values before all others

    def forward(
        self,
        hidden_BTD: Tensor,
        mask: Mask,
        past_key_values: Cache | None = None,
        columns_BQ: Tensor | None = None,
    ) -> Attended:
        """Return the attended states, [B, T, D] ([B, Q, D] with `columns_BQ`), and the weights."""
        rows, tokens, width = hidden_BTD.shape
        # One product even if few queries are wanted: adapters wrap the projection as a whole.
        qkv = self.qkv_proj(hidden_BTD).view(rows, tokens, 3, self.num_heads, -1)
        query_BHTK, key_BHTK, value_BHTK = qkv.permute(2, 0, 3, 1, 4)
        if columns_BQ is not None:
            query_BHTK = _gather_queries(query_BHTK, columns_BQ)
        if past_key_values is not None:
            key_BHTK, value_BHTK = past_key_values.update(key_BHTK, value_BHTK, self.layer_idx)
        if self.prompt is not None:
            key_BHTK, value_BHTK = self.prompt(key_BHTK, value_BHTK)
        attended_BHTK, weights_BHTS = attend(
            query_BHTK,
            key_BHTK,
            value_BHTK,
            mask,
            dropout=self.dropout if self.training else 0.0,
            implementation=self.config._attn_implementation,
        )
        output: Tensor = self.o_proj(attended_BHTK.transpose(1, 2).reshape(rows, -1, width))
        return output, weights_BHTS


class FeedForward(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, config: Any, output_gain: float) -> None:
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down_proj = Projection(config.intermediate_size, config.hidden_size, output_gain)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        """Return the transformed states, [B, T, D]."""
        output: Tensor = self.down_proj(self.activation(self.up_proj(hidden_BTD)))
        return output


class TransformerLayer(GradientCheckpointingLayer):
    """x + attention(LN(x)), then x + feed-forward(LN(x)); dropout on both sublayer outputs."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        output_gain = GLM_STACK.output_gain(layer_idx, config.num_hidden_layers)
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.self_attn = SelfAttention(config, layer_idx, output_gain)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = FeedForward(config, output_gain)
        self.dropout = config.hidden_dropout_prob

    def forward(
        self,
        hidden_BTD: Tensor,
        mask: Mask,
        past_key_values: Cache | None = None,
        columns_BQ: Tensor | None = None,
    ) -> Tensor:
        """Return the next residual stream, [B, T, D], or [B, Q, D] with `columns_BQ`.

        Args:
            hidden_BTD: the residual stream.
            mask: who sees whom, its queries being the wanted columns.
            past_key_values: cache of earlier tokens.
            columns_BQ: int64, the tokens whose states are wanted; None for all.
        """
        normed = self.input_layernorm(hidden_BTD)
        attended, _ = self.self_attn(normed, mask, past_key_values, columns_BQ)
        if columns_BQ is not None:
            hidden_BTD = _gather_columns(hidden_BTD, columns_BQ)
        hidden_BTD = hidden_BTD + functional.dropout(attended, self.dropout, self.training)
        transformed = self.mlp(self.post_attention_layernorm(hidden_BTD))
        return hidden_BTD + functional.dropout(transformed, self.dropout, self.training)


def _gather_columns(hidden_BTD: Tensor, columns_BQ: Tensor) -> Tensor:
    """Return the states of some tokens of every row, [B, Q, D]."""
    return hidden_BTD.gather(1, columns_BQ[:, :, None].expand(-1, -1, hidden_BTD.shape[2]))


def _gather_queries(query_BHTK: Tensor, columns_BQ: Tensor) -> Tensor:
    _, heads, _, width = query_BHTK.shape
    return query_BHTK.gather(2, columns_BQ[:, None, :, None].expand(-1, heads, -1, width))


def compute_dtype(module: nn.Module) -> torch.dtype:
    """Return the dtype in which the matrix products of `module` run, autocast included."""
    weight = next(module.parameters())
    if not weight.is_meta and torch.is_autocast_enabled(weight.device.type):
        return torch.get_autocast_dtype(weight.device.type)
    return weight.dtype
