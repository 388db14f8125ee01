"""What a measurement has computed so far, cached beside its result until that is there.

A measurement computes the same batches in the same order whenever it is started, so what an
interrupted one left is taken instead of computing it again, value for value. It is JSON, as
whoever may write into the folder must not run code by it.
"""

import json
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from unblank.answering.answer_file import AnswerFile
from unblank.answering.together import refuse_parts
from unblank.evaluation.token_scores import TokenScores
from unblank.generation.pieces import Filling, Piece

__all__ = [
    "BatchCache",
]

_KINDS: dict[str, Any] = {"Filling": Filling, "Piece": Piece, "TokenScores": TokenScores}
"""Dataclasses that batches are made of, by name."""
_SECONDS = 2.0
"""Between two writes: what is lost by a kill, and why a short measurement writes nothing."""

_Found = TypeVar("_Found")


class BatchCache:
    """The batches of one process.

    Args:
        path: of the result; the cache is beside it.
        task: plain values that say what is measured, and how; what another one left is removed.
        rank: number of this process.
        size: number of processes.
    """

    def __init__(self, path: Path, task: dict[str, Any], rank: int = 0, size: int = 1) -> None:
        whole = path.with_name(f"{path.name}.batches")
        all_own = [
            whole.with_name(f"{whole.name}.{number}-of-{size}") if size > 1 else whole
            for number in range(1, size + 1)
        ]
        parts = {one.with_name(f"{one.name}.part") for one in all_own}
        own = all_own[rank]
        self.is_other = False
        """Whether something was there of another measurement, or number of processes."""
        try:
            if rank == 0:
                refuse_parts(whole, parts, overwrite=False)
            self._file = AnswerFile(own, task)
        except ValueError:
            self.is_other = True
            if rank == 0:
                refuse_parts(whole, parts, overwrite=True)
            self._file = AnswerFile(own, task, overwrite=True)
        self._cached = list(self._file)
        self.num_cached = len(self._cached)
        """Batches that need not be computed again."""
        self._next = 0
        self._new: list[str] = []
        self._written_at = time.monotonic()

    def get(self, compute: Callable[[], _Found]) -> _Found:
        """Return what the next batch gives: from the cache, or computed and cached."""
        self._next += 1
        if self._next <= self.num_cached:
            found: _Found = decoded(json.loads(self._cached[self._next - 1]))
            return found
        found = compute()
        self._new.append(json.dumps(encoded(found)))
        if time.monotonic() - self._written_at > _SECONDS:
            self.write()
        return found

    def write(self) -> None:
        """Write what has been computed since the last time."""
        if self._new:
            self._file.append(self._new)
        self._new, self._written_at = [], time.monotonic()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.discard()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is cached."""
        return not len(self._file)


def encoded(value: Any) -> Any:
    """Return a value as JSON can hold it, from which `decoded` makes the same one.

    Raises:
        TypeError: a kind of value that no batch has.

    Example:
        >>> encoded({1: (2.5, None)})
        {'dict': [[1, {'tuple': [2.5, None]}]]}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [encoded(one) for one in value]
    if isinstance(value, tuple):
        return {"tuple": [encoded(one) for one in value]}
    if isinstance(value, dict):
        return {"dict": [[encoded(key), encoded(one)] for key, one in value.items()]}
    if isinstance(value, torch.Tensor):
        return {"tensor": [str(value.dtype).removeprefix("torch."), value.tolist()]}
    if isinstance(value, np.ndarray):
        return {"array": [value.dtype.name, value.tolist()]}
    name = type(value).__name__
    if _KINDS.get(name) is not type(value):
        raise TypeError(f"{type(value)} cannot be kept")
    names = [one.name for one in fields(_KINDS[name])]
    return {name: [encoded(getattr(value, one)) for one in names]}


def decoded(stored: Any) -> Any:
    """Return the value that `encoded` was given."""
    if isinstance(stored, list):
        return [decoded(one) for one in stored]
    if not isinstance(stored, dict):
        return stored
    ((kind, inside),) = stored.items()
    if kind == "tuple":
        return tuple(decoded(one) for one in inside)
    if kind == "dict":
        return {decoded(key): decoded(one) for key, one in inside}
    if kind == "tensor":
        return torch.tensor(inside[1], dtype=getattr(torch, inside[0]))
    if kind == "array":
        return np.array(inside[1], dtype=inside[0])
    return _KINDS[kind](*map(decoded, inside))
