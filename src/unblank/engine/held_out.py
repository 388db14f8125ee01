"""The loss of held-out batches, over all processes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from unblank.engine.parallel import World
from unblank.engine.precision import Precision
from unblank.engine.units import TokenLoss, TrainUnit

__all__ = ["held_out_loss"]


def held_out_loss(
    model: PreTrainedModel,
    unit: TrainUnit,
    batches: Sequence[Any],
    world: World,
    precision: Precision,
) -> float:
    """Return the weighted sum of a unit's losses, each per scored token.

    Args:
        model: in evaluation mode.
        unit: gives the losses of a batch.
        batches: of this process, which may be none.
        world: sums are taken over all its processes.
        precision: of the forward passes.

    Raises:
        BrokenOff: the end of the run was asked for.
    """
    names = list(unit.weights)
    sums, counts = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)

    def measure_own() -> None:
        with torch.no_grad(), precision.autocast(world.device):
            for batch in batches:
                losses: Mapping[str, TokenLoss] = unit(model, batch, world.device)
                for name, loss in losses.items():
                    sums[name] += float(loss.loss_sum)
                    counts[name] += loss.num_scored

    world.alone(measure_own, model)
    totals = world.sum([*sums.values(), *counts.values()])
    pairs = zip(names, totals[: len(names)], totals[len(names) :], strict=True)
    return sum(unit.weights[name] * total / max(count, 1) for name, total, count in pairs)
