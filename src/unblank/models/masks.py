"""Who sees whom: the one mask rule of training, packing, infilling and candidate scoring.

A query sees a key if both are in the same packed segment and the key is prefix (Part A) or an
earlier token, itself included, of the query's own branch. Part B is one branch unless
`branch_ends` says that it holds a tree of candidates, laid out depth first: the branch of key `k`
then ends before column `branch_ends[k]`. Trained prompt keys come before all others and belong to
every Part A: every query sees them.

Shapes: `B` rows, `T` query columns, `S` key columns (cached ones first).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "KeyRange",
    "Mask",
    "key_ranges",
    "packed_visibility",
    "padding_visibility",
    "prefix_visibility",
    "queries_only",
    "with_prompt_keys",
]

_QUERY_BLOCK = 128
"""Queries handled together on CPU; smaller blocks skip more hidden keys but need more calls."""


_KEY_MULTIPLE = 64
"""Key ranges begin and end at multiples of it: oneDNN builds a kernel for every new shape."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """A block of queries with the only keys that any of them sees, in any row."""

    query_start: int
    query_stop: int
    key_start: int
    key_stop: int
    is_full: bool
    """Whether every query of the block sees every key of the range in every row, without a mask."""


@dataclass(slots=True)
class Mask:
    """The visibility of one forward pass, built once and used by every layer.

    Attributes:
        visible: bool[B, 1, T, S]; None when everything is visible.
        ranges: the non-empty blocks of `visible`, where attention goes block by block; else None.
        block_mask: the same visibility for flex attention; else None.
        bias: float, broadcasts to [B, H, T, S], added to the scores; -inf where nothing is visible,
            except beside `ranges`. None for no bias.
    """

    visible: Tensor | None
    ranges: list[KeyRange] | None = None
    block_mask: object | None = None
    bias: Tensor | None = None


def packed_visibility(
    segment_ids: Tensor, is_prefix: Tensor, branch_ends: Tensor | None = None
) -> Tensor:
    """Return the rule for rows of packed segments.

    Args:
        segment_ids: int64[B, T], equal for the tokens of one example; 0 is padding.
        is_prefix: bool[B, T], True on Part A.
        branch_ends: int64[B, T], exclusive end column of each token's branch; None for one branch.

    Returns:
        bool[B, 1, T, T]. Every query sees at least itself, padding too, so no softmax is empty.
    """
    column = torch.arange(segment_ids.shape[1], device=segment_ids.device)
    is_earlier = column[None, :] <= column[:, None]
    if branch_ends is None:
        in_branch = is_earlier[None]
    else:
        in_branch = is_earlier & (column[None, :, None] < branch_ends[:, None, :])
    is_same_segment = segment_ids[:, :, None] == segment_ids[:, None, :]
    return (is_same_segment & (is_prefix[:, None, :] | in_branch))[:, None]


def prefix_visibility(
    prefix_lengths: Tensor,
    num_queries: int,
    num_cached: int = 0,
    key_mask: Tensor | None = None,
) -> Tensor:
    """Return the rule for rows that hold one example each, padded on either side.

    Args:
        prefix_lengths: int64[B], columns before this one are Part A (left padding included);
            0 is a causal model, T a bidirectional encoder.
        num_queries: T, the new columns.
        num_cached: columns already in the cache, before the new ones; all are visible.
        key_mask: [B, num_cached + T], non-zero on real tokens; None if all are real.

    Returns:
        bool[B, 1, T, num_cached + T]. Every query sees at least itself.
    """
    key = torch.arange(num_cached + num_queries, device=prefix_lengths.device)
    query = key[num_cached:, None]
    visible = (key < prefix_lengths[:, None, None]) | (key <= query)
    if key_mask is not None:
        # A padding query sees itself: a softmax over nothing is NaN, also in its gradients.
        visible = (visible & key_mask[:, None, :].bool()) | (key == query)
    return visible[:, None]


def padding_visibility(key_mask: Tensor, num_queries: int) -> Tensor:
    """Return the rule of encoders and of cross-attention: everyone sees every real key.

    Args:
        key_mask: [B, S], non-zero on real tokens.
        num_queries: T.

    Returns:
        bool[B, 1, T, S]. A row without real keys sees all, so no softmax is empty.
    """
    is_real = key_mask.bool()
    visible = is_real | ~is_real.any(dim=1, keepdim=True)
    return visible[:, None, None, :].expand(-1, -1, num_queries, -1)


def queries_only(visible: Tensor | None, columns_BQ: Tensor) -> Tensor | None:
    """Return the rows of `visible` that belong to some of the new tokens, bool[B, 1, Q, S].

    Args:
        visible: bool[B or 1, 1, T, S], or None.
        columns_BQ: int64, columns among the T new ones.
    """
    if visible is None:
        return None
    rows = visible.expand(columns_BQ.shape[0], -1, -1, -1)
    return rows.gather(2, columns_BQ[:, None, :, None].expand(-1, -1, -1, visible.shape[3]))


def with_prompt_keys(visible: Tensor | None, num_prompt_keys: int) -> Tensor | None:
    """Return the rule with that many more keys in front, seen by every query, padding too.

    Args:
        visible: bool[B, 1, T, S], or None.
        num_prompt_keys: keys of a deep prompt; they take no positions and are not cached.
    """
    if visible is None or num_prompt_keys == 0:
        return visible
    return functional.pad(visible, (num_prompt_keys, 0), value=True)


def key_ranges(visible: Tensor, query_block: int = _QUERY_BLOCK) -> list[KeyRange]:
    """Return, for every block of queries, the span of keys that some query of it sees.

    Args:
        visible: bool[B, 1, T, S]; at least one key is visible to every query.
        query_block: queries in a block.
    """
    ranges = []
    for start in range(0, visible.shape[2], query_block):
        block = visible[:, 0, start : start + query_block]
        seen = block.any(dim=1).any(dim=0).nonzero()
        first = int(seen[0]) // _KEY_MULTIPLE * _KEY_MULTIPLE
        last = min(-(-(int(seen[-1]) + 1) // _KEY_MULTIPLE) * _KEY_MULTIPLE, visible.shape[3])
        is_full = bool(block[:, :, first:last].all())
        ranges.append(KeyRange(start, start + block.shape[1], first, last, is_full))
    return ranges
