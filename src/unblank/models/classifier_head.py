"""The layers of a classifier's head, by their names: new ones, which no pretraining has trained."""

from torch import nn

__all__ = ["HEAD_LAYERS", "head_layers"]

HEAD_LAYERS = ("dense", "out_proj")
"""Names of them in every classifier of this library."""


def head_layers(model: nn.Module) -> list[str]:
    """Return the names of the layers of a model's head; none if it is no classifier of ours."""
    return [name for name, _ in model.named_children() if name in HEAD_LAYERS]
