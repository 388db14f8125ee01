"""How large a model is."""

import torch

__all__ = ["count_parameters"]


def count_parameters(model: torch.nn.Module) -> int:
    """Return the number of distinct trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
