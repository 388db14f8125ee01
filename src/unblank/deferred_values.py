"""Deferred initialization: a model's values are computed later, tensor by tensor, to the same bits.

A model of which each process keeps a shard is never whole in any of them. It is built on the meta
device, where a tensor takes no memory; what would have been done to its tensors is noted, whether
they are drawn, read from files or computed, the state of the generators included. Afterwards the
values of each are made from these notes. Code that asks for a value, such as a mean, gets it: what
it depends on is made at once, and forgotten again.

What looks at the device of a tensor cannot know that it has values: `trunc_normal_` and
`orthogonal_` of `torch.nn.init` do nothing there, and a tensor that is asked for on the device of
a weight gets none. What builds a model here uses neither.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes, _get_current_dispatch_mode_stack

from unblank.noted_operations import NotedStep, NotingMode, WholeAttention

__all__ = ["DeferredValues", "UnreadTensor", "has_no_values", "is_deferring", "without_notes"]


class DeferredValues:
    """A block in which tensors are on the meta device, and it is noted how their values are made.

    It leaves torch's generator as it would be if all had been made.
    """

    def __init__(self) -> None:
        self._noting = NotingMode()
        self._block = ExitStack()

    def __enter__(self) -> "DeferredValues":
        """Begin to put new tensors on the meta device."""
        self._block.enter_context(warnings.catch_warnings())
        # It is noted, and done later.
        warnings.filterwarnings("ignore", ".*to a meta parameter in the current model")
        self._block.enter_context(self._noting)
        self._block.enter_context(WholeAttention(self._noting))
        return self

    def __exit__(self, *error: Any) -> None:
        """Make tensors as ever again."""
        self._block.close()

    def values_of(self, model: nn.Module) -> Iterator[tuple[str, Tensor]]:
        """Put all parameters of a model on the meta device, and return how to make their values.

        Args:
            model: made in the block; its buffers get their values at once.

        Returns:
            An iterator over name and values of each parameter, on the CPU.
        """
        makers = self.makers_of(model)
        named = [(name, makers[parameter]) for name, parameter in model.named_parameters()]
        return ((name, make()) for name, make in named)

    def makers_of(self, model: nn.Module) -> dict[nn.Parameter, Callable[[], Tensor]]:
        """Return, for each parameter, what makes its values, anew each time; the rest as above."""
        _defer_rest(model, self._noting)
        return {one: partial(self._noting.made, one.detach()) for one in model.parameters()}


def is_deferring() -> bool:
    """Return whether such a block is open."""
    return _current() is not None


def has_no_values(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is a size alone: on the meta device, and nothing notes its values."""
    return tensor.is_meta and not is_deferring()


def without_notes() -> AbstractContextManager[Any]:
    """Return a block in which nothing is noted, inside one in which it is."""
    block: AbstractContextManager[Any] = _disable_current_modes()
    return block


def _current() -> "NotingMode | None":
    modes = _get_current_dispatch_mode_stack()
    return next((mode for mode in reversed(modes) if isinstance(mode, NotingMode)), None)


class UnreadTensor:
    """A tensor in a file, which transformers takes as one that it has not read yet."""

    def __init__(self, shape: Sequence[int], read: Callable[[], Tensor]) -> None:
        noting = _current()
        assert noting is not None
        self.shape = torch.Size(shape)
        self._read, self._noting = read, noting

    def __getitem__(self, place: Any) -> "UnreadTensor":
        """Return the tensor, of which all is asked for."""
        assert place is Ellipsis
        return self

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> Tensor:
        """Return the tensor without its values, which are read when they are needed."""
        assert dtype is not None
        target = torch.empty(self.shape, dtype=dtype, device="meta")
        self._noting.note(NotedStep(self._fill, (target,), {}, written=target, replaces=True))
        return target

    def _fill(self, target: Tensor) -> None:
        target.copy_(self._read())


def _defer_rest(model: nn.Module, noting: NotingMode) -> None:
    """Put parameters that have values on the meta device; ties stay. Give buffers their values."""
    moved: dict[nn.Parameter, nn.Parameter] = {}
    for part in model.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            if not parameter.is_meta and parameter not in moved:
                placeholder = noting.defer(parameter.detach())
                moved[parameter] = nn.Parameter(placeholder, parameter.requires_grad)
            setattr(part, name, moved.get(parameter, parameter))
        for name, buffer in list(part.named_buffers(recurse=False)):
            if buffer.is_meta:
                setattr(part, name, noting.made(buffer))
