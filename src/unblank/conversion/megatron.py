"""Model-parallel pieces of a GLM put together again, tensor by tensor.

`query_key_value` of a rank holds its own Q, K and V rows one after another, so pieces are cut in
three before they are joined.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from unblank.conversion.plan import table_shape
from unblank.conversion.source import copy_mapped
from unblank.plurals import counted

__all__ = ["check_ranks", "merge_ranks", "merged_shape"]

_SPLIT_AXES = {
    "word_embeddings": 0,
    "query_key_value": 0,
    "dense_h_to_4h": 0,
    "attention.dense.weight": 1,
    "dense_4h_to_h.weight": 1,
}
"""Part of a key -> the axis along which ranks split it; all others are replicated."""


def merge_ranks(key: str, pieces: list[Tensor], release: Callable[[], None]) -> Tensor:
    """Return the whole tensor of which each rank holds a piece, or all hold a copy.

    Args:
        key: original name; tells how the tensor is split.
        pieces: one a rank, in order.
        release: gives back what was read of the mapped files.

    Raises:
        ValueError: copies that differ.
    """
    if len(pieces) == 1:
        return pieces[0]
    axis = _axis(key)
    if axis is None:
        if any(not torch.equal(piece, pieces[0]) for piece in pieces):
            raise ValueError(
                f"{key} differs between ranks but should be the same: they are pieces of different "
                "checkpoints, fetch all pieces of one"
            )
        return pieces[0]
    whole = torch.empty(merged_shape(key, pieces), dtype=pieces[0].dtype)
    parts = 3 if "query_key_value" in key else 1
    for part, range_of_whole in enumerate(whole.tensor_split(parts, dim=axis)):
        places = range_of_whole.tensor_split(len(pieces), dim=axis)
        for place, piece in zip(places, pieces, strict=True):
            copy_mapped(place, piece.tensor_split(parts, dim=axis)[part], release)
    return whole


def merged_shape(key: str, pieces: list[Tensor]) -> tuple[int, ...]:
    """Return the shape of `merge_ranks` without reading a value."""
    shape = list(pieces[0].shape)
    axis = _axis(key)
    if axis is not None:
        shape[axis] = sum(piece.shape[axis] for piece in pieces)
    return tuple(shape)


def check_ranks(names: list[str], modules: list[dict[str, Tensor]]) -> None:
    """Check that the pieces belong together and that none is missing at the end.

    Args:
        names: of the files, for messages.
        modules: one a rank, keys without prefixes.

    Raises:
        ValueError: pieces with different keys, shapes or types, the same piece twice, or another
            number of ranks implied than given.
    """
    first = modules[0]
    for name, module in zip(names[1:], modules[1:], strict=True):
        differing = sorted(first.keys() ^ module.keys())
        differing += [
            key
            for key in first
            if key in module
            and (first[key].shape, first[key].dtype) != (module[key].shape, module[key].dtype)
        ]
        if differing:
            raise ValueError(
                f"{names[0]} and {name} disagree about {differing[0]} "
                f"({counted(len(differing), 'such weight')}): they are not pieces of one "
                "checkpoint, fetch all pieces of one"
            )
    key = next((key for key in first if key.endswith("attention.query_key_value.weight")), None)
    if key is not None:
        rows, width = table_shape(key, first[key].shape)
        implied, rest = divmod(3 * width, rows)
        if rest or implied != len(modules):
            raise ValueError(
                f"{key} has {rows} rows in each of {len(modules)} pieces ({', '.join(names)}), "
                f"but {3 * width} in all, so there should be {3 * width / rows:g} pieces: give "
                "the folder that has all of them"
            )
    _check_distinct(names, modules)


def _check_distinct(names: list[str], modules: list[dict[str, Tensor]]) -> None:
    """Refuse one piece under two names, which would make a model of the right shape."""
    small_first = sorted(modules[0], key=lambda key: modules[0][key].numel())  # most end there
    for later in range(1, len(modules)):
        for earlier in range(later):
            pairs = ((modules[earlier][key], modules[later][key]) for key in small_first)
            if all(torch.equal(one, other) for one, other in pairs):
                raise ValueError(
                    f"{names[earlier]} and {names[later]} have the same weights, but each rank "
                    "has its own: fetch them again"
                )


def _axis(key: str) -> int | None:
    return next((axis for part, axis in _SPLIT_AXES.items() if part in key), None)
