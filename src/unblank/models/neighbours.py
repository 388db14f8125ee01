"""First weights by which the heads of the first layer look at a token's neighbours.

What stands in a blank is told by the words beside it, but a Transformer with drawn weights looks
everywhere alike, and has to find out for every position apart where its neighbours are. Here
positions start as waves, by which a distance is a rotation (Vaswani et al., 2017, section 3.5), and
queries and keys as the maps that read them (as "Mimetic initialization of self-attention layers",
Trockman and Kolter, 2023, starts both alike). All of it is trained further.

Shapes: `P` rows of positions, `D` width, `H` heads, `K` head width, `W` waves.
"""

import math

import torch
from torch import Tensor
from transformers import PreTrainedModel

from unblank.deferred_values import has_no_values
from unblank.models.glm.modeling import GlmInfillModel

__all__ = ["look_at_neighbours"]

_DISTANCES = (-1, 1, -2, 2)
"""Of the first heads; further ones stay as they were drawn."""
_SHORTEST_WAVE, _LONGEST_WAVE = 2.0, 128.0
"""In tokens."""
_SCORE = 7.5
"""By how much the score of the place that a head looks for exceeds those of far ones."""
_FEWEST_WAVES = 4
"""With fewer, places that lie far apart look alike."""
_PARTS = 3
"""Embeddings that a token is the sum of, about equally large: its own and both positions."""


def _wave_positions(num_rows: int, num_waves: int) -> Tensor:
    """Return float32[P, 2 W]: the cosines, then the sines, of waves; each row has length 1.

    Example:
        >>> rows_PK = _wave_positions(8, 4)
        >>> torch.allclose(rows_PK[:-2] @ _wave_shift(2, 4), rows_PK[2:], atol=1e-6)
        True
    """
    angles_PW = torch.arange(num_rows)[:, None] * _frequencies(num_waves)
    return torch.cat([angles_PW.cos(), angles_PW.sin()], dim=1) / math.sqrt(num_waves)


def _wave_shift(distance: int, num_waves: int) -> Tensor:
    """Return float32[2 W, 2 W] that takes the row of a place to that of one so much further."""
    angles_W = distance * _frequencies(num_waves)
    cosines_WW, sines_WW = angles_W.cos().diag(), angles_W.sin().diag()
    upper, lower = torch.cat([cosines_WW, sines_WW], 1), torch.cat([-sines_WW, cosines_WW], 1)
    return torch.cat([upper, lower])


def _frequencies(num_waves: int) -> Tensor:
    first, last = math.log(2 * math.pi / _SHORTEST_WAVE), math.log(2 * math.pi / _LONGEST_WAVE)
    return torch.linspace(first, last, num_waves).exp()


@torch.no_grad()
def look_at_neighbours(model: PreTrainedModel, seed: int) -> None:
    """Let the first heads of a new model's first layer look one and two tokens back and ahead.

    Its first positions become waves of the size that they had; all other weights stay.

    Args:
        model: GLM or ELECTRA, with new weights.
        seed: of the axes that the waves lie in.

    Raises:
        ValueError: the heads are too narrow to tell neighbours apart.
    """
    for stack in model.modules():
        if isinstance(stack, GlmInfillModel):
            _start_stack(stack, torch.Generator().manual_seed(seed))


def _start_stack(stack: GlmInfillModel, generator: torch.Generator) -> None:
    positions_PD = stack.embed_positions.weight
    num_rows, width = positions_PD.shape
    num_heads = stack.config.num_attention_heads
    num_waves = width // num_heads // 2
    if num_waves < _FEWEST_WAVES:
        raise ValueError(
            f"first_attention is neighbours, but heads are {width // num_heads} wide and need "
            f"{2 * _FEWEST_WAVES} to tell neighbours apart: take fewer heads or a larger width, or "
            "first_attention drawn"
        )
    if has_no_values(positions_PD):
        return
    axes_DK, _ = torch.linalg.qr(torch.randn(width, 2 * num_waves, generator=generator))
    waves_PK = _wave_positions(num_rows, num_waves)
    size = float(positions_PD.std()) * math.sqrt(width)
    positions_PD.copy_(size * waves_PK @ axes_DK.mT)

    # Of a normalised sum of `_PARTS` embeddings, the square of each has a length of width / parts.
    gain = math.sqrt(_SCORE * _PARTS * math.sqrt(width / num_heads) / width)
    weight = stack.get_parameter("layers.0.self_attn.qkv_proj.weight")
    maps_3HKD = weight.view(3, num_heads, -1, width)
    for head, distance in zip(range(num_heads), _DISTANCES, strict=False):
        queries_KD, keys_KD = maps_3HKD[0, head], maps_3HKD[1, head]
        queries_KD[: 2 * num_waves] = gain * _wave_shift(distance, num_waves).mT @ axes_DK.mT
        keys_KD[: 2 * num_waves] = gain * axes_DK.mT
