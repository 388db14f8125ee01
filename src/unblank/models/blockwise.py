"""Attention by plain matrix products over the visible blocks of a mask, with its own backward.

For CPUs: in bf16 and below about a thousand keys this beats the fused kernel. One autograd node
holds all blocks, so that the gradients of queries, keys and values are written in place, and only
the rounded weights are kept between forward and backward.

Shapes: `B` rows, `H` heads, `T` queries, `S` keys, `K` head width; lower-case `t`, `s` in a block.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unblank.models.masks import KeyRange, Mask

__all__ = ["blockwise_attention"]


def blockwise_attention(
    query_BHTK: Tensor, key_BHSK: Tensor, value_BHSK: Tensor, mask: Mask, dropout: float
) -> Tensor:
    """Return softmax(Q K^T / sqrt(K)) V, [B, H, T, K], skipping keys outside `mask.ranges`.

    Args:
        query_BHTK: queries.
        key_BHSK: keys.
        value_BHSK: values.
        mask: a mask with ranges; gradients reach its bias.
        dropout: probability of dropping an attention weight.
    """
    apply: Callable[..., Tensor] = _BlockwiseAttention.apply
    return apply(query_BHTK, key_BHSK, value_BHSK, mask.bias, mask, dropout)


class _BlockwiseAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        mask: Mask,
        dropout: float,
    ) -> Tensor:
        query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
        output = torch.empty_like(query)
        kept: list[Tensor] = []
        for block in mask.ranges or ():
            queries, keys = _slices(block)
            scores = (query[:, :, queries] * query.shape[-1] ** -0.5) @ key[:, :, keys].transpose(
                -1, -2
            )
            if bias is not None:
                scores += bias[:, :, queries, keys]
            weights = _softmax(scores, _visible(mask, block))
            dropped, scale = _drop(weights, dropout)
            output[:, :, queries] = dropped @ value[:, :, keys]
            kept += [weights, scale]
        ctx.save_for_backward(query, key, value, *kept)
        ctx.ranges = mask.ranges
        ctx.bias_facts = None if bias is None else (bias.shape, bias.dtype)
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *kept = ctx.saved_tensors
        grad_output = grad_outputs[0].contiguous()
        # A query is in one block only, but several blocks add to the same keys.
        grad_query = torch.empty_like(query)
        grad_key, grad_value = torch.zeros_like(key), torch.zeros_like(value)
        grad_bias = None
        if ctx.needs_input_grad[3]:
            shape, dtype = ctx.bias_facts
            grad_bias = torch.zeros(shape, dtype=dtype, device=query.device)
        for block, weights, scale in zip(ctx.ranges, kept[::2], kept[1::2], strict=True):
            queries, keys = _slices(block)
            grad_block = grad_output[:, :, queries]
            grad_weights = grad_block @ value[:, :, keys].transpose(-1, -2)
            grad_value[:, :, keys] += (weights * scale).transpose(-1, -2) @ grad_block
            # The derivative of softmax needs its output only, so scores are not kept.
            grad_scores = torch.ops.aten._softmax_backward_data(
                grad_weights * scale, weights, -1, weights.dtype
            )
            if grad_bias is not None:
                grad_bias[:, :, queries, keys] += grad_scores.sum(0, dtype=grad_bias.dtype)
            grad_scores *= query.shape[-1] ** -0.5
            grad_query[:, :, queries] = grad_scores @ key[:, :, keys]
            grad_key[:, :, keys] += grad_scores.transpose(-1, -2) @ query[:, :, queries]
        return grad_query, grad_key, grad_value, grad_bias, None, None


def _softmax(scores: Tensor, visible: Tensor | None) -> Tensor:
    if visible is not None:
        scores.masked_fill_(~visible, float("-inf"))
    return torch.softmax(scores, dim=-1, dtype=torch.float32).to(scores.dtype)


def _drop(weights: Tensor, dropout: float) -> tuple[Tensor, Tensor]:
    """Return the weights after dropout, and what they were multiplied by."""
    if dropout == 0:
        return weights, torch.ones((), dtype=weights.dtype)
    # Not empty_like: compiled, what the fresh memory holds gets into the draws, NaN included.
    scale = torch.ones_like(weights).bernoulli_(1 - dropout).div_(1 - dropout)
    return weights * scale, scale


def _slices(block: KeyRange) -> tuple[slice, slice]:
    return slice(block.query_start, block.query_stop), slice(block.key_start, block.key_stop)


def _visible(mask: Mask, block: KeyRange) -> Tensor | None:
    if block.is_full:
        return None
    assert mask.visible is not None
    queries, keys = _slices(block)
    return mask.visible[:, :, queries, keys]
