"""The check that a model has a vector for every position."""

import torch
from torch import Tensor, nn

__all__ = ["check_positions"]


def check_positions(
    positions: Tensor, table: nn.Embedding, max_tokens: int, first_row: int = 0
) -> None:
    """Check that a table has a row for every position.

    On a GPU the check is part of the stream of kernels, so that nothing waits for it.

    Args:
        positions: int64, rows of the table.
        table: one vector a position.
        max_tokens: positions that a text can have.
        first_row: the row of a text's first token.

    Raises:
        ValueError: a position beyond the table (RuntimeError on a GPU).
    """
    if torch.compiler.is_compiling() or positions.is_meta or positions.numel() == 0:
        return
    advice = "shorten it, or train with a larger max_position_embeddings"
    if not positions.is_cpu:
        is_inside = (positions < table.num_embeddings).all()
        torch._assert_async(is_inside, f"a text has over {max_tokens} tokens: {advice}")
        return
    last = int(positions.max())
    if last >= table.num_embeddings:
        raise ValueError(
            f"the text has {last + 1 - first_row} tokens, but the model has {max_tokens} "
            f"positions: {advice}"
        )
