"""AdamW with the papers' exclusions from weight decay.

Biases and normalisation weights are not decayed; matrices are, embeddings among them (GLM's
released training code does the same).
"""

import torch
from torch import nn

from unblank.engine.settings import OptimSettings

__all__ = ["build_optimizer"]


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Return the trainable parameters in two groups: decayed matrices, and the rest.

    The rule is the number of dimensions: biases and LayerNorm weights are vectors, everything
    that multiplies or embeds is a matrix. Tied parameters appear once.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def build_optimizer(
    model: nn.Module, settings: OptimSettings, learning_rate: float
) -> torch.optim.AdamW:
    """Return fused AdamW over the model's trainable parameters, at a learning rate."""
    return torch.optim.AdamW(
        parameter_groups(model, settings.weight_decay),
        lr=learning_rate,
        betas=settings.betas,
        eps=settings.eps,
        # One pass over the memory of a parameter instead of one for each operation.
        fused=True,
    )
