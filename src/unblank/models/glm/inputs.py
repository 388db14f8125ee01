"""Positions and visibility of a GLM: the ways to give them, each brought into one form.

Shapes: `B` rows, `T` tokens, `S` cached plus new tokens.
"""

import torch
from torch import Tensor

from unblank.models.masks import packed_visibility, prefix_visibility

__all__ = ["both_positions", "visibility"]


def both_positions(
    inputs_embeds: Tensor,
    attention_mask: Tensor | None,
    position_ids: Tensor | None,
    block_position_ids: Tensor | None,
) -> Tensor:
    """Return int64[2, B, T] however the positions were given.

    Args:
        inputs_embeds: float[B, T, D], the tokens.
        attention_mask: as for `visibility`.
        position_ids: int64[2, B, T], or int64[B, T] of Part A; None counts the real tokens.
        block_position_ids: int64[B, T], in the span, beside a two-dimensional `position_ids`.

    Raises:
        ValueError: other shapes.
    """
    rows, tokens = inputs_embeds.shape[:2]
    if position_ids is None:
        position_ids = torch.arange(tokens, device=inputs_embeds.device).expand(rows, tokens)
        if attention_mask is not None and attention_mask.dim() == 2:
            position_ids = (attention_mask.bool().long().cumsum(dim=1) - 1).clamp(min=0)
    if position_ids.dim() == 2 and position_ids.shape[0] in (1, rows):
        position_ids = position_ids.expand(rows, -1)
        inside = block_position_ids
        if inside is None:
            inside = torch.zeros_like(position_ids)
        if inside.shape == position_ids.shape == (rows, tokens):
            return torch.stack([position_ids, inside])
    elif block_position_ids is None and position_ids.shape == (2, rows, tokens):
        return position_ids
    given = f"position_ids has shape {tuple(position_ids.shape)}"
    if block_position_ids is not None:
        given += f" and block_position_ids {tuple(block_position_ids.shape)}"
    raise ValueError(
        f"{given}: a GLM needs position_ids of shape (2, {rows}, {tokens}), positions in Part A, "
        f"then positions inside the span; or both apart, each of shape ({rows}, {tokens})"
    )


def visibility(
    inputs_embeds: Tensor,
    num_cached: int,
    attention_mask: Tensor | None,
    prefix_lengths: Tensor | None,
    segment_ids: Tensor | None,
    is_prefix: Tensor | None,
    branch_ends: Tensor | None,
) -> Tensor | None:
    """Return what each token sees, bool[B, 1, T, S]; None if it is everything.

    Args:
        inputs_embeds: float[B, T, D], the new tokens.
        num_cached: tokens before them.
        attention_mask: [B, S], or [B, 1, T, S].
        prefix_lengths: int64[B].
        segment_ids: int64[B, T].
        is_prefix: bool[B, T].
        branch_ends: int64[B, T].

    Raises:
        ValueError: visibility given twice, or incompletely.
    """
    rows, tokens = inputs_embeds.shape[:2]
    if segment_ids is None and (is_prefix is not None or branch_ends is not None):
        given = "is_prefix" if is_prefix is not None else "branch_ends"
        raise ValueError(f"{given} applies to packed rows only: give segment_ids with it")
    if attention_mask is not None and attention_mask.dim() == 4:
        if prefix_lengths is not None or segment_ids is not None:
            raise ValueError(
                "a 4-D attention_mask is complete: leave prefix_lengths and segment_ids out"
            )
        return attention_mask.bool()
    if segment_ids is not None:
        if is_prefix is None or prefix_lengths is not None or attention_mask is not None:
            raise ValueError("segment_ids need is_prefix, and exclude every other mask")
        if num_cached:
            raise ValueError("packed rows with a cache need a 4-D attention_mask")
        return packed_visibility(segment_ids, is_prefix, branch_ends)
    if prefix_lengths is None and num_cached == 0 and attention_mask is None:
        return None
    if prefix_lengths is None or num_cached:
        # New tokens after a cache are Part B; without a cache and a prefix, all is Part A.
        length = 0 if num_cached else tokens
        prefix_lengths = torch.full((rows,), length, device=inputs_embeds.device)
        if num_cached and tokens == 1 and attention_mask is None:
            return None
    if num_cached:
        prefix_lengths = torch.full_like(prefix_lengths, num_cached)
    return prefix_visibility(prefix_lengths, tokens, num_cached, attention_mask)
