"""Which source a sample comes from: shares by weight or by size, and an exact, O(1) schedule.

Sample numbers are divided into blocks of `BLOCK_SIZE`; an epoch with shares of its own begins a new
one and is divided evenly. In a block every source has a fixed quota (its share, rounded), and its
occurrences are spread evenly over the block with a seeded jitter. So the source of a sample, and
how many samples of that source came before it, follow from the number alone. What a source does
with its running index is in `sampling`.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unblank.examples import IntArray

__all__ = ["SourceSchedule", "TemperatureSchedule", "size_shares", "temperature_schedule"]

BLOCK_SIZE = 8192
"""Samples in a block: shares are exact to 1/8192, and no source gets less than that."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureSchedule:
    """The temperature of size sampling in epoch i: min(end, start + i / epochs * (end - start)).

    GanLM, Eqs. 11-12: shares proportional to size ** (1 / temperature), so that small sources grow
    as training proceeds. With `start` = `end` it is fixed, the same as alpha = 1 / temperature.
    """

    start: float = 1.0
    """Temperature of the first epoch; 1 is proportional to size."""
    end: float = 5.0
    """Temperature from the end of `epochs` epochs on."""
    epochs: int = 5
    """Epochs over which the temperature moves from `start` to `end`."""

    def __post_init__(self) -> None:
        is_possible = 0 < self.start <= self.end < math.inf  # of NaN nothing is
        if not is_possible or self.epochs < 1:
            raise ValueError(
                "a temperature schedule needs finite 0 < start <= end and epochs >= 1, got "
                f"start={self.start}, end={self.end}, epochs={self.epochs}"
            )

    def temperature(self, epoch: int) -> float:
        """Return the temperature of `epoch`, counted from 0."""
        return min(self.end, self.start + epoch / self.epochs * (self.end - self.start))


def temperature_schedule(
    start: float | None, end: float | None, epochs: int | None
) -> TemperatureSchedule | None:
    """Return the schedule of which all is given; otherwise there is none."""
    if start is None or end is None or epochs is None:
        return None
    return TemperatureSchedule(start=start, end=end, epochs=epochs)


def size_shares(sizes: Sequence[float], alpha: float = 1.0) -> FloatArray:
    """Return float64[S], the shares proportional to `sizes ** alpha` (temperature 1 / alpha)."""
    powers = np.asarray(sizes, dtype=np.float64) ** alpha
    return np.asarray(powers / powers.sum(), dtype=np.float64)


def block_quotas(shares: FloatArray, block_size: int = BLOCK_SIZE) -> IntArray:
    """Return int64[S], how many samples of a block each source gets; they sum to `block_size`.

    Shares are rounded by largest remainder, except that no source falls below one sample.
    """
    exact = shares * block_size
    quotas = np.maximum(np.floor(exact), 1).astype(np.int64)
    while (missing := block_size - int(quotas.sum())) != 0:
        owed = np.where(quotas > 1, exact - quotas, np.inf) if missing < 0 else exact - quotas
        quotas[np.argmax(owed) if missing > 0 else np.argmin(owed)] += np.sign(missing)
    return quotas


