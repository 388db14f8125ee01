"""The model of a run as a complete folder, also if no process holds all of it.

Weights are divided into files as transformers divides them, and the files among the processes. Each
tensor is put together when it is written, so no process holds more than one.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.engine.parallel import World
from unblank.engine.state import (
    LARGEST_FILE,
    named_weights,
    save_model_folder,
    trained_weights,
    whole,
)
from unblank.engine.training import TuningMethod
from unblank.engine.written_tensors import order_in_file, take_all, write_tensors
from unblank.untrusted.weight_files import INDEX_NAME

__all__ = ["whole_trained_weights", "write_run_model", "write_weight_files"]


def write_run_model(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    method: TuningMethod,
    world: World,
    *,
    to_continue: bool,
) -> None:
    """Write a model as its method does; every process calls this.

    Args:
        folder: empty, the same for every process.
        model: from the method's `prepare`, perhaps sharded.
        tokenizer: written beside it.
        method: of the run.
        world: the processes of the run.
        to_continue: as for the method's `save`.
    """
    if isinstance(model, FSDPModule) and method.saves_whole_models:
        weights = named_weights(model)
        if not to_continue:
            # On no device, as only its configuration is written.
            with torch.device("meta"):
                model, weights = method.finished(model, weights)
        if world.is_main:
            save_model_folder(folder, model, {}, tokenizer)
        write_weight_files(folder, weights, world)
        return
    is_sharded = isinstance(model, FSDPModule)
    weights = whole_trained_weights(model) if is_sharded else named_weights(model)
    if world.is_main:
        on_cpu = {name: value.cpu() for name, value in weights.items()}
        method.save(folder, model, on_cpu, tokenizer, to_continue=to_continue)


def whole_trained_weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return all of the weights that are trained, in every process; all must call this."""
    return {name: whole(value) for name, value in trained_weights(model).items()}


def write_weight_files(
    folder: Path,
    weights: Mapping[str, Tensor],
    world: World,
    *,
    stem: str = "model",
    largest_file: int | str = LARGEST_FILE,
) -> None:
    """Write weights as safetensors, each file in one process; every process calls this.

    Args:
        folder: the same for every process.
        weights: name -> tensor, perhaps sharded; none is tied to another.
        world: the processes of the run.
        stem: of the names of the files.
        largest_file: in bytes, or as transformers has it; above it there are several files.
    """
    described = {
        name: torch.empty(value.shape, dtype=value.dtype, device="meta")
        for name, value in weights.items()
    }
    plan = split_torch_state_dict_into_shards(
        described, filename_pattern=f"{stem}{{suffix}}.safetensors", max_shard_size=largest_file
    )
    failure: OSError | None = None
    for number, (file_name, names) in enumerate(plan.filename_to_tensors.items()):
        in_file = {name: described[name] for name in names}
        gathered = (whole(weights[name].detach()) for name in order_in_file(in_file))
        if number % world.size != world.rank or failure is not None:
            take_all(gathered)
            continue
        try:
            write_tensors(folder / file_name, in_file, gathered)
        except OSError as error:  # raised later: the others wait for this process's shards
            failure = error
    if failure is not None:
        raise failure
    if world.is_main and plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        path = folder / INDEX_NAME.replace("model", stem, 1)
        path.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
