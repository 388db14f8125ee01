"""The optimisers of a run, and which weights each of them changes.

AdamW decays matrices, embeddings among them, and not biases and normalisation weights (GLM's
released training code does the same). Muon takes the matrices inside the layers, AdamW all else.
"""

from typing import cast

import torch
from torch import nn
from torch.optim import Optimizer

from unblank.engine.muon import Muon
from unblank.engine.settings import OptimSettings

__all__ = ["build_optimizers", "layer_matrices"]


def _parameter_groups(
    parameters: list[nn.Parameter], weight_decay: float
) -> list[dict[str, object]]:
    """Return parameters in two groups: decayed matrices, and the rest.

    The rule is the number of dimensions: biases and LayerNorm weights are vectors, everything
    that multiplies or embeds is a matrix.
    """
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def layer_matrices(model: nn.Module) -> dict[nn.Parameter, int]:
    """Return the trainable matrices of the linear maps inside layers -> parts of each.

    Embeddings, positions and the heads of models lie outside the lists of layers, so they are not
    among them. Queries, keys and values have a part for each attention head.
    """
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    maps = [
        module
        for layers in lists
        for module in layers.modules()
        if isinstance(module, nn.Linear) and module.weight.requires_grad
    ]
    # A `Projection` says how many; PEFT's layers and plain ones hold one matrix.
    return {cast("nn.Parameter", one.weight): getattr(one, "num_parts", 1) for one in maps}


def build_optimizers(
    model: nn.Module,
    settings: OptimSettings,
    learning_rate: float,
    dtype: torch.dtype = torch.float32,
) -> tuple[Optimizer, ...]:
    """Return the optimisers of the model's trainable parameters, at a learning rate.

    Args:
        model: as it trains, perhaps sharded.
        settings: which optimisers, and how they move.
        learning_rate: of all of them.
        dtype: arithmetic of the run's matrix products.

    Raises:
        ValueError: for Muon, if no layer has a trainable matrix.
    """
    # Tied parameters appear once.
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if settings.name == "adamw":
        return (_adamw(parameters, settings, learning_rate),)
    matrices = layer_matrices(model)
    if not matrices:
        raise ValueError(
            "optim.name is muon, but no layer of this model has a matrix that is trained: use adamw"
        )
    groups = [
        {"params": [one for one, parts in matrices.items() if parts == num], "num_parts": num}
        for num in sorted(set(matrices.values()))
    ]
    muon = Muon(
        groups,
        lr=learning_rate,
        factor=1.0 if settings.muon_factor is None else settings.muon_factor,
        weight_decay=settings.weight_decay,
        dtype=dtype,
    )
    others = [parameter for parameter in parameters if parameter not in matrices]
    return muon, _adamw(others, settings, learning_rate)


def _adamw(
    parameters: list[nn.Parameter], settings: OptimSettings, learning_rate: float
) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        _parameter_groups(parameters, settings.weight_decay),
        lr=learning_rate,
        betas=settings.betas,
        eps=settings.eps,
        # One pass over the memory of a parameter instead of one for each operation.
        fused=True,
    )
