"""The first weights of models: as BERT's and GLM's are drawn, or as fairseq draws decoders.

What is drawn for a `Projection` is scaled by its gain. Weights that are loaded are left alone.
"""

from torch import nn
from transformers import initialization as init

from unblank.models.layers import Projection

__all__ = ["draw_decoder_weights", "draw_weights"]


def draw_weights(module: nn.Module, std: float) -> None:
    """Draw weights from N(0, std^2), a projection's from N(0, (gain std)^2); biases are 0.

    Args:
        module: one that holds weights itself; others stay as they are.
        std: standard deviation.
    """
    if isinstance(module, nn.Linear | nn.Embedding):
        init.normal_(module.weight, mean=0.0, std=std * _gain(module))
    if isinstance(module, nn.Linear) and module.bias is not None:
        init.zeros_(module.bias)
    if isinstance(module, nn.LayerNorm):
        init.ones_(module.weight)
        init.zeros_(module.bias)


def draw_decoder_weights(module: nn.Module, width: int) -> None:
    """Draw weights as Xavier does, whatever the width, and positions from N(0, 1 / width).

    Args:
        module: as for `draw_weights`.
        width: of the residual stream.
    """
    draw_weights(module, std=width**-0.5)
    if isinstance(module, nn.Linear):
        init.xavier_uniform_(module.weight, gain=_gain(module))


def _gain(module: nn.Module) -> float:
    return module.gain if isinstance(module, Projection) else 1.0
