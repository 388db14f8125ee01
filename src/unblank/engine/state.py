"""The tensors of a checkpoint: weights and optimiser state to safetensors and back, no pickles.

Works the same for one process, replicas (DDP) and shards (FSDP): states are gathered whole on the
main process, which writes them, and are spread from there when read.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch.distributed.checkpoint.state_dict as dcp
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.optim import Optimizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from unblank.engine.parallel import World
from unblank.plurals import counted
from unblank.quiet import without_progress_bar
from unblank.untrusted.weight_files import tensors_in

__all__ = [
    "gather_state",
    "load_optimizers",
    "load_weights",
    "save_model_folder",
    "save_optimizer",
    "shard_again",
]

OPTIMIZER_NAME = "optimizer.safetensors"

State = dict[str, Tensor]

ModelWriter = Callable[[Path, PreTrainedModel, State, PreTrainedTokenizerBase], None]
"""(empty folder, model, its weights, its tokenizer) -> files that transformers opens."""


def gather_state(model: nn.Module, optimizers: Sequence[Optimizer]) -> tuple[State, State]:
    """Return the whole weights and optimiser state on the CPU (empty on other processes).

    The optimiser state is flat: `<parameter>/<name of the moment>` -> tensor. Every process must
    call this.
    """
    # On the CPU, as a second copy of weights and moments may not fit on a GPU.
    options = dcp.StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights, optimizer_state = dcp.get_state_dict(model, optimizers, options=options)
    moments = {
        f"{name}/{key}": value
        for name, values in cast("dict[str, Any]", optimizer_state.get("state", {})).items()
        for key, value in values.items()
    }
    return cast("State", weights), moments


def load_weights(model: nn.Module, weights: State, world: World) -> None:
    """Put weights into a live model, replicated or sharded; parameters not named keep theirs.

    Args:
        model: the bare model.
        weights: name -> tensor; read in the main process only.
        world: the processes of the run; all must call this.

    Raises:
        ValueError: if the model has no parameter of one of the names.
    """
    names = {name for name, _ in model.named_parameters()}
    unknown = sorted(set(weights) - names)
    if unknown:
        raise ValueError(
            f"the model has no parameter {unknown[0]!r} ({counted(len(unknown), 'such name')})"
        )
    if world.size == 1:
        # Not strict: frozen parameters are not among them.
        model.load_state_dict(weights, strict=False)
        return
    shard_again(model)
    options = dcp.StateDictOptions(
        full_state_dict=True, broadcast_from_rank0=True, strict=False, ignore_frozen_params=True
    )
    dcp.set_model_state_dict(model, cast("dict[str, Any]", weights), options=options)


def shard_again(model: nn.Module) -> None:
    """Let no part of a sharded model stay whole: a forward pass alone leaves the root so."""
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


def save_model_folder(
    folder: Path, model: PreTrainedModel, weights: State, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Write weights, configuration and tokenizer as a folder that transformers opens."""
    with without_progress_bar():
        # One file of any size; a copy of the dict, as save_pretrained empties the one it is given.
        # transformers' own: the card is written where the finished model goes, beside its record.
        PreTrainedModel.save_pretrained(
            model, folder, state_dict=dict(weights), max_shard_size="10TB"
        )
    tokenizer.save_pretrained(folder)


def save_optimizer(folder: Path, moments: State) -> None:
    """Write the flat optimiser state."""
    save_file(
        # safetensors refuses tensors that are not contiguous.
        {name: value.contiguous() for name, value in moments.items()},
        folder / OPTIMIZER_NAME,
    )


def load_optimizers(
    folder: Path, model: nn.Module, optimizers: Sequence[Optimizer], world: World
) -> None:
    """Put a checkpoint's optimiser state into live optimisers.

    Args:
        folder: a checkpoint folder that is not damaged.
        model: the model, replicated or sharded as it will train.
        optimizers: over its parameters.
        world: the processes of the run; all must call this, the main one reads.
    """
    is_shared = world.size > 1
    options = dcp.StateDictOptions(full_state_dict=True, broadcast_from_rank0=is_shared)
    groups = dcp.get_optimizer_state_dict(model, optimizers)["param_groups"]
    state: dict[str, Any] = {}
    for name, value in tensors_in(folder / OPTIMIZER_NAME).items() if world.is_main else ():
        parameter, _, key = name.rpartition("/")
        state.setdefault(parameter, {})[key] = value
    dcp.set_optimizer_state_dict(
        model, optimizers, {"state": state, "param_groups": groups}, options=options
    )
