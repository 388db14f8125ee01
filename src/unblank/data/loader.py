"""The endless stream of packed rows, dealt to optimiser steps, ranks and micro-batches.

Window w of the stream is `window_size` consecutive sample numbers packed together, so the whole
stream is a function of the sampler alone: workers, ranks and batch sizes only divide the labour.
Where it is is two integers (`DataState`), and starting there costs one window. Examples with a
source and a target are not packed: there a row is a group of them, one forward pass
(`length_groups`).
"""

import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from unblank.data.collate import AnyRow, collate_rows
from unblank.data.length_groups import group_window
from unblank.data.packing import pack_window
from unblank.data.sampling import SamplingSettings
from unblank.examples import Example, Seq2SeqExample, TrainBatch
from unblank.interruption import ignore_signals
from unblank.process import end_with_the_parent
from unblank.tokenization.special import SpecialIds

__all__ = ["DataState", "ExampleSource", "RowStream", "StepBatches", "validation_batches"]

_SMALLEST_WINDOW = 256
_LARGEST_WINDOW = 16384
_ROWS_PER_WINDOW = 64


class ExampleSource(Protocol):
    """What a stream draws from: `Sampler`, or anything else whose examples have numbers."""

    settings: SamplingSettings
    special: SpecialIds
    num_chunks: int
    mean_text_length: float

    def draw_example(self, number: int, /) -> Any:
        """Return example `number`: an `Example` or a `Seq2SeqExample`, always of one kind."""
        ...


@dataclass(frozen=True, slots=True)
class DataState:
    """Where the stream stands: the next row is `row` of window `window`."""

    window: int = 0
    """Number of windows fully consumed."""
    row: int = 0
    """Number of rows of the next window already consumed."""


@dataclass(frozen=True, slots=True)
class StepBatches:
    """The data of one optimiser step.

    Attributes:
        batches: the micro-batches of this rank, of a kind that the run's `TrainUnit` knows.
        state: of the stream after this step; starting there gives the next step.
        sample_numbers: all samples of the step, all ranks together.
        used_positions: positions that are not padding, all ranks together.
        total_positions: positions, all ranks together.
    """

    batches: list[Any]
    state: DataState
    sample_numbers: list[int]
    used_positions: int
    total_positions: int

    @property
    def num_samples(self) -> int:
        """Samples of the step, all ranks together."""
        return len(self.sample_numbers)


class _Windows(Dataset[list[AnyRow]]):
    """Item w is the rows of window w."""

    def __init__(self, sampler: ExampleSource, row_length: int, window_size: int) -> None:
        self._sampler = sampler
        self._row_length = row_length
        self._window_size = window_size

    def __getitem__(self, window: int) -> list[AnyRow]:
        numbers = range(window * self._window_size, (window + 1) * self._window_size)
        return _pack_samples(self._sampler, numbers, self._row_length, window)


