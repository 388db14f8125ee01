"""Tensors that several processes wrote, each its shards of them, put together in one process.

`torch.distributed.checkpoint` writes such files with its safetensors storage; the header of each
says where in the whole tensor its part begins. The names of tensors begin with that of a part of a
checkpoint: its weights, its moments, or its moving average.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unblank.integrity import SHARDED_NAME
from unblank.untrusted.weight_files import StoredTensor, opened_weights

if TYPE_CHECKING:
    import torch

__all__ = [
    "OFFSETS_KEY",
    "CheckpointPart",
    "is_sharded",
    "named",
    "shapes_in",
    "shard_files",
    "stored_in_shards",
    "whole_tensors",
]

CheckpointPart = Literal["weights", "moments", "average"]
"""What of a training run a tensor belongs to."""

OFFSETS_KEY = "DCP_SHARDING_INFO"
"""Key under which torch writes where the parts begin, into the header of a file."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a tensor, in a file."""

    path: Path
    begins: tuple[int, ...]
    shape: tuple[int, ...]


def is_sharded(folder: Path) -> bool:
    """Return whether a checkpoint was written by several processes, each its shards."""
    return (folder / SHARDED_NAME).is_dir()


def shard_files(folder: Path) -> list[Path]:
    """Return the files of a sharded checkpoint, in order; none of another one."""
    return sorted((folder / SHARDED_NAME).glob("*.safetensors"))


def named(part: CheckpointPart, name: str) -> str:
    """Return the name under which a tensor of a part of a checkpoint is written."""
    return f"{part}/{name}"


def shapes_in(folder: Path, part: CheckpointPart) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of the whole tensors of a part of a sharded checkpoint.

    Raises:
        ValueError: a file is damaged, or shards are missing.
    """
    return {name: _whole_shape(name, pieces) for name, pieces in _pieces(folder, part).items()}


def whole_tensors(folder: Path, part: CheckpointPart) -> Iterator[tuple[str, "torch.Tensor"]]:
    """Yield name and values of each tensor of a part of a sharded checkpoint, put together.

    Raises:
        ValueError: a file is damaged, or shards are missing.
    """
    for name, stored in stored_in_shards(folder, part).items():
        yield name, stored.read()


def stored_in_shards(folder: Path, part: CheckpointPart) -> dict[str, StoredTensor]:
    """Return name -> how to read it of each tensor of a part of a sharded checkpoint.

    Raises:
        ValueError: a file is damaged, or shards are missing; reading a tensor, also if its shards
            do not fit together.
    """
    return {
        name: StoredTensor(
            shape=_whole_shape(name, pieces),
            read=partial(_read_whole, named(part, name), pieces, _whole_shape(name, pieces)),
        )
        for name, pieces in _pieces(folder, part).items()
    }


def _read_whole(stored_name: str, pieces: list[_Piece], shape: tuple[int, ...]) -> "torch.Tensor":
    import torch

    whole = None
    for piece in pieces:
        with opened_weights(piece.path) as file:
            values = file.get_tensor(stored_name)
            if whole is None:
                whole = torch.empty(shape, dtype=values.dtype)
            if values.dtype != whole.dtype:
                raise ValueError(
                    f"the shards of {stored_name} in {piece.path.parent} do not fit together"
                )
            ends = map(sum, zip(piece.begins, piece.shape, strict=True))
            whole[tuple(map(slice, piece.begins, ends))] = values
    assert whole is not None
    return whole


def _pieces(folder: Path, part: CheckpointPart) -> dict[str, list[_Piece]]:
    """Return the pieces of each tensor of a part."""
    found: dict[str, list[_Piece]] = {}
    prefix = named(part, "")
    for path in shard_files(folder):
        with opened_weights(path) as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            if not names:
                continue
            try:
                begins = json.loads((file.metadata() or {})[OFFSETS_KEY])
                for name in names:
                    offsets = tuple(begins[name]["saved_offsets"])
                    if not all(type(begin) is int and begin >= 0 for begin in offsets):
                        raise ValueError(f"{name} begins at {offsets}")
                    piece = _Piece(path, offsets, tuple(file.get_slice(name).get_shape()))
                    found.setdefault(name.removeprefix(prefix), []).append(piece)
            except (KeyError, TypeError, ValueError, RecursionError) as error:
                raise ValueError(
                    f"{path} does not say which part of each tensor it holds: copy or save it again"
                ) from error
    return found


def _whole_shape(name: str, pieces: list[_Piece]) -> tuple[int, ...]:
    """Return the shape of a tensor that its pieces make up, without gaps and without overlaps."""
    dimensions = len(pieces[0].shape)
    if any(len(one.begins) != dimensions or len(one.shape) != dimensions for one in pieces):
        raise ValueError(f"the shards of {name} in {pieces[0].path.parent} do not fit together")
    shape = tuple(
        max(one.begins[axis] + one.shape[axis] for one in pieces) for axis in range(dimensions)
    )
    if any(_overlap(one, other) for one, other in combinations(pieces, 2)):
        raise ValueError(f"the shards of {name} in {pieces[0].path.parent} overlap")
    # Sizes are bounded by those of the files: no memory is taken for what is only claimed.
    if sum(math.prod(one.shape) for one in pieces) != math.prod(shape):
        raise ValueError(
            f"{pieces[0].path.parent} lacks shards of {name}: restore the files from a copy, or "
            "take another checkpoint"
        )
    return shape


def _overlap(one: _Piece, other: _Piece) -> bool:
    """Return whether two pieces have a place in common."""
    return all(
        max(first, second) < min(first + first_size, second + second_size)
        for first, first_size, second, second_size in zip(
            one.begins, one.shape, other.begins, other.shape, strict=True
        )
    )
