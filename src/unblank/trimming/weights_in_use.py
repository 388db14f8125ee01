"""A model that has its weights only while it uses them, so that it need not fit into memory."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

__all__ = ["WeightsInUse"]


class WeightsInUse(TorchFunctionMode):
    """A block in which parameters on the meta device have values, on the CPU, when they are used.

    Args:
        makers: parameter -> what makes its values.
        most_kept: bytes of values that are kept for the next time; those used first.
    """

    def __init__(
        self, makers: Mapping[nn.Parameter, Callable[[], Tensor]], *, most_kept: int
    ) -> None:
        super().__init__()
        self._makers = makers
        self._kept: dict[nn.Parameter, Tensor] = {}
        self._room = most_kept

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__name__", "") == "__get__":  # of an attribute, such as the shape
            found = func(*args)
            if isinstance(found, torch.device):
                return torch.device("cpu") if args[0] in self._makers else found
            if not isinstance(found, Tensor):
                return found
        args, named = tree_map_only(nn.Parameter, self._values_of, (args, dict(kwargs or {})))
        return func(*args, **named)

    def _values_of(self, parameter: nn.Parameter) -> Tensor:
        if parameter in self._kept or parameter not in self._makers:
            return self._kept.get(parameter, parameter)
        values = self._makers[parameter]()
        if values.nbytes <= self._room:
            self._room -= values.nbytes
            self._kept[parameter] = values
        return values