@dataclass(frozen=True, slots=True)
class _Phase:
    """Samples that are drawn with the same shares.

    Attributes:
        first_sample: number of its first sample.
        first_block: blocks before it.
        num_samples: of the phase; None if it never ends.
        num_blocks: that these are divided into, as evenly as can be.
        quotas: block size -> int64[S], samples of each source in a block.
        taken: int64[S], samples of each source before the phase.
    """

    first_sample: int
    first_block: int
    num_samples: int | None
    num_blocks: int
    quotas: dict[int, IntArray]
    taken: IntArray

    @classmethod
    def after(cls, other: "_Phase | None", shares: FloatArray, num_samples: int | None) -> "_Phase":
        """Return the phase that follows another, or begins at sample 0."""
        num_blocks = 1 if num_samples is None else -(-num_samples // BLOCK_SIZE)
        smallest = BLOCK_SIZE if num_samples is None else num_samples // num_blocks
        is_even = num_samples is None or smallest * num_blocks == num_samples
        sizes = (smallest,) if is_even else (smallest, smallest + 1)
        return cls(
            first_sample=0 if other is None else other.first_sample + (other.num_samples or 0),
            first_block=0 if other is None else other.first_block + other.num_blocks,
            num_samples=num_samples,
            num_blocks=num_blocks,
            quotas={size: block_quotas(shares, size) for size in sizes},
            taken=np.zeros(len(shares), np.int64)
            if other is None
            else other.taken + other.drawn_before(other.num_blocks),
        )

    def begin(self, block: int) -> int:
        """Return how many samples of the phase come before one of its blocks."""
        if self.num_samples is None:
            return block * BLOCK_SIZE
        return block * self.num_samples // self.num_blocks

    def drawn_before(self, block: int) -> IntArray:
        """Return int64[S], the samples of each source in the blocks of the phase before one."""
        smallest, largest = min(self.quotas), max(self.quotas)
        num_larger = self.begin(block) - block * smallest
        return (block - num_larger) * self.quotas[smallest] + num_larger * self.quotas[largest]

    def block_of(self, offset: int) -> int:
        """Return the block of the phase that its sample `offset` is in."""
        if self.num_samples is None:
            return offset // BLOCK_SIZE
        return ((offset + 1) * self.num_blocks - 1) // self.num_samples


class SourceSchedule:
    """Sample number -> (source, index of the sample among those of its source).

    An epoch is one pass over everything: `sum(sizes)` samples.

    Args:
        sizes: samples that one pass over each source gives.
        seed: seed of the order of sources inside blocks.
        weights: the shares of the sources, in any unit; default: by size.
        alpha: shares of the tokens proportional to `tokens ** alpha`; 1 is proportional to size.
        temperature: the same with an exponent of 1 / temperature that changes by epoch.
        sample_tokens: tokens of a sample of each source, on average, which `alpha` and
            `temperature` go by; default: all the same.

    Raises:
        ValueError: if more than one of weights, alpha and temperature is given, or one is out of
            range, or there are more sources than a block has samples.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        seed: int,
        weights: Sequence[float] | None = None,
        alpha: float | None = None,
        temperature: TemperatureSchedule | None = None,
        sample_tokens: Sequence[float] | None = None,
    ) -> None:
        _check(sizes, weights, alpha, temperature)
        self._seed = seed
        if temperature is not None:
            num_epochs = temperature.epochs if temperature.start < temperature.end else 0
            exponents = [1 / temperature.temperature(epoch) for epoch in range(num_epochs + 1)]
        else:
            exponents = [1.0 if alpha is None else alpha]
        shares = [_token_shares(sizes, sample_tokens, exponent) for exponent in exponents]
        if weights is not None:
            shares = [size_shares(weights)]
        phase: _Phase | None = None
        self._phases: list[_Phase] = []
        for number, of_epoch in enumerate(shares):
            is_last = number + 1 == len(shares)
            phase = _Phase.after(phase, of_epoch, None if is_last else sum(sizes))
            self._phases.append(phase)
        self._first_samples = [phase.first_sample for phase in self._phases]

    def locate(self, number: int) -> tuple[int, int]:
        """Return the source of sample `number` and its index among the samples of that source."""
        before, place, sources, ranks = self._block_of(number)
        source = int(sources[place])
        return source, int(before[source]) + int(ranks[place])

    def count_before(self, number: int) -> IntArray:
        """Return int64[S], how many of the samples before `number` come from each source."""
        before, place, sources, _ = self._block_of(number)
        of_block = np.bincount(sources[:place], minlength=len(before))
        return np.asarray(before + of_block, dtype=np.int64)

    def _block_of(self, number: int) -> tuple[IntArray, int, IntArray, IntArray]:
        """Return of a sample's block: the counts before it, the sample's place, sources, ranks."""
        phase = self._phases[bisect_right(self._first_samples, number) - 1]
        offset = number - phase.first_sample
        block = phase.block_of(offset)
        begin = phase.begin(block)
        quotas = phase.quotas[phase.begin(block + 1) - begin]
        sources, ranks = _spread(self._seed, phase.first_block + block, tuple(quotas.tolist()))
        return phase.taken + phase.drawn_before(block), offset - begin, sources, ranks


def _check(
    sizes: Sequence[int],
    weights: Sequence[float] | None,
    alpha: float | None,
    temperature: TemperatureSchedule | None,
) -> None:
    given = [
        name
        for name, value in (("weights", weights), ("alpha", alpha), ("temperature", temperature))
        if value is not None
    ]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} exclude each other: give only one of them")
    if not 1 <= len(sizes) <= BLOCK_SIZE // 2:
        raise ValueError(f"between 1 and {BLOCK_SIZE // 2} sources can be mixed, got {len(sizes)}")
    is_weighted = weights is None or all(0 < weight < math.inf for weight in weights)
    if weights is not None and (len(weights) != len(sizes) or not is_weighted):
        raise ValueError(
            f"weights must be one positive number for each of the {len(sizes)} sources, got "
            f"{tuple(weights)}; to leave a source out of the mixture, leave it out of the list"
        )
    if alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(
            f"alpha must lie in [0, 1] (0: all sources equal, 1: proportional to size), got {alpha}"
        )


def _token_shares(
    sizes: Sequence[int], sample_tokens: Sequence[float] | None, exponent: float
) -> FloatArray:
    """Return the shares of samples by which the shares of tokens are `tokens ** exponent`."""
    if sample_tokens is None or exponent == 1:  # every sample once an epoch
        return size_shares(sizes, exponent)
    lengths = np.asarray(sample_tokens, dtype=np.float64)
    tokens = np.asarray(sizes) * lengths
    shares = size_shares(tokens.tolist(), exponent) / lengths
    return np.asarray(shares / shares.sum(), dtype=np.float64)


# Samples are asked for nearly in order, so a few blocks suffice.
@lru_cache(maxsize=8)
def _spread(seed: int, block: int, quotas: tuple[int, ...]) -> tuple[IntArray, IntArray]:
    """Source and rank of each sample of a block, both int64[samples of the block].

    The r-th occurrence of a source with quota q falls at a random instant of the r-th of q equal
    parts of the block, so every stretch of samples holds the sources in nearly their shares.
    """
    sources = np.repeat(np.arange(len(quotas)), quotas)
    ranks = np.concatenate([np.arange(quota) for quota in quotas])
    jitter = np.random.default_rng((seed, block, len(quotas))).random(len(sources))
    instants = (ranks + jitter) / np.asarray(quotas)[sources]
    order = np.argsort(instants, kind="stable")
    return sources[order], ranks[order]
