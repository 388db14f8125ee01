"""How large a model is: the numbers it trains, and the memory that a step takes."""

import torch
from transformers import PreTrainedModel

__all__ = ["count_parameters", "estimate_memory"]

_LIBRARIES = 0.6 * 2**30
"""Memory of Python, torch and transformers alone, in bytes (measured on Linux, CPU)."""


def count_parameters(model: torch.nn.Module) -> int:
    """Return the number of distinct trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def estimate_memory(
    model: PreTrainedModel,
    *,
    positions: int,
    bytes_per_activation: int,
    activation_checkpointing: bool,
    passes: float = 1.0,
) -> float:
    """Return a rough estimate of the peak memory of a training step, in bytes.

    Weights, gradients and two moments in float32; about 34 numbers of the layer's width kept per
    position and layer (inputs of each product, LayerNorm, GELU and dropout), or one with activation
    checkpointing.

    Args:
        model: the model.
        positions: positions of one micro-batch.
        bytes_per_activation: 2 in bf16, 4 in fp32.
        activation_checkpointing: whether layers keep their inputs only.
        passes: how often a position passes `num_hidden_layers` layers: once even in an
            encoder-decoder, where it is on one side only.
    """
    config = model.config
    kept = 1 if activation_checkpointing else 34
    layers = config.num_hidden_layers * passes
    activations: float = positions * layers * config.hidden_size * kept
    return _LIBRARIES + 16.0 * count_parameters(model) + activations * float(bytes_per_activation)
