"""The keys and values of decoded rows, in buffers that are written in place.

transformers' DynamicCache copies everything at every token; here a step writes its columns, and
rows come and go without the others being copied. All rows end at the same column; one with less to
store begins later, and what stands before it is never seen.

Shapes: `R` rows, `H` heads, `S` stored columns, `T` new columns, `K` head width.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

__all__ = ["RowCache"]

# Room beyond what is stored, so that most steps need no larger buffer.
SPARE_COLUMNS = 64
# Rows of a buffer that others have joined are a multiple of it.
_ROW_MULTIPLE = 8


class _LayerCache:
    """The keys and values of one layer: a window of columns in larger buffers.

    Attributes:
        num_rows: R.
    """

    def __init__(self, buffers: Sequence[Tensor], num_rows: int, start: int, stop: int) -> None:
        self.num_rows = num_rows
        self._buffers = list(buffers)
        self._start = start
        self._stop = stop

    @property
    def num_columns(self) -> int:
        """Stored columns, S."""
        return self._stop - self._start

    @property
    def keys(self) -> Tensor:
        """All stored keys, [R, H, S, K]."""
        return self._window(self._buffers[0])

    @property
    def values(self) -> Tensor:
        """All stored values, [R, H, S, K]."""
        return self._window(self._buffers[1])

    def append(self, keys: Tensor, values: Tensor) -> None:
        """Store [R, H, T, K] more."""
        stop = self._stop + keys.shape[2]
        if stop > self._buffers[0].shape[2]:
            self._make_room(keys.shape[2])
            stop = self._stop + keys.shape[2]
        for buffer, new in zip(self._buffers, (keys, values), strict=True):
            buffer[: self.num_rows, :, self._stop : stop] = new
        self._stop = stop

    def select(self, rows: Tensor) -> "_LayerCache":
        """Return a copy of these rows, int64[R]; a row may be taken more than once."""
        buffers = [buffer[rows] for buffer in self._buffers]
        return _LayerCache(buffers, len(rows), self._start, self._stop)

    def keep(self, columns_RS: Tensor) -> None:
        """Keep these stored columns of each row, int64[R, S], in place."""
        stop = self._start + columns_RS.shape[1]
        for buffer in self._buffers:
            window = self._window(buffer)
            index = columns_RS[:, None, :, None].expand(-1, window.shape[1], -1, window.shape[3])
            buffer[: self.num_rows, :, self._start : stop] = window.gather(2, index)
        self._stop = stop

    def join(self, other: "_LayerCache") -> None:
        """Add the rows of another cache after these, in place if there is room."""
        num_rows = self.num_rows + other.num_rows
        num_columns = max(self.num_columns, other.num_columns)
        if num_rows > self._buffers[0].shape[0] or self._stop < num_columns:
            self._move_to_buffers(num_rows, num_columns)
        start = self._stop - num_columns
        for buffer, new in zip(self._buffers, (other.keys, other.values), strict=True):
            # Nobody sees it, but anything times a weight of 0 must be 0.
            buffer[: self.num_rows, :, start : self._start] = 0
            buffer[self.num_rows : num_rows, :, start : self._stop - other.num_columns] = 0
            buffer[self.num_rows : num_rows, :, self._stop - other.num_columns : self._stop] = new
        self._start, self.num_rows = start, num_rows

    def drop(self, holes: Tensor, movers: Tensor, num_unseen: int) -> None:
        """Drop rows, in place.

        Args:
            holes: int64, dropped rows whose places are taken.
            movers: int64, as many rows, that take their places; rows after the last kept one go.
            num_unseen: first columns that none of the kept rows has.
        """
        self._start += num_unseen
        for buffer in self._buffers:
            buffer[holes, :, self._start : self._stop] = buffer[movers, :, self._start : self._stop]

    def _window(self, buffer: Tensor) -> Tensor:
        return buffer[: self.num_rows, :, self._start : self._stop]

    def _make_room(self, num_new: int) -> None:
        """Make room for new columns: where dropped ones were, or in larger buffers."""
        stored = self.num_columns
        if self._start >= max(num_new, SPARE_COLUMNS):
            for buffer in self._buffers:
                buffer[: self.num_rows, :, :stored] = self._window(buffer).clone()
        else:
            # Larger by half, so that all copies together stay linear in the number of columns.
            columns = (stored + num_new) * 3 // 2 + SPARE_COLUMNS
            self._buffers = [self._copied(b, b.shape[0], columns, stored) for b in self._buffers]
        self._start, self._stop = 0, stored

    def _move_to_buffers(self, num_rows: int, num_columns: int) -> None:
        """Move to buffers for that many rows, with that many columns up to the last stored one."""
        rows = -(-num_rows // _ROW_MULTIPLE) * _ROW_MULTIPLE
        columns = num_columns + SPARE_COLUMNS
        self._buffers = [self._copied(b, rows, columns, num_columns) for b in self._buffers]
        self._start, self._stop = num_columns - self.num_columns, num_columns

    def _copied(self, buffer: Tensor, rows: int, columns: int, stop: int) -> Tensor:
        copied = buffer.new_empty(rows, buffer.shape[1], columns, buffer.shape[3])
        copied[: self.num_rows, :, stop - self.num_columns : stop] = self._window(buffer)
        return copied


class RowCache:
    """Stands in for a transformers cache: the model calls `update` and `get_seq_length` only.

    Args:
        spare_columns: room for columns beyond the first stored ones.

    Attributes:
        layers: what is stored.
    """

    is_compileable = False
    """transformers asks for it: this cache grows and cannot be compiled as a static one."""

    def __init__(self, spare_columns: int = SPARE_COLUMNS) -> None:
        self.layers: list[_LayerCache] = []
        self._spare_columns = spare_columns

    @property
    def num_rows(self) -> int:
        """R."""
        return self.layers[0].num_rows

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of stored columns."""
        return self.layers[layer_idx].num_columns if layer_idx < len(self.layers) else 0

    def update(self, keys: Tensor, values: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Append [R, H, T, K] keys and values of a layer; return all of that layer."""
        if layer_idx == len(self.layers):
            rows, heads, columns, width = keys.shape
            shape = (rows, heads, columns + self._spare_columns, width)
            self.layers.append(_LayerCache([keys.new_empty(shape) for _ in range(2)], rows, 0, 0))
        layer = self.layers[layer_idx]
        layer.append(keys, values)
        return layer.keys, layer.values

    def select(self, rows: Tensor) -> Self:
        """Return a new cache of these rows, int64[R]; a row may be taken more than once."""
        selected = type(self)()
        selected.layers = [layer.select(rows) for layer in self.layers]
        return selected

    def keep(self, columns_RS: Tensor) -> None:
        """Keep these stored columns of each row, int64[R, S], in place."""
        for layer in self.layers:
            layer.keep(columns_RS)

    def join(self, other: "RowCache") -> None:
        """Add the rows of another cache after these; all rows then end at the same column."""
        for layer, others in zip(self.layers, other.layers, strict=True):
            layer.join(others)

    def drop(self, order: Sequence[int], num_unseen: int) -> None:
        """Drop rows, in place.

        Args:
            order: for each row that is left, which row takes its place: itself or a later one.
            num_unseen: first columns that none of these rows has.
        """
        moved = [(place, row) for place, row in enumerate(order) if place != row]
        device = self.layers[0].keys.device
        holes, movers = torch.tensor(moved, dtype=torch.long, device=device).reshape(-1, 2).T
        for layer in self.layers:
            layer.drop(holes, movers, num_unseen)
            layer.num_rows = len(order)
