"""One attention function for every mask, device and kernel; which kernel runs is decided here.

`sdpa` and `eager` run everywhere, `flex_attention` on CUDA. On CPU, `sdpa` goes block by block
over the visible keys (`Mask.ranges`): below about a thousand keys in bf16, plain matrix products
there beat the fused kernel (forward and backward 18-20 ms against 45 ms at B16 H6 T282 K64).

Shapes: `B` rows, `H` heads, `T` queries, `S` keys, `K` head width.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.utils import logging

from unblank.models.blockwise import blockwise_attention
from unblank.models.masks import Mask, key_ranges

__all__ = [
    "Attended",
    "attend",
    "check_implementation",
    "prepare_mask",
    "warn_without_weights",
]

Attended = tuple[Tensor, Tensor | None]
"""What was attended to, and the attention weights where a kernel holds them."""

_logger = logging.get_logger(__name__)

_PRODUCTS_MAX_KEYS = 1024
"""Longest key range for which plain products beat the fused CPU kernel in bf16 (measured)."""


def attend(
    query_BHTK: Tensor,
    key_BHSK: Tensor,
    value_BHSK: Tensor,
    mask: Mask,
    *,
    dropout: float = 0.0,
    implementation: str = "sdpa",
) -> Attended:
    """Return softmax(Q K^T / sqrt(K)) V under `mask` (GLM paper, equation 1), [B, H, T, K].

    With it comes the softmax, float[B, H, T, S], from "eager"; None from the other kernels, which
    never hold it.

    Args:
        query_BHTK: queries.
        key_BHSK: keys, cached ones first.
        value_BHSK: values.
        mask: from `prepare_mask`.
        dropout: probability of dropping an attention weight; 0 outside training.
        implementation: "sdpa", "eager" or "flex_attention".
    """
    return _IMPLEMENTATIONS[implementation](query_BHTK, key_BHSK, value_BHSK, mask, dropout)


def prepare_mask(
    visible: Tensor | None,
    dtype: torch.dtype,
    implementation: str,
    bias: Tensor | None = None,
) -> Mask:
    """Return the mask in the forms that `implementation` needs, once for all layers.

    Args:
        visible: bool[B, 1, T, S], or None when every key is visible.
        dtype: what the attention products will run in.
        implementation: as for `attend`.
        bias: float[1, H, T, S], added to the scores; gradients reach it.

    Raises:
        ValueError: a bias with flex attention.
    """
    if bias is not None:
        return _biased_mask(visible, bias, dtype, implementation)
    if visible is None:
        return Mask(None)
    if implementation == "flex_attention":
        return Mask(visible, block_mask=_flex_block_mask(visible))
    if implementation == "sdpa" and _products_are_faster(visible, dtype):
        return Mask(visible, ranges=key_ranges(visible))
    return Mask(visible)


def check_implementation(name: str, config: Any) -> None:
    """Check an attention implementation before a model uses it.

    Raises:
        ValueError: there is none of that name, or it cannot compute this model.
    """
    if name not in _IMPLEMENTATIONS:
        raise ValueError(
            f'Specified `attn_implementation="{name}"` is not supported: choose one of '
            f"{', '.join(_IMPLEMENTATIONS)} (flash attention cannot express the mask of a "
            "blank-infilling model)"
        )
    if name == "flex_attention" and getattr(config, "relative_bias_buckets", None):
        raise ValueError(
            "flex_attention does not support the position bias of this model: use sdpa or eager"
        )


def warn_without_weights(is_wanted: Any, implementation: str) -> None:
    """Warn, once, if attention weights are wanted of an implementation that has none."""
    if is_wanted and implementation != "eager":
        _logger.warning_once(
            f"output_attentions gives no attention weights with {implementation}, which never "
            "holds them: load the model with attn_implementation='eager'"
        )


def _biased_mask(
    visible: Tensor | None, bias: Tensor, dtype: torch.dtype, implementation: str
) -> Mask:
    if implementation == "flex_attention":
        raise ValueError("flex_attention does not support a position bias: use sdpa or eager")
    if visible is None:
        return Mask(None, bias=bias.to(dtype))
    if implementation == "sdpa" and _products_are_faster(visible, dtype):
        # In float32: the gradients of all layers are added up in the dtype of the bias.
        return Mask(visible, ranges=key_ranges(visible), bias=bias)
    return Mask(visible, bias=bias.to(dtype).masked_fill(~visible, float("-inf")))


def _products_are_faster(visible: Tensor, dtype: torch.dtype) -> bool:
    return (
        visible.device.type == "cpu"
        and dtype == torch.bfloat16
        and visible.shape[2] > 1
        and visible.shape[3] <= _PRODUCTS_MAX_KEYS
    )


def _sdpa(query: Tensor, key: Tensor, value: Tensor, mask: Mask, dropout: float) -> Attended:
    if mask.ranges is not None:
        return blockwise_attention(query, key, value, mask, dropout), None
    attended = functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask.visible if mask.bias is None else mask.bias,
        dropout_p=dropout,
    )
    return attended, None


def _eager(query: Tensor, key: Tensor, value: Tensor, mask: Mask, dropout: float) -> Attended:
    # Queries are scaled before the product, so that scores stay in the range of half precision.
    scores = (query * (1.0 / math.sqrt(query.shape[-1]))) @ key.transpose(-1, -2)
    if mask.bias is not None:
        scores = scores + mask.bias
    elif mask.visible is not None:
        scores = scores.masked_fill(~mask.visible, float("-inf"))
    # In float32: a sum of many small weights loses digits in bfloat16.
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    return functional.dropout(weights, dropout) @ value, weights


def _flex(query: Tensor, key: Tensor, value: Tensor, mask: Mask, dropout: float) -> Attended:
    if dropout > 0:
        raise ValueError(
            "flex_attention does not support attention dropout: set it to 0, or use sdpa"
        )
    from torch.nn.attention.flex_attention import flex_attention

    assert mask.visible is None or mask.block_mask is not None
    # Compiled it skips invisible blocks; uncompiled it computes every score, as a reference.
    kernel: Any = torch.compile(flex_attention) if query.is_cuda else flex_attention
    return kernel(query, key, value, block_mask=mask.block_mask), None


def _flex_block_mask(visible: Tensor) -> object:
    from torch.nn.attention.flex_attention import create_block_mask

    rows, _, num_queries, num_keys = visible.shape

    def is_visible(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return visible[row, 0, query, key]

    return create_block_mask(
        is_visible, rows, None, num_queries, num_keys, device=str(visible.device)
    )


_IMPLEMENTATIONS: dict[str, Callable[[Tensor, Tensor, Tensor, Mask, float], Attended]] = {
    "sdpa": _sdpa,
    "eager": _eager,
    "flex_attention": _flex,
}
