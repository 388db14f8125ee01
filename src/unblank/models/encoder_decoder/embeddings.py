"""Where a token is: learned positions counted in real tokens, and the relative bias.

Counting real tokens makes left and right padding agree. Both tables of the published models keep
two rows that no token uses: 0, and 1 for padding.

Shapes: `B` rows, `T` tokens, `D` width, `H` heads.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from unblank.models.positions import check_positions

__all__ = [
    "UNUSED_POSITIONS",
    "PositionEmbedding",
    "RelativeBias",
    "count_positions",
    "last_positions",
]

UNUSED_POSITIONS = 2
"""Number of rows of a position table before that of the first token."""


def count_positions(is_real_BT: Tensor) -> Tensor:
    """Return the row of the position table for each token: 2, 3, ... for real tokens, else 1.

    Args:
        is_real_BT: bool or 0/1 [B, T], non-zero on tokens that are not padding.

    Returns:
        int64[B, T].

    Example:
        >>> count_positions(torch.tensor([[0, 1, 1]]))
        tensor([[1, 2, 3]])
    """
    is_real_BT = is_real_BT.long()
    return is_real_BT.cumsum(dim=1) * is_real_BT + UNUSED_POSITIONS - 1


def last_positions(visible_BTS: Tensor) -> Tensor:
    """Return the row of the table for tokens of which each comes last of those that it sees.

    Args:
        visible_BTS: bool[B, T, S], the columns that each token sees, itself included.

    Returns:
        int64[B, T].
    """
    return visible_BTS.sum(dim=-1) + UNUSED_POSITIONS - 1


class PositionEmbedding(nn.Module):
    """Adds learned positions to token embeddings, then LayerNorm if wanted, then dropout."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.max_tokens = config.max_position_embeddings
        self.scale = math.sqrt(config.hidden_size) if config.scale_embedding else 1.0
        self.embed_positions = nn.Embedding(self.max_tokens + UNUSED_POSITIONS, config.hidden_size)
        self.norm: nn.Module = nn.Identity()
        if config.layernorm_embedding:
            self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, tokens_BTD: Tensor, positions_BT: Tensor) -> Tensor:
        """Return what enters the first layer, before dropout.

        Args:
            tokens_BTD: token embeddings.
            positions_BT: int64[B, T] or [1, T], rows of the table.

        Raises:
            ValueError: more tokens than the table has positions.
        """
        check_positions(positions_BT, self.embed_positions, self.max_tokens, UNUSED_POSITIONS)
        hidden_BTD: Tensor = self.norm(tokens_BTD * self.scale + self.embed_positions(positions_BT))
        return hidden_BTD


def relative_buckets(distance: Tensor, num_buckets: int, max_distance: int) -> Tensor:
    """Return the bucket of each signed distance (T5 paper, section 2.1, bidirectional).

    The upper half of the buckets is for keys after the query. In each half, the first half is for
    single distances and the rest grows logarithmically up to `max_distance`.

    Args:
        distance: int64, key position minus query position.
        num_buckets: even, at least 4.
        max_distance: distance from which all share the last bucket.
    """
    num_sided = num_buckets // 2
    num_exact = num_sided // 2
    steps = distance.abs()
    growth = (num_sided - num_exact) / math.log(max_distance / num_exact)
    logarithmic = (torch.log(steps.clamp(min=1).float() / num_exact) * growth).long() + num_exact
    bucket = torch.where(steps < num_exact, steps, logarithmic.clamp(max=num_sided - 1))
    return bucket + (distance > 0) * num_sided


class RelativeBias(nn.Module):
    """One number for each head and bucket of distance, added to the scores of every layer."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.num_buckets = config.relative_bias_buckets
        self.max_distance = config.relative_bias_max_distance
        self.bias = nn.Embedding(self.num_buckets, config.num_attention_heads)

    def forward(self, num_tokens: int) -> Tensor:
        """Return float[1, H, T, T] for a self-attention over `num_tokens` columns."""
        column = torch.arange(num_tokens, device=self.bias.weight.device)
        distance_TT = column[None, :] - column[:, None]
        buckets_TT = relative_buckets(distance_TT, self.num_buckets, self.max_distance)
        bias_1HTT: Tensor = self.bias(buckets_TT).permute(2, 0, 1)[None]
        return bias_1HTT
