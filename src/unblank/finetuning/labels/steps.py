"""Labelled examples dealt to optimiser steps, processes and micro-batches.

The stream is a function of the seed: one permutation of the examples an epoch, one after another,
cut into steps of equal size. Where it is is the number of steps done.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unblank.data.loader import DataState, StepBatches
from unblank.engine.parallel import World, require_equal_shares

__all__ = ["ExampleSteps", "Sample", "Sizes"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One draw of one example.

    Attributes:
        number: of the draw, from 0, over the whole run.
        index: of the example.
        epoch: passes over the examples before this one.
    """

    number: int
    index: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many examples a step has, and which process computes them.

    Attributes:
        batch_size: examples of a step, over all processes.
        micro_batch_size: examples of one forward pass; None for all of a process's share.
        seed: of the order.
        world: the processes; they must divide `batch_size`.
    """

    batch_size: int
    micro_batch_size: int | None
    seed: int
    world: World

    def __post_init__(self) -> None:
        require_equal_shares(self.batch_size, self.world.size)

    @property
    def share(self) -> int:
        """Examples of a step in one process."""
        return self.batch_size // self.world.size

    @property
    def forward_pass(self) -> int:
        """Examples of one forward pass."""
        return self.micro_batch_size or self.share


@dataclass(frozen=True, slots=True)
class ExampleSteps:
    """Which examples each optimiser step learns from.

    Attributes:
        lengths: positions of each example, about; for the speed in the logs.
        sizes: of a step.
    """

    lengths: Sequence[int]
    sizes: Sizes

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass, the last one reaching into the next pass."""
        return -(-len(self.lengths) // self.sizes.batch_size)

    def samples(self, step: int) -> list[Sample]:
        """Return the samples of step `step`, counted from 0, of all processes."""
        size = len(self.lengths)
        numbers = range(step * self.sizes.batch_size, (step + 1) * self.sizes.batch_size)
        orders = {epoch: self._order(epoch) for epoch in {number // size for number in numbers}}
        return [
            Sample(number, int(orders[number // size][number % size]), number // size)
            for number in numbers
        ]

    def __call__(
        self, saved: Mapping[str, int] | None, make_batch: Callable[[list[Sample]], Any]
    ) -> Generator[StepBatches]:
        """Yield one step after another, without end.

        Args:
            saved: the fields of the state of the last step done; None begins.
            make_batch: makes what the run's unit knows of the samples of one forward pass.
        """
        step = saved["window"] if saved else 0
        while True:
            samples = self.samples(step)
            share, size, rank = self.sizes.share, self.sizes.forward_pass, self.sizes.world.rank
            own = samples[rank * share : (rank + 1) * share]
            positions = sum(self.lengths[sample.index] for sample in samples)
            step += 1
            yield StepBatches(
                batches=[make_batch(own[i : i + size]) for i in range(0, share, size)],
                state=DataState(window=step),
                sample_numbers=[sample.number for sample in samples],
                used_positions=positions,
                total_positions=positions,
            )

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.sizes.seed, epoch)).permutation(len(self.lengths))
