"""Linear layers whose weights stand in float16 and whose sums run in float32: answers on a CPU.

Writing a token reads every weight once and computes little with it, so half the bytes is up to
four times the speed of float32 (a packed layout brings the rest). Only weights are rounded, never
what flows through the model, and a row's numbers do not depend on the rows beside it. torch's own
float16 products are slow on processors without instructions for them; FBGEMM's need AVX2 only.
"""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["answering_model", "weights_dtype"]

AnyModule = TypeVar("AnyModule", bound=nn.Module)

_ADAPTER_PARTS = "lora_"
"""How PEFT's names of the factors begin, whose dtype it reads from their weights."""

_HEAD = "lm_head"
"""The output layer, whose weights losses also read as a table."""


class HalfLinear(nn.Linear):
    """A linear layer from float32 to float32 with weights in float16; without gradients.

    Args:
        given: the layer whose weights are packed; later changes of them have no effect.
    """

    def __init__(self, given: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = given.in_features, given.out_features
        self.weight, self.bias = given.weight, given.bias
        bias = None if given.bias is None else given.bias.detach().float()
        self._packed = torch.ops.quantized.linear_prepack_fp16(given.weight.detach().float(), bias)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Hand out the weight as the layer uses it, so that a saved model has one data type."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight"] = destination[f"{prefix}weight"].float()

    def forward(self, input: Tensor) -> Tensor:
        """Return [..., out] of [..., in] in the same data type, computed in float32."""
        if input.numel() == 0:
            return input.new_empty(*input.shape[:-1], self.out_features)
        product: Tensor = torch.ops.quantized.linear_dynamic_fp16(input.float(), self._packed)
        return product.to(input.dtype)


def answering_model(model: AnyModule) -> AnyModule:
    """Return a model ready to answer: in place, float16 on a CPU computes in float32.

    Its linear layers become `HalfLinear`, and everything else float32; saved, all of it is float32.
    Other data types, other devices and processors without FBGEMM change nothing.
    """
    first = next(model.parameters())
    is_half = any(weight.dtype == torch.float16 for weight in model.parameters())
    if not is_half or first.device.type != "cpu" or not _can_multiply():
        return model
    model.requires_grad_(False)
    tables = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    tables |= {id(head.weight) for name, head in model.named_modules() if name.endswith(_HEAD)}
    packed: set[int] = set()
    for path, parent in list(model.named_modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Linear) and _ADAPTER_PARTS not in f"{path}.{name}":
                setattr(parent, name, HalfLinear(layer))
                packed |= {id(layer.weight)} - tables
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point() and id(tensor) not in packed:
            tensor.data = tensor.data.float()
    return model


def weights_dtype(model: nn.Module) -> torch.dtype:
    """Return in which data type the weights of a model's products are held."""
    if any(isinstance(part, HalfLinear) for part in model.modules()):
        return torch.float16
    return next(weight.dtype for weight in model.parameters() if weight.is_floating_point())


def _can_multiply() -> bool:
    return torch.backends.quantized.engine in ("fbgemm", "x86")
