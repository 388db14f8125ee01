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
    """Return FLOP of the forward and backward pass of one step; only Part B is predicted."""
    return 3 * size.batch * _forward_flops(size, size.part_a, size.part_b)


def scoring_flops(size: Size, context: int, nodes: int) -> int:
    """Return FLOP of one forward pass over a context and `nodes` tokens that are predicted from."""
    return _forward_flops(size, context, nodes)


def num_parameters(size: Size, positions: int = 513) -> int:
    """Return the parameters of the GLM: table, both position tables, layers, last LayerNorm."""
    width = size.width
    per_layer = 12 * width**2 + 13 * width  # 9 D of linear biases, 4 D of two LayerNorms
    return width * (size.vocabulary + 2 * positions) + size.layers * per_layer + 2 * width


def _forward_flops(size: Size, context: int, scored: int) -> int:
    """Return FLOP of a row whose context sees itself and whose scored tokens see everything.

    The causal half among the scored tokens is counted in full, as it is multiplied in full. Past
    its keys and values the last layer serves the scored tokens alone, and so does the head.
    """
    positions = context + scored
    projections, the_rest = 2 * 3 * size.width**2, 2 * 9 * size.width**2  # Q K V; O and 4 D
    per_pair = 2 * 2 * size.width  # scores, and their product with the values
    layer = positions * (projections + the_rest) + per_pair * (context**2 + scored * positions)
    last_layer = positions * projections + scored * (the_rest + per_pair * positions)
    head = 2 * size.width * size.vocabulary * scored
    return (size.layers - 1) * layer + last_layer + head
