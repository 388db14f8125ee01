"""Which source a sample comes from: shares by weight or by size, and an exact, O(1) schedule.

Sample numbers are divided into blocks of `BLOCK_SIZE`. In a block every source has a fixed quota
(its share, rounded), and its occurrences are spread evenly over the block with a seeded jitter. So
the source of a sample, and how many samples of that source came before it, follow from the number
alone. What a source does with its running index is in `sampling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unblank.examples import IntArray

__all__ = ["SourceSchedule", "TemperatureSchedule"]

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
        if self.start <= 0 or self.end < self.start or self.epochs < 1:
            raise ValueError(
                "a temperature schedule needs 0 < start <= end and epochs >= 1, got "
                f"start={self.start}, end={self.end}, epochs={self.epochs}"
            )

    def temperature(self, epoch: int) -> float:
        """Return the temperature of `epoch`, counted from 0."""
        return min(self.end, self.start + epoch / self.epochs * (self.end - self.start))


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


class SourceSchedule:
    """Sample number -> (source, index of the sample among those of its source).

    An epoch is one pass over everything: `sum(sizes)` samples, rounded up to whole blocks where a
    temperature schedule changes the shares.

    Args:
        sizes: samples that one pass over each source gives.
        seed: seed of the order of sources inside blocks.
        weights: the shares of the sources, in any unit; default: by size.
        alpha: shares proportional to `sizes ** alpha`; 1 is proportional to size.
        temperature: the same with an exponent of 1 / temperature that changes by epoch.

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
    ) -> None:
        _check(sizes, weights, alpha, temperature)
        self._seed = seed
        if weights is not None:
            phases = {0: size_shares(weights)}
        elif temperature is not None:
            phases = _temperature_phases(sizes, temperature)
        else:
            phases = {0: size_shares(sizes, 1.0 if alpha is None else alpha)}
        self._first_blocks = np.array(list(phases), dtype=np.int64)
        self._quotas = [block_quotas(shares) for shares in phases.values()]
        # Samples that each source gave before the phase begins.
        taken = np.zeros(len(sizes), dtype=np.int64)
        self._taken = [taken]
        for blocks, quotas in zip(np.diff(self._first_blocks), self._quotas, strict=False):
            taken = taken + blocks * quotas
            self._taken.append(taken)

    def locate(self, number: int) -> tuple[int, int]:
        """Return the source of sample `number` and its index among the samples of that source."""
        block, offset = divmod(number, BLOCK_SIZE)
        phase = int(np.searchsorted(self._first_blocks, block, side="right")) - 1
        quotas = self._quotas[phase]
        sources, ranks = _spread(self._seed, block, tuple(quotas.tolist()))
        source = int(sources[offset])
        blocks_before = block - int(self._first_blocks[phase])
        before = int(self._taken[phase][source]) + blocks_before * int(quotas[source])
        return source, before + int(ranks[offset])


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
    if weights is not None and (len(weights) != len(sizes) or min(weights) <= 0):
        raise ValueError(
            f"weights must be one positive number for each of the {len(sizes)} sources, got "
            f"{tuple(weights)}; to leave a source out of the mixture, leave it out of the list"
        )
    if alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(
            f"alpha must lie in [0, 1] (0: all sources equal, 1: proportional to size), got {alpha}"
        )


def _temperature_phases(
    sizes: Sequence[int], temperature: TemperatureSchedule
) -> dict[int, FloatArray]:
    """First block -> shares, one phase an epoch; epochs shorter than a block are passed over."""
    epoch_size = sum(sizes)
    return {
        -(-epoch * epoch_size // BLOCK_SIZE): size_shares(sizes, 1 / temperature.temperature(epoch))
        for epoch in range(temperature.epochs + 1)
    }


# Samples are asked for nearly in order, so a few blocks suffice.
@lru_cache(maxsize=8)
def _spread(seed: int, block: int, quotas: tuple[int, ...]) -> tuple[IntArray, IntArray]:
    """Source and rank of each sample of a block, both int64[BLOCK_SIZE].

    The r-th occurrence of a source with quota q falls at a random instant of the r-th of q equal
    parts of the block, so every stretch of samples holds the sources in nearly their shares.
    """
    sources = np.repeat(np.arange(len(quotas)), quotas)
    ranks = np.concatenate([np.arange(quota) for quota in quotas])
    jitter = np.random.default_rng((seed, block, len(quotas))).random(BLOCK_SIZE)
    instants = (ranks + jitter) / np.asarray(quotas)[sources]
    order = np.argsort(instants, kind="stable")
    return sources[order], ranks[order]
