"""The number of attention heads, which no tensor shows: whether a number can be it."""

from pathlib import Path

__all__ = ["checked_heads"]


def checked_heads(heads: object, width: int, where: str | Path) -> int:
    """Return a number of heads that a layer can have.

    Args:
        heads: as found or given.
        width: of the model.
        where: who says so, for the message.

    Raises:
        ValueError: no whole number, or one that does not divide the width.
    """
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise ValueError(
            f"{where} gives {heads!r} attention heads, but the width {width} is not a multiple of "
            "that: give the right number with --num-attention-heads"
        )
    return heads
