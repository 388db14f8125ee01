"""The tensors of a checkpoint: weights and optimiser state to safetensors and back, no pickles.

Tensors are identified by name, and a process holds all their values or its shards of them (FSDP).
They are written from where they are, and read into live tensors.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from unblank.engine.written_tensors import order_in_file, write_tensors
from unblank.integrity import SHARDED_NAME
from unblank.quiet import without_progress_bar
from unblank.untrusted.sharded_weights import (
    CheckpointPart,
    is_sharded,
    named,
    shapes_in,
    whole_tensors,
)
from unblank.untrusted.weight_files import opened_weights

__all__ = [
    "LARGEST_FILE",
    "State",
    "fill_from",
    "load_optimizers",
    "local",
    "named_moments",
    "named_weights",
    "put_weights",
    "save_model_folder",
    "save_tensors",
    "shard_again",
    "trained_weights",
    "whole",
]

_OPTIMIZER_NAME = "optimizer.safetensors"
AVERAGE_NAME = "average.safetensors"
"""File of a checkpoint with the moving average."""
_FILES: dict[CheckpointPart, str] = {
    "weights": "model*.safetensors",
    "moments": _OPTIMIZER_NAME,
    "average": AVERAGE_NAME,
}

State = dict[str, Tensor]
"""Name -> tensor."""

LARGEST_FILE = "5GB"
"""Above it, weights are divided into several files, as transformers' own are."""


def named_weights(model: PreTrainedModel) -> State:
    """Return the live weights that a folder of the model holds; a tied one has one name.

    Args:
        model: the bare model, perhaps sharded; then every process must call this.
    """
    shard_again(model)
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    return {name: value for name, value in model.state_dict().items() if name not in tied}


def trained_weights(model: nn.Module) -> State:
    """Return the live weights that are trained, by name, as `named_weights` does."""
    shard_again(model)
    return {
        name: parameter.detach()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def named_moments(model: nn.Module, optimizers: Sequence[Optimizer]) -> State:
    """Return the live optimiser state: `<parameter>/<name of the moment>` -> tensor."""
    shard_again(model)
    names: dict[Tensor, str] = {value: name for name, value in model.named_parameters()}
    return {
        f"{names[parameter]}/{key}": value
        for optimizer in optimizers
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
    }


def local(tensor: Tensor) -> Tensor:
    """Return the values of a tensor that this process holds."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """Return all values of a tensor; of a sharded one, every process must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def put_weights(model: nn.Module, weights: Iterable[tuple[str, Tensor]]) -> None:
    """Put whole weights into a live model, replicated or sharded; others keep what they are.

    Args:
        model: the bare model.
        weights: name and values, the same in every process.

    Raises:
        ValueError: if the model has no parameter of one of the names.
    """
    shard_again(model)
    own = dict(model.named_parameters())
    for name, values in weights:
        _put(_of_name(own, name), values)


def fill_from(folder: Path, part: CheckpointPart, tensors: Mapping[str, Tensor]) -> None:
    """Put what a checkpoint holds of one part of it into live tensors.

    Args:
        folder: a checkpoint that is not damaged.
        part: of it.
        tensors: name -> live tensor, of every name that the checkpoint has; whole or sharded.

    Raises:
        ValueError: the checkpoint has other names, or is damaged.
    """
    shapes = _saved_shapes(folder, part)
    for name, shape in shapes.items():
        if tuple(_of_name(tensors, name).shape) != shape:
            raise ValueError(
                f"{folder} has {name} of shape {list(shape)} among its {part}, but the model's is "
                f"{list(tensors[name].shape)}: restore the files from a copy"
            )
    if lacking := sorted(set(tensors) - set(shapes)):
        raise ValueError(
            f"{folder} lacks {lacking[0]} among its {part} ({len(lacking)} in all): it belongs to "
            "another model, or to a run with other settings"
        )
    if is_sharded(folder) and any(isinstance(tensor, DTensor) for tensor in tensors.values()):
        # Each process reads what its shards need.
        load(
            {named(part, name): tensor.detach() for name, tensor in tensors.items()},
            storage_reader=HuggingFaceStorageReader(str(folder / SHARDED_NAME)),
        )
        return
    for name, values in _saved(folder, part):
        _put(tensors[name], values)


def load_optimizers(folder: Path, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
    """Put a checkpoint's optimiser state into live optimisers.

    Args:
        folder: a checkpoint folder that is not damaged.
        model: the model, replicated or sharded as it will train.
        optimizers: over its parameters.

    Raises:
        ValueError: if the model has no parameter of one of the names.
    """
    shard_again(model)
    own = dict(model.named_parameters())
    owners = {
        parameter: optimizer
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for name, shape in _saved_shapes(folder, "moments").items():
        parameter_name, _, key = name.rpartition("/")
        parameter = _of_name(own, parameter_name)
        # Moments have the shape of their parameter, and are sharded as it is; counts do not.
        owners[parameter].state[parameter][key] = (
            torch.zeros_like(parameter) if shape else torch.zeros((), device=parameter.device)
        )
    fill_from(folder, "moments", named_moments(model, optimizers))


def shard_again(model: nn.Module) -> None:
    """Shard a model again: a forward pass without a backward pass leaves its root gathered."""
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


def save_model_folder(
    folder: Path, model: PreTrainedModel, weights: State, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Write weights, configuration and tokenizer as a folder that transformers opens."""
    with without_progress_bar():
        # A copy of the dict, as save_pretrained empties the one it is given. transformers' own: the
        # card is written where the finished model goes, beside its record.
        PreTrainedModel.save_pretrained(
            model, folder, state_dict=dict(weights), max_shard_size=LARGEST_FILE
        )
    tokenizer.save_pretrained(folder)


def save_tensors(folder: Path, part: CheckpointPart, tensors: Mapping[str, Tensor]) -> None:
    """Write the whole tensors of a part of a checkpoint that is not its weights."""
    values = (tensors[name] for name in order_in_file(tensors))
    write_tensors(folder / _FILES[part], tensors, values)


@torch.no_grad()
def _put(target: Tensor, values: Tensor) -> None:
    if isinstance(target, DTensor):
        # None: every process has all values, so none is asked for them.
        values = distribute_tensor(
            values.to(target.device), target.device_mesh, target.placements, src_data_rank=None
        )
    target.copy_(values)


def _of_name(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    try:
        return tensors[name]
    except KeyError:
        raise ValueError(f"the model has no parameter {name!r}, which the checkpoint has") from None


def _saved(folder: Path, part: CheckpointPart) -> Iterator[tuple[str, Tensor]]:
    """Yield name and values of the whole tensors of a part of a checkpoint, one at a time."""
    if is_sharded(folder):
        yield from whole_tensors(folder, part)
        return
    for path in sorted(folder.glob(_FILES[part])):
        with opened_weights(path) as file:
            names = list(file.keys())
        for name in names:
            # Opened for each, as what has been read of an open file stays in memory.
            with opened_weights(path) as file:
                yield name, file.get_tensor(name)


def _saved_shapes(folder: Path, part: CheckpointPart) -> dict[str, tuple[int, ...]]:
    if is_sharded(folder):
        return shapes_in(folder, part)
    shapes: dict[str, tuple[int, ...]] = {}
    for path in folder.glob(_FILES[part]):
        with opened_weights(path) as file:
            for name in file.keys():  # noqa: SIM118
                shapes[name] = tuple(file.get_slice(name).get_shape())
    return shapes
