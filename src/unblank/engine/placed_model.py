"""The model of a run in its processes: whole in each of them, or never whole in any.

A model that is sharded is built without memory and divided. Only then each process fills its
shards: from the files of the checkpoint that it continues; or one tensor after another, with the
values that the whole model would have.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from unblank.deferred_values import DeferredValues
from unblank.engine.parallel import World, share_model
from unblank.engine.shared_folders import agree
from unblank.engine.state import fill_from, local, named_weights, put_weights
from unblank.engine.units import TrainUnit, UnitModule
from unblank.models.finite import require_finite

__all__ = ["place_model"]


def place_model(
    build: Callable[[], tuple[PreTrainedModel, TrainUnit]],
    world: World,
    *,
    parallel: Literal["ddp", "fsdp"],
    shard_group: int | None,
    checkpoint: Path | None,
) -> tuple[PreTrainedModel, nn.Module]:
    """Return the model of a run, and the module that every process calls.

    Args:
        build: makes the model, and the losses that are computed with it.
        world: the processes; all must call this.
        parallel: how they hold the model.
        shard_group: as for `share_model`.
        checkpoint: that holds all weights of the model; None if some come from elsewhere.

    Raises:
        ValueError: as `build` and `share_model`, or the checkpoint belongs to another model.
        CheckpointError: the checkpoint has weights that are not finite.
    """

    def shared(built: tuple[PreTrainedModel, TrainUnit]) -> tuple[PreTrainedModel, nn.Module]:
        model, unit = built
        module = UnitModule(model, unit, world.device)
        return model, share_model(module, world, parallel, shard_group)

    if parallel == "ddp" or world.size == 1:
        model, unit = build()
        return shared((model.to(world.device), unit))
    if checkpoint is not None:
        with torch.device("meta"):
            built = build()
        model, module = shared(built)
        _take_memory(model, world.device)
        fill_from(checkpoint, "weights", named_weights(model))
        _require_finite_shards(model, checkpoint, world)
        return model, module
    with DeferredValues() as deferred:
        built = build()
    values = deferred.values_of(built[0])
    model, module = shared(built)
    _take_memory(model, world.device)
    put_weights(model, values)
    return model, module


def _take_memory(model: nn.Module, device: torch.device) -> None:
    """Give each parameter of the meta device memory of its own, without values; ties stay."""
    made: dict[nn.Parameter, nn.Parameter] = {}
    for part in model.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            if parameter not in made:
                values = torch.empty_like(parameter, device=device)
                made[parameter] = nn.Parameter(values, requires_grad=parameter.requires_grad)
            setattr(part, name, made[parameter])


def _require_finite_shards(model: nn.Module, folder: Path, world: World) -> None:
    """Refuse weights that are not finite in all processes, whichever one has them."""
    failure = None
    try:
        require_finite(((name, local(one)) for name, one in model.named_parameters()), folder)
    except ValueError as error:
        failure = str(error)
    agree(world, failure)
