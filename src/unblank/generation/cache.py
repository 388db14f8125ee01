"""The keys and values of decoded rows, in buffers that are written in place.

transformers' DynamicCache copies everything at every token; here a step writes one column, and a
beam search moves only the columns that its beams do not share.

Shapes: `R` rows, `H` heads, `S` stored columns, `T` new columns, `K` head width.
"""

from typing import Self

from torch import Tensor

__all__ = ["RowCache"]

# Room beyond what is stored, so that most steps need no larger buffer.
SPARE_COLUMNS = 64


class RowCache:
    """Stands in for a transformers cache: the model calls `update` and `get_seq_length` only."""

    is_compileable = False
    """transformers asks for it: this cache grows and cannot be compiled as a static one."""

    def __init__(self) -> None:
        self._layers: list[tuple[Tensor, Tensor]] = []
        self._num_stored: list[int] = []

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of stored columns."""
        return self._num_stored[layer_idx] if self._num_stored else 0

    def update(self, keys: Tensor, values: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Append [R, H, T, K] keys and values of a layer; return all of that layer."""
        if layer_idx == len(self._layers):
            self._layers.append((_buffer(keys, keys.shape[2]), _buffer(values, keys.shape[2])))
            self._num_stored.append(0)
        start = self._num_stored[layer_idx]
        stop = start + keys.shape[2]
        stored_keys, stored_values = self._layers[layer_idx]
        if stop > stored_keys.shape[2]:
            stored_keys, stored_values = (
                _enlarged(stored_keys, stop),
                _enlarged(stored_values, stop),
            )
            self._layers[layer_idx] = (stored_keys, stored_values)
        stored_keys[:, :, start:stop] = keys
        stored_values[:, :, start:stop] = values
        self._num_stored[layer_idx] = stop
        return stored_keys[:, :, :stop], stored_values[:, :, :stop]

    def select(self, rows: Tensor) -> Self:
        """Return a new cache of these rows, int64[R]; a row may be taken more than once."""
        selected = type(self)()
        selected._layers = [(keys[rows], values[rows]) for keys, values in self._layers]
        selected._num_stored = list(self._num_stored)
        return selected

    def reorder(self, rows: Tensor, start: int) -> None:
        """Replace row i by row rows[i] from column `start` on, in place."""
        stop = self.get_seq_length()
        for keys, values in self._layers:
            keys[:, :, start:stop] = keys[rows, :, start:stop]
            values[:, :, start:stop] = values[rows, :, start:stop]


def _buffer(like: Tensor, columns: int) -> Tensor:
    rows, heads, _, width = like.shape
    return like.new_empty(rows, heads, columns + SPARE_COLUMNS, width)


def _enlarged(buffer: Tensor, columns: int) -> Tensor:
    # Larger by half, so that all copies together stay linear in the number of columns.
    larger = _buffer(buffer, columns + columns // 2)
    larger[:, :, : buffer.shape[2]] = buffer
    return larger
