"""The losses of held-out batches, over all processes, also of some of them alone."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from transformers import PreTrainedModel

from unblank.engine.parallel import World
from unblank.engine.precision import Precision
from unblank.engine.units import TokenLoss, TrainUnit

__all__ = ["HeldOutLosses", "held_out_losses"]

_Part = TypeVar("_Part", bound=Hashable)


@dataclass(frozen=True, slots=True)
class HeldOutLosses(Generic[_Part]):
    """What a unit's losses came to.

    Attributes:
        weights: name of each loss -> its factor in the total.
        sums: part of the batches -> name of each loss -> its sum, and the tokens that it scores.
    """

    weights: Mapping[str, float]
    sums: Mapping[_Part, Mapping[str, tuple[float, float]]]

    def each(self, parts: Collection[_Part] | None = None) -> dict[str, float]:
        """Return each loss per scored token, over some parts or, if None, all of them."""
        chosen = [self.sums[part] for part in (self.sums if parts is None else parts)]
        means = {}
        for name in self.weights:
            total = sum(sums[name][0] for sums in chosen)
            means[name] = total / max(sum(sums[name][1] for sums in chosen), 1)
        return means

    def total(self, parts: Collection[_Part] | None = None) -> float:
        """Return the weighted sum of the losses, each per scored token."""
        return sum(self.weights[name] * mean for name, mean in self.each(parts).items())


def held_out_losses(
    model: PreTrainedModel,
    unit: TrainUnit,
    batches: Mapping[_Part, Sequence[Any]],
    world: World,
    precision: Precision,
) -> HeldOutLosses[_Part]:
    """Measure a unit's losses.

    Args:
        model: in evaluation mode.
        unit: gives the losses of a batch.
        batches: part, the same ones in every process -> its batches in this one, which may be none.
        world: sums are taken over all its processes.
        precision: of the forward passes.

    Raises:
        MeasurementInterrupted: the end of the run was asked for.
    """
    names = list(unit.weights)
    found: list[float] = []

    def measure_own() -> None:
        with torch.no_grad(), precision.autocast(world.device):
            for part in batches.values():
                sums, counts = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
                for batch in part:
                    losses: Mapping[str, TokenLoss] = unit(model, batch, world.device)
                    for name, loss in losses.items():
                        sums[name] += float(loss.loss_sum)
                        counts[name] += loss.num_scored
                found.extend([*sums.values(), *counts.values()])

    world.alone(measure_own, model)
    totals = iter(world.sum(found))
    table = {}
    for key in batches:
        sums_of_part = [next(totals) for _ in names]
        table[key] = {name: (sums_of_part[place], next(totals)) for place, name in enumerate(names)}
    return HeldOutLosses(dict(unit.weights), table)
