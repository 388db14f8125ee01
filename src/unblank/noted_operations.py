"""Operations on tensors without values: they are noted, and done again when values are wanted.

`deferred_values` says what for, and what cannot be noted.
"""

import mmap
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

__all__ = ["NotedStep", "NotingMode", "WholeAttention"]

_aten = torch.ops.aten
_REPLACING = (
    _aten.normal_.default,
    _aten.uniform_.default,
    _aten.zero_.default,
    _aten.fill_.Scalar,
    _aten.copy_.default,
)
"""What leaves nothing of the values that were there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Generator:
    """The state of a generator before a draw."""

    state: Tensor

    def again(self) -> torch.Generator:
        generator = torch.Generator()
        generator.set_state(self.state)
        return generator


@dataclass(slots=True)
class NotedStep:
    """Something that was done.

    Attributes:
        do: the operation.
        arguments: of it; tensors on the meta device stand for their values.
        named: further arguments.
        written: the tensor, of the arguments, that it changes; None if it makes new ones.
        made: the new ones.
        replaces: whether all values of what it writes are new.
    """

    do: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    written: Tensor | None = None
    made: tuple[Tensor, ...] = ()
    replaces: bool = False
    versions: list[tuple[Tensor, int]] = field(default_factory=list)

    @property
    def writes(self) -> set[int]:
        """The storages that it changes or makes."""
        written = self.made if self.written is None else (self.written,)
        return {_storage(one) for one in written}

    @property
    def reads(self) -> set[int]:
        """The storages whose values it depends on."""
        is_lost = self.replaces and self.written is not None  # the former values of the first
        arguments = self.arguments[1:] if is_lost else self.arguments
        return {_storage(one) for one in _tensors(arguments, self.named) if one.is_meta}


class NotingMode(TorchDispatchMode):
    """Puts new tensors on the meta device, and notes what is done to them."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self._steps: list[NotedStep] = []  # they keep storages, whose numbers could be given again
        self._writers: dict[int, list[int]] = {}
        self._never_made: dict[int, Tensor] = {}  # asked for on the meta device: no draw fills them
        self._lock = threading.Lock()  # transformers reads tensors in several threads

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        tensors = _tensors(args, named)
        # One without numbers takes no memory; it is how the memory of a file becomes a tensor.
        if func is _aten.empty.memory_format and 0 not in args[0]:
            result = func(*args, **{**named, "device": torch.device("meta")})
            if _is_meta(named):
                self._never_made[_storage(result)] = result
            return result
        is_drawn = torch.Tag.nondeterministic_seeded in func.tags
        if not any(one.is_meta for one in tensors):
            if not _is_meta(named):
                return func(*args, **named)
            if tensors or is_drawn:
                return self.defer(func(*args, **{**named, "device": torch.device("cpu")}))
        if "device" in named:
            named["device"] = torch.device("meta")
        if func._schema.is_mutable:
            return self._change(func, args, named)
        if is_drawn:
            return self._now(func, args, named)
        return self._derive(func, args, named)

    def note(self, step: NotedStep) -> None:
        """Take a note of what was done."""
        step.versions = [
            (one, one._version)
            for one in _tensors(step.arguments, step.named)
            if not one.is_meta and not one.is_inference()
        ]
        with self._lock:
            for storage in step.writes:
                self._writers.setdefault(storage, []).append(len(self._steps))
            self._steps.append(step)

    def defer(self, tensor: Tensor) -> Tensor:
        """Return a tensor on the meta device that gets the values of another one."""
        target = torch.empty_like(tensor, device="meta")
        self.note(
            NotedStep(_aten.copy_.default, (target, tensor), {}, written=target, replaces=True)
        )
        return target

    @torch.no_grad()
    def made(self, tensor: Tensor) -> Tensor:
        """Return the values of a tensor on the meta device."""
        target = _storage(tensor)
        numbers = self._steps_of(target)
        last_use = {
            storage: number
            for number in numbers
            for storage in self._steps[number].reads | self._steps[number].writes
        }
        memory: dict[int, torch.UntypedStorage] = {}
        for number in numbers:
            self._do_again(self._steps[number], memory)
            for storage, last in last_use.items():
                if last == number and storage != target:
                    memory.pop(storage, None)
        return _over(memory, tensor)

    def _change(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Note an operation in place; one on a tensor that has values is done at once."""
        schema = func._schema.arguments
        places = [place for place, one in enumerate(schema) if one.is_write]
        if places != [0]:
            raise NotImplementedError(f"{func} cannot be done later")
        target = args[0]
        if not target.is_meta:
            return self._now(func, args, named)
        if torch.Tag.nondeterministic_seeded in func.tags:
            if _storage(target) in self._never_made:
                return target
            named["generator"] = self._draw(func, args, named)
        is_whole = target.numel() * target.element_size() == target.untyped_storage().nbytes()
        replaces = is_whole and func in _REPLACING
        self.note(NotedStep(func, args, named, written=target, replaces=replaces))
        return target

    def _draw(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> _Generator:
        """Return the state of the generator, and take from it what a draw takes."""
        generator = named.get("generator") or torch.default_generator
        before = _Generator(state=generator.get_state())
        target = args[0]
        func(_over({}, target), *args[1:], **named)
        return before

    def _derive(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Note an operation that makes tensors; what cannot be made without values has them."""
        try:
            result = func(*_without_values(args), **_without_values(named))
        except (RuntimeError, NotImplementedError):  # a number is wanted, or a shape hangs on one
            return self._now(func, args, named)
        given = {_storage(one) for one in _tensors(args, named) if one.is_meta}
        made = tuple(one for one in _tensors(result) if _storage(one) not in given)
        if made:
            self.note(NotedStep(func, args, named, made=made, replaces=True))
        return result

    def _now(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Do an operation with the values of its arguments."""

        def with_values(tensor: Tensor) -> Tensor:
            return self.made(tensor) if tensor.is_meta else tensor

        if _is_meta(named):
            named = {**named, "device": torch.device("cpu")}
        args, named = tree_map_only(Tensor, with_values, (args, named))
        return func(*args, **named)

    def _steps_of(self, target: int) -> list[int]:
        """Return the numbers of the steps on which the values of a storage depend, in order."""
        found: set[int] = set()
        waiting = [(target, len(self._steps))]
        while waiting:
            storage, before = waiting.pop()
            for number in reversed(self._writers.get(storage, [])):
                if number >= before:
                    continue
                step = self._steps[number]
                if number not in found:
                    found.add(number)
                    waiting.extend((one, number) for one in step.reads)
                if step.replaces:
                    break
        return sorted(found)

    def _do_again(self, step: NotedStep, memory: dict[int, torch.UntypedStorage]) -> None:
        """Do a step with values.

        Args:
            step: whose arguments have been made.
            memory: storage on the meta device -> that of its values; what the step makes comes in.
        """
        assert all(one._version == version for one, version in step.versions)

        def with_values(tensor: Tensor) -> Tensor:
            return _over(memory, tensor) if tensor.is_meta else tensor

        arguments, named = tree_map_only(Tensor, with_values, (step.arguments, step.named))
        named = {
            name: value.again() if isinstance(value, _Generator) else value
            for name, value in named.items()
        }
        if _is_meta(named):
            named["device"] = torch.device("cpu")
        result = step.do(*arguments, **named)
        for placeholder, values in zip(step.made, _tensors(result), strict=bool(step.made)):
            if values.stride() != placeholder.stride():
                values = torch.empty_strided(placeholder.size(), placeholder.stride()).copy_(values)
            memory[_storage(placeholder)] = values.untyped_storage()


class WholeAttention(TorchFunctionMode):
    """Notes attention as one operation, which torch does in another way on the meta device."""

    def __init__(self, noting: NotingMode) -> None:
        TorchFunctionMode.__init__(self)
        self._noting = noting

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func is not functional.scaled_dot_product_attention or not args[0].is_meta:
            return func(*args, **named)
        query, _, value = args[:3]
        shape = (*query.shape[:-1], value.shape[-1])
        made = torch.empty(shape, dtype=query.dtype, device="meta")
        self._noting.note(NotedStep(func, args, named, made=(made,), replaces=True))
        return made


def _over(memory: dict[int, torch.UntypedStorage], tensor: Tensor) -> Tensor:
    """Return the tensor with values that one on the meta device stands for."""
    storage = _storage(tensor)
    if storage not in memory:
        memory[storage] = _block(tensor.untyped_storage().nbytes())
    empty = torch.empty(0, dtype=tensor.dtype)
    return empty.set_(memory[storage], tensor.storage_offset(), tensor.size(), tensor.stride())


def _block(num_bytes: int) -> torch.UntypedStorage:
    """Return memory that is given back as soon as it is not used any more.

    The C library would keep what is freed between smaller blocks, in the end as much as a model.
    """
    pages = mmap.mmap(-1, max(num_bytes, 1))
    return torch.frombuffer(pages, dtype=torch.uint8).untyped_storage()


def _without_values(arguments: Any) -> Any:
    """Return arguments of which every tensor is on the meta device, but for single numbers."""

    def on_meta(tensor: Tensor) -> Tensor:
        return tensor if tensor.is_meta or not tensor.dim() else tensor.to("meta")

    return tree_map_only(Tensor, on_meta, arguments)


def _tensors(*arguments: Any) -> list[Tensor]:
    return [one for one in tree_flatten(arguments)[0] if isinstance(one, Tensor)]


def _is_meta(named: dict[str, Any]) -> bool:
    device = named.get("device")
    return device is not None and torch.device(device).type == "meta"


def _storage(tensor: Tensor) -> int:
    number: int = tensor.untyped_storage()._cdata
    return number
