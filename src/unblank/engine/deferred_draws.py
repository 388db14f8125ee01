"""New weights that are drawn later, one tensor at a time, with the values they would have now.

A model of which each process keeps a shard is never whole in any of them. It is built on the meta
device, where a tensor takes no memory; here it is remembered how the values of each would have
been made, the state of torch's generator included, so that shards are those of the whole model.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["DeferredDraws", "drawn_one_by_one"]

_aten = torch.ops.aten
_RANDOM = (_aten.normal_.default, _aten.uniform_.default)
_CONSTANT = (_aten.zero_.default, _aten.fill_.Scalar)


@dataclass(frozen=True, slots=True)
class FirstValues:
    """How the values of a tensor are made: all of them, whatever they were before.

    Attributes:
        make: changes a tensor in place.
        arguments: of it.
        shape: of the tensor.
        generator_state: of torch's generator before the draw; None where nothing is drawn.
    """

    make: Callable[..., Tensor]
    arguments: tuple[Any, ...]
    shape: torch.Size
    generator_state: Tensor | None


class DeferredDraws:
    """A block in which models are built on the meta device, and it is noted how they start.

    It leaves torch's generator as it would be if the weights had been drawn. A weight that starts
    in another way than by a draw or a constant raises NotImplementedError.
    """

    def __init__(self) -> None:
        self._recorder = _Recorder()
        self._block: Any = self._recorder  # its methods are not annotated

    def __enter__(self) -> "DeferredDraws":
        """Begin to put new tensors on the meta device."""
        self._block.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Make tensors as ever again."""
        self._block.__exit__(*error)

    def of(self, model: nn.Module) -> dict[str, FirstValues]:
        """Return how each parameter starts, by name, of a model that is not sharded yet."""
        starts = self._recorder.starts
        return {name: starts[_storage(parameter)] for name, parameter in model.named_parameters()}


def drawn_one_by_one(starts: Mapping[str, FirstValues]) -> Iterator[tuple[str, Tensor]]:
    """Yield name and values of each tensor, float32, on the CPU; torch's generator stays as it was.

    Args:
        starts: from `DeferredDraws.of`.

    Yields:
        Values that the next ones overwrite.
    """
    room = _room_for(max((start.shape.numel() for start in starts.values()), default=0))
    with torch.random.fork_rng(devices=[]):
        for name, start in starts.items():
            if start.generator_state is not None:
                torch.set_rng_state(start.generator_state)
            yield name, start.make(_part(room, start.shape), *start.arguments)


class _Recorder(TorchDispatchMode):
    """Puts every new tensor on the meta device, and notes what is done to it."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self.starts: dict[int, FirstValues] = {}
        self._kept: list[Tensor] = []  # or the number of a storage could be given to another one
        self._room = _room_for(0)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is _aten.empty.memory_format:
            return func(*args, **{**kwargs, "device": torch.device("meta")})
        first = args[0] if args else None
        if not isinstance(first, Tensor) or not first.is_meta or not func._schema.is_mutable:
            return func(*args, **kwargs)
        is_whole = first.numel() * first.element_size() == first.untyped_storage().nbytes()
        is_plain = all(value is None for value in kwargs.values())
        if func not in _RANDOM + _CONSTANT or not is_whole or not is_plain:
            raise NotImplementedError(f"weights that start by {func} cannot be drawn later")
        state = None
        if func in _RANDOM:
            state = torch.get_rng_state()
            # The next draw depends on what this one takes from the generator.
            if first.numel() > len(self._room):
                self._room = _room_for(first.numel())
            func(_part(self._room, first.shape), *args[1:])
        self.starts[_storage(first)] = FirstValues(func, args[1:], first.shape, state)
        self._kept.append(first)
        return first


def _room_for(num_values: int) -> Tensor:
    """Return memory for one tensor after another: taken for each, it would not all be given back.

    The C library keeps what is freed between smaller blocks, in the end as much as the whole model.
    """
    return torch.zeros(num_values)


def _part(room: Tensor, shape: torch.Size) -> Tensor:
    return room[: shape.numel()].view(shape)


def _storage(tensor: Tensor) -> int:
    number: int = tensor.untyped_storage()._cdata
    return number
