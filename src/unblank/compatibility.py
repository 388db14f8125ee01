"""The one place that knows what differs between supported versions of torch and transformers."""

from typing import Any

__all__ = ["enable_activation_checkpointing", "recomputes_activations"]


def enable_activation_checkpointing(model: Any) -> None:
    """Make `model` recompute each layer in the backward pass instead of keeping its activations.

    transformers renamed the method; the old name warns since 5.20.
    """
    enable = getattr(model, "activation_checkpointing_enable", None)
    (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})


def recomputes_activations(model: Any) -> bool:
    """Return whether `model` recomputes layers; the name was changed like that of the method."""
    found = getattr(model, "is_activation_checkpointing", None)
    return bool(model.is_gradient_checkpointing if found is None else found)
