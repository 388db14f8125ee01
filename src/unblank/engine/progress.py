"""How far a run is: the counters that a checkpoint keeps beside tensors.

`Window` sums what happened since the last line of `metrics.jsonl`; it is part of the checkpoint so
that the first line after a resume is that of an uninterrupted run.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Progress", "Window"]


@dataclass(slots=True)
class Window:
    """Sums since the last logged line, over all processes."""

    loss_sums: dict[str, float] = field(default_factory=dict)
    """Name of a loss -> its sum over the scored tokens of finite steps."""
    counts: dict[str, int] = field(default_factory=dict)
    """Name of a loss -> the number of those tokens."""
    shares: dict[str, list[float]] = field(default_factory=dict)
    """Name of a measured share -> [hits, out of], over finite steps."""
    gradient_norms: list[float] = field(default_factory=list)
    """Norm of each update's gradient before clipping."""
    steps: int = 0
    """Steps, skipped ones included."""
    used_positions: int = 0
    """Number of positions with a token."""
    total_positions: int = 0
    """Number of positions of the rows, padding included."""
    seconds: float = 0.0
    """Seconds spent in steps, waiting for data included."""

    def add_losses(self, loss_sums: dict[str, float], counts: dict[str, int]) -> None:
        """Add one finite step."""
        for name, loss_sum in loss_sums.items():
            self.loss_sums[name] = self.loss_sums.get(name, 0.0) + loss_sum
            self.counts[name] = self.counts.get(name, 0) + counts[name]

    def add_shares(self, shares: dict[str, list[float]]) -> None:
        """Add what one finite step measured."""
        for name, (hits, total) in shares.items():
            before = self.shares.get(name, [0.0, 0.0])
            self.shares[name] = [before[0] + hits, before[1] + total]

    def means(self) -> dict[str, float]:
        """Return the mean of each loss per scored token."""
        return {name: total / max(self.counts[name], 1) for name, total in self.loss_sums.items()}

    def mean_shares(self) -> dict[str, float]:
        """Return each measured share in [0, 1]."""
        return {name: hits / max(total, 1.0) for name, (hits, total) in self.shares.items()}


@dataclass(slots=True)
class Progress:
    """Counters of the whole run, and the open window."""

    step: int = 0
    """Number of optimiser steps done, skipped ones included."""
    samples: int = 0
    """Samples seen."""
    tokens: int = 0
    """Number of positions with a token seen so far (Part A and Part B)."""
    skipped_steps: int = 0
    """Number of steps whose loss or gradient was not finite."""
    nonfinite_in_a_row: int = 0
    """Number of such steps in a row, up to the latest."""
    window: Window = field(default_factory=Window)
    """What has happened since the last logged line."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Progress":
        """Return the counters that `to_json` wrote."""
        return cls(**{**values, "window": Window(**values["window"])})