class RowStream(Iterator[AnyRow]):
    """Endless rows of examples, from any `DataState` on.

    Use it as a context manager, or call `close`, to end the worker processes.

    Args:
        sampler: draws the examples.
        row_length: positions of a row, at least the sampler's `max_length`; of source/target
            examples, positions of a group.
        num_workers: processes that prepare windows ahead; 0 prepares them in this one.
        window_size: samples packed together; default: `default_window_size`.
        state: where to start.

    Attributes:
        state: where the next row comes from.
        window_size: samples packed together.
        row_length: positions of a row.

    Raises:
        ValueError: if a row is shorter than the longest example.
    """

    def __init__(
        self,
        sampler: ExampleSource,
        *,
        row_length: int,
        num_workers: int = 0,
        window_size: int | None = None,
        state: DataState = DataState(),
    ) -> None:
        _check_row_length(sampler, row_length)
        self.state = state
        self.row_length = row_length
        self._pad_id = sampler.special.pad
        self.window_size = window_size or default_window_size(sampler, row_length)
        self._rows: list[AnyRow] = []
        self._windows: Iterator[list[AnyRow]] = iter(
            DataLoader(
                _Windows(sampler, row_length, self.window_size),
                batch_size=None,
                # From the window to resume at, without end.
                sampler=itertools.count(state.window),
                num_workers=num_workers,
                collate_fn=_as_is,
                worker_init_fn=_begin_worker,
                # Forked workers share the prepared corpora, start at once and only run numpy.
                multiprocessing_context="fork" if num_workers and sys.platform == "linux" else None,
                # Otherwise the loader draws from torch's global generator, which dropout uses.
                generator=torch.Generator(),
            )
        )

    def __next__(self) -> AnyRow:
        if not self._rows:
            self._rows = next(self._windows)
            if self.state.row >= len(self._rows):
                raise ValueError(
                    f"the state to resume from is at row {self.state.row} of window "
                    f"{self.state.window}, which has only {len(self._rows)} rows: it belongs to "
                    "other data or settings"
                )
        row = self._rows[self.state.row]
        if self.state.row + 1 < len(self._rows):
            self.state = DataState(self.state.window, self.state.row + 1)
        else:
            self.state = DataState(self.state.window + 1, 0)
            self._rows = []
        return row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream and its worker processes."""
        windows, self._windows = self._windows, iter(())
        self._rows = []
        # torch ends them with its iterator, which the traceback of an error may keep.
        if isinstance(windows, _MultiProcessingDataLoaderIter):
            windows._shutdown_workers()

    def micro_batches(
        self, *, batch_size: int, micro_batch_size: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[StepBatches]:
        """Yield the data of one optimiser step after another.

        A step is the next `batch_size` rows of the stream, for any number of ranks; each rank
        takes its contiguous share of them, in micro-batches (the last one may be smaller).

        Args:
            batch_size: rows of an optimiser step, all ranks together.
            micro_batch_size: rows of one forward pass.
            rank: index of this process.
            world_size: number of processes.

        Raises:
            ValueError: if the rows of a step cannot be shared equally by the ranks.
        """
        if batch_size < 1 or micro_batch_size < 1:
            raise ValueError(
                f"batch_size ({batch_size}) and micro_batch_size ({micro_batch_size}) must be "
                "at least 1 row"
            )
        if batch_size % world_size:
            raise ValueError(
                f"batch_size ({batch_size}) must be a multiple of the number of processes "
                f"({world_size})"
            )
        share = batch_size // world_size
        while True:
            rows = list(itertools.islice(self, batch_size))
            # Only a stream that was closed ends.
            if len(rows) < batch_size:
                return
            own = rows[rank * share : (rank + 1) * share]
            yield StepBatches(
                batches=_micro_batches(own, micro_batch_size, self._pad_id),
                state=self.state,
                sample_numbers=[number for row in rows for number in row.sample_numbers],
                used_positions=sum(row.num_used for row in rows),
                total_positions=sum(row.num_positions for row in rows),
            )


def validation_batches(
    sampler: ExampleSource,
    *,
    row_length: int,
    batch_size: int,
    max_samples: int = 512,
    numbers: Sequence[int] | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> list[TrainBatch]:
    """Return this rank's share of a fixed set of rows, the same at every call.

    Args:
        sampler: draws the examples from the validation corpora.
        row_length: positions of a row.
        batch_size: rows of one forward pass; the last batch may be smaller.
        max_samples: samples to take from the first on, at most one pass over the corpora.
        numbers: the samples to take instead.
        rank: index of this process.
        world_size: number of processes; rows are dealt in turn, so that some ranks may get one more
            row than others, or none.

    Raises:
        ValueError: if a row is shorter than the longest example.
    """
    _check_row_length(sampler, row_length)
    if numbers is None:
        numbers = range(min(max_samples, sampler.num_chunks))
    rows = _pack_samples(sampler, numbers, row_length, window=0)
    return _micro_batches(rows[rank::world_size], batch_size, sampler.special.pad)


def default_window_size(sampler: ExampleSource, row_length: int) -> int:
    """Return how many samples to pack together: enough to fill some 64 rows, at least 256.

    Only the last row of a window is badly filled, so that many rows waste little, while a window of
    very short texts stays quick to prepare (at most 16,384 samples).
    """
    wanted = _ROWS_PER_WINDOW * row_length / sampler.mean_text_length
    return min(max(_SMALLEST_WINDOW, int(wanted)), _LARGEST_WINDOW)


def _pack_samples(
    sampler: ExampleSource, numbers: Sequence[int], row_length: int, window: int
) -> list[AnyRow]:
    examples = [sampler.draw_example(number) for number in numbers]
    # The third number keeps this stream apart from the samples' own, (seed, number).
    rng = np.random.default_rng((sampler.settings.seed, window, 1))
    pairs = [example for example in examples if isinstance(example, Seq2SeqExample)]
    if pairs:
        return [*group_window(numbers, pairs, max_positions=row_length, rng=rng)]
    texts = [example for example in examples if isinstance(example, Example)]
    pad_id = sampler.special.pad
    return [*pack_window(numbers, texts, row_length=row_length, pad_id=pad_id, rng=rng)]


def _check_row_length(sampler: ExampleSource, row_length: int) -> None:
    if row_length < sampler.settings.max_length:
        raise ValueError(
            f"row_length ({row_length}) must be at least max_length "
            f"({sampler.settings.max_length}): an example must fit into a row"
        )


def _micro_batches(rows: list[AnyRow], size: int, pad_id: int) -> list[TrainBatch]:
    return [collate_rows(rows[start : start + size], pad_id) for start in range(0, len(rows), size)]


def _begin_worker(worker: int) -> None:
    # torch's own watchdog waits for the queue to be read first, which nobody does once the run is
    # killed.
    end_with_the_parent()
    # A signal to the group is for the run, which finishes its step and still needs its workers.
    ignore_signals()


def _as_is(rows: list[AnyRow]) -> list[AnyRow]:
    return rows
