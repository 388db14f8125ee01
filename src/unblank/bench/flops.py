"""How much arithmetic a model must do, from its shape alone: the floor under every measured time.

One multiplication with its addition is 2 FLOP. Only matrix products count: they are all but a few
percent of the work. A backward pass has two products for each one of the forward pass.

Shapes: `A` positions of Part A, `B` of Part B, in one row; `S` source, `T` target tokens.
"""

from unblank.bench.sizes import Size
from unblank.objectives.span_corruption import span_counts

__all__ = [
    "BYTES_PER_PARAMETER",
    "ganlm_step_flops",
    "num_parameters",
    "scoring_flops",
    "t5_objective_flops",
    "training_step_flops",
]

BYTES_PER_PARAMETER = 16
"""Training with fp32 master weights: weight, gradient and Adam's two moments, 4 bytes each."""

_MASK_RATIO = 0.15
_MEAN_SPAN = 3.0


def training_step_flops(size: Size) -> int:
    """Return FLOP of the forward and backward pass of one step; only Part B is predicted."""
    return 3 * size.batch * _forward_flops(size, size.part_a, size.part_b)


def scoring_flops(size: Size, context: int, nodes: int) -> int:
    """Return FLOP of one forward pass over a context and `nodes` tokens that are predicted from."""
    return _forward_flops(size, context, nodes)


def t5_objective_flops(size: Size) -> int:
    """Return FLOP of one step of span corruption by an encoder-decoder, `layers` on each side."""
    source, target, _ = corrupted_lengths(size)
    table = 2 * size.width * size.vocabulary * target
    forward = _encoder_flops(size, source) + _decoder_flops(size, size.layers, source, target)
    return 3 * size.batch * (forward + table)


def ganlm_step_flops(size: Size) -> int:
    """Return FLOP of one step of GanLM's three losses on the same batch.

    To the T5 objective come a second pass of the generator, for which the source's keys and values
    need not be computed again, the discriminator, and one product with the table to sample from.
    """
    source, target, content = corrupted_lengths(size)
    width, table = size.width, 2 * size.width * size.vocabulary
    again = _decoder_flops(size, size.layers, source, target, is_source_known=True)
    judge = _decoder_flops(size, size.discriminator_layers, source, target)
    head = content * 2 * (width**2 + 2 * width)
    trained = again + table * target + judge + head
    return t5_objective_flops(size) + size.batch * (3 * trained + content * table)


def corrupted_lengths(size: Size) -> tuple[int, int, int]:
    """Return source length, target length, and hidden tokens of a text under span corruption.

    The first of the sentinels in the target is not predicted.

    Example:
        >>> from unblank.bench.sizes import SIZES
        >>> corrupted_lengths(SIZES["small"])
        (230, 49, 38)
    """
    num_noise, num_spans = span_counts(size.text, _MASK_RATIO, _MEAN_SPAN, "unilm")
    return size.text - num_noise + num_spans, num_noise + num_spans - 1, num_noise


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


def _encoder_flops(size: Size, source: int) -> int:
    per_token = 2 * 12 * size.width**2 + 2 * 2 * size.width * source
    return size.layers * source * per_token


def _decoder_flops(
    size: Size, layers: int, source: int, target: int, *, is_source_known: bool = False
) -> int:
    """Return FLOP of a row; self-attention, O and Q of cross-attention, feed-forward; then K, V."""
    per_target = 2 * (4 + 2 + 8) * size.width**2 + 2 * 2 * size.width * (target + source)
    per_source = 0 if is_source_known else 2 * 2 * size.width**2
    return layers * (target * per_target + source * per_source)
