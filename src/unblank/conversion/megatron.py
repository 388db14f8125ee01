"""Model-parallel pieces of a GLM put together again, tensor by tensor.

`query_key_value` of a rank holds its own Q, K and V rows one after another, so pieces are cut in
three before they are joined.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["check_ranks", "merge_ranks", "merged_shape"]


def merge_ranks(key: str, pieces: list[Tensor]) -> Tensor:
    """Return the whole tensor of which each rank holds a piece, or all hold a copy.

    Args:
        key: original name; tells how the tensor is split.
        pieces: one a rank, in order.

    Raises:
        ValueError: copies that differ.
    """
    if len(pieces) == 1:
        return pieces[0]
    merge = next((join for part, (join, _) in MERGES.items() if part in key), _replicated)
    return merge(key, pieces)


def merged_shape(key: str, pieces: list[Tensor]) -> tuple[int, ...]:
    """Return the shape of `merge_ranks` without reading a value."""
    shape = list(pieces[0].shape)
    axis = next((axis for part, (_, axis) in MERGES.items() if part in key), None)
    if axis is not None:
        shape[axis] = sum(piece.shape[axis] for piece in pieces)
    return tuple(shape)


def check_ranks(names: list[str], modules: list[dict[str, Tensor]]) -> None:
    """Check that the pieces belong together and that none is missing at the end.

    Args:
        names: of the files, for messages.
        modules: one a rank, keys without prefixes.

    Raises:
        ValueError: pieces with different keys or shapes, or more ranks implied than given.
    """
    first = modules[0]
    for name, module in zip(names[1:], modules[1:], strict=True):
        differing = sorted(first.keys() ^ module.keys())
        differing += [
            key for key in first if key in module and first[key].shape != module[key].shape
        ]
        if differing:
            raise ValueError(
                f"{names[0]} and {name} disagree about {differing[0]} (and {len(differing) - 1} "
                "more): they are not pieces of one checkpoint"
            )
    key = next((key for key in first if key.endswith("attention.query_key_value.weight")), None)
    if key is not None:
        rows, width = first[key].shape
        implied, rest = divmod(3 * width, rows)
        if rest or implied != len(modules):
            raise ValueError(
                f"{key} has {rows} rows in each of {len(modules)} pieces ({', '.join(names)}), but "
                f"{3 * width} rows make the whole, so there should be {3 * width / rows:g} pieces"
            )


def _join_rows(key: str, pieces: list[Tensor]) -> Tensor:
    return torch.cat(pieces, dim=0)


def _join_columns(key: str, pieces: list[Tensor]) -> Tensor:
    return torch.cat(pieces, dim=1)


def _join_query_key_value(key: str, pieces: list[Tensor]) -> Tensor:
    thirds = [piece.chunk(3, dim=0) for piece in pieces]
    return torch.cat([third[part] for part in range(3) for third in thirds], dim=0)


def _replicated(key: str, pieces: list[Tensor]) -> Tensor:
    if any(not torch.equal(piece, pieces[0]) for piece in pieces):
        raise ValueError(f"{key} differs between ranks, where it should be the same")
    return pieces[0]


MERGES: dict[str, tuple[Callable[[str, list[Tensor]], Tensor], int]] = {
    "word_embeddings": (_join_rows, 0),
    "query_key_value": (_join_query_key_value, 0),
    "dense_h_to_4h": (_join_rows, 0),
    "attention.dense.weight": (_join_columns, 1),
    "dense_4h_to_h.weight": (_join_columns, 1),
}
"""Part of a key -> how its pieces are joined, and along which axis; all else is replicated."""
