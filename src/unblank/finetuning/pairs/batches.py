"""How pairs become batches: packed rows, or groups of similar length.

A *row* is a group of pairs (one forward pass) or a packed row (several in a pass). Sizes are given
in positions and rounded down to whole rows that all processes share equally.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from unblank.data.loader import (
    DataState,
    ExampleSource,
    RowStream,
    StepBatches,
    validation_batches,
)
from unblank.engine.parallel import World
from unblank.examples import TrainBatch
from unblank.families.rows import RowKind
from unblank.finetuning.pairs.encoded import EncodedPairs

__all__ = ["LARGEST_WINDOW", "SHORTEST_LENGTH", "PairBatches"]

LARGEST_WINDOW = 65536
"""Number of examples grouped or packed together; an epoch with fewer is one window."""

SHORTEST_LENGTH = 32
"""Positions of the shortest row, and of the shortest text to hide spans of."""


@dataclass(frozen=True, slots=True)
class EpochSize:
    """One pass over the training examples.

    Attributes:
        num_rows: rows.
        padding: share of their positions that hold no token.
    """

    num_rows: float
    padding: float


@dataclass(frozen=True, slots=True)
class PairBatches:
    """The shape of batches, and the streams of them.

    Attributes:
        kind: how examples share rows.
        row_length: positions of a row.
        rows_per_step: rows of an optimiser step, all processes together.
        rows_per_pass: rows of a forward pass.
        num_workers: processes that make batches ahead.
        world: the processes of the run.
    """

    kind: RowKind
    row_length: int
    rows_per_step: int
    rows_per_pass: int
    num_workers: int
    world: World

    @classmethod
    def of(
        cls,
        kind: RowKind,
        *,
        batch_tokens: int,
        micro_batch_tokens: int | None,
        longest: int,
        num_workers: int,
        world: World,
    ) -> "PairBatches":
        """Return the batches of a size that is given in positions.

        Args:
            kind: how examples share rows.
            batch_tokens: positions of an optimiser step, over all processes.
            micro_batch_tokens: positions of a forward pass in one process; None for its share.
            longest: positions of the longest example.
            num_workers: processes that make batches ahead.
            world: the processes of the run.
        """
        per_pass = micro_batch_tokens or max(batch_tokens // world.size, 1)
        row_length = per_pass if kind.is_forward_pass else max(longest, SHORTEST_LENGTH)
        share = max(batch_tokens // row_length // world.size, 1)
        rows_per_pass = min(max(per_pass // row_length, 1), share)
        return cls(kind, row_length, share * world.size, rows_per_pass, num_workers, world)

    def measure(self, entries: Sequence[EncodedPairs]) -> EpochSize:
        """Return the size of an epoch; of very large data, from its first examples."""
        sides = list(chain.from_iterable(entry.sides for entry in entries))
        if not sides:
            return EpochSize(0.0, 0.0)
        some = sides[:LARGEST_WINDOW]
        num_rows, num_positions = self.kind.measure(some, self.row_length)
        padding = 1 - sum(map(sum, some)) / num_positions
        return EpochSize(num_rows * len(sides) / len(some), padding)

    def steps(
        self, source: ExampleSource, window_size: int, state: DataState
    ) -> Iterator[StepBatches]:
        """Yield this process's share of one step after another.

        Args:
            source: draws the examples.
            window_size: examples grouped or packed together.
            state: where to begin.
        """
        stream = RowStream(
            source,
            row_length=self.row_length,
            num_workers=self.num_workers,
            window_size=window_size,
            state=state,
        )
        return stream.micro_batches(
            batch_size=self.rows_per_step,
            micro_batch_size=self.rows_per_pass,
            rank=self.world.rank,
            world_size=self.world.size,
        )

    def held_out(
        self, source: ExampleSource, max_samples: int, *, is_shared: bool
    ) -> list[TrainBatch]:
        """Return the first examples in batches, the same at every call.

        Args:
            source: draws the examples.
            max_samples: how many at most.
            is_shared: give each process a share; otherwise each gets all of them.
        """
        return validation_batches(
            source,
            row_length=self.row_length,
            batch_size=self.rows_per_pass,
            max_samples=max_samples,
            rank=self.world.rank if is_shared else 0,
            world_size=self.world.size if is_shared else 1,
        )

    def __str__(self) -> str:
        return f"{self.rows_per_step} {self.kind.name} of {self.row_length} positions per step"
