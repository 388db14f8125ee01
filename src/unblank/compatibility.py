"""The one place that knows what differs between supported versions of torch and transformers."""

from typing import Any

__all__ = ["enable_activation_checkpointing"]


def enable_activation_checkpointing(model: Any) -> None:
    """Make `model` recompute each layer in the backward pass instead of keeping its activations.

    transformers renamed the method; the old name warns since 5.20.
    """
    enable = getattr(model, "activation_checkpointing_enable", None)
    (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})
