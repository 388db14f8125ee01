"""How much arithmetic a GLM must do, from its shape alone: the floor under every measured time.

One multiplication with its addition is 2 FLOP. Only matrix products count: they are all but a few
percent of the work. A backward pass has two products for each one of the forward pass.

Shapes: `A` positions of Part A, `B` of Part B, in one row.
"""

from unblank.bench.settings import Size

__all__ = ["BYTES_PER_PARAMETER", "num_parameters", "scoring_flops", "training_step_flops"]

BYTES_PER_PARAMETER = 16
"""Training in fp32 masters: weight, gradient and both moments of Adam, 4 bytes each."""


def training_step_flops(size: Size) -> int:
    """Return FLOP of the forward and backward pass of one step.

    Part A sees itself, Part B sees everything (its causal half is counted in full, as it is
    multiplied in full); only Part B reaches the head.
    """
    visible_pairs = size.part_a**2 + size.part_b * size.row_length
    return 3 * size.batch * _forward_flops(size, size.row_length, visible_pairs, size.part_b)


def scoring_flops(size: Size, context: int, nodes: int) -> int:
    """Return FLOP of one forward pass over a context and `nodes` tokens that are predicted from."""
    return _forward_flops(size, context + nodes, context**2 + nodes * (context + nodes), nodes)


def num_parameters(size: Size, positions: int = 513) -> int:
    """Return the parameters of the GLM: table, both position tables, layers, last LayerNorm."""
    width = size.width
    per_layer = 12 * width**2 + 13 * width  # 9 D of linear biases, 4 D of two LayerNorms
    return width * (size.vocabulary + 2 * positions) + size.layers * per_layer + 2 * width


def _forward_flops(size: Size, positions: int, visible_pairs: int, scored: int) -> int:
    per_position = 2 * 12 * size.width**2 * size.layers  # Q K V, output, and feed-forward of 4 D
    per_pair = 2 * 2 * size.width * size.layers  # scores, and their product with the values
    per_scored = 2 * size.width * size.vocabulary
    return per_position * positions + per_pair * visible_pairs + per_scored * scored
