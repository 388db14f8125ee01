"""The one writer of converted folders: weights shard by shard, then all that belongs to them.

It writes into an empty folder, which `atomic_folders.new_folder` gives its name at the end. Memory
stays at one shard and one tensor.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from unblank.conversion.plan import ConversionPlan, PlannedTensor
from unblank.conversion.source import BLOCK_BYTES, Source, copy_mapped
from unblank.models.finite import is_finite
from unblank.untrusted.weight_files import INDEX_NAME

__all__ = ["write_model"]

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class _ShardWriter:
    """Writes tensors into safetensors files of a bounded size, in the order in which they come.

    Args:
        folder: where the files go.
        shard_bytes: largest file; a larger tensor gets a file of its own.
    """

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        self._folder = folder
        self._limit = shard_bytes
        self._waiting: dict[str, Tensor] = {}
        self._waiting_bytes = 0
        self._shards: list[list[str]] = []
        self._total_bytes = 0

    def add(self, name: str, tensor: Tensor) -> None:
        """Take a tensor that nothing else will change."""
        if self._waiting and self._waiting_bytes + tensor.nbytes > self._limit:
            self._write_shard()
        self._waiting[name] = tensor
        self._waiting_bytes += tensor.nbytes
        self._total_bytes += tensor.nbytes

    def close(self) -> None:
        """Write what is left, and the index if there are several files."""
        self._write_shard()
        count = len(self._shards)
        if count == 1:
            self._temporary(0).rename(self._folder / "model.safetensors")
            return
        places: dict[str, str] = {}
        for number, names in enumerate(self._shards):
            path = self._folder / f"model-{number + 1:05d}-of-{count:05d}.safetensors"
            self._temporary(number).rename(path)
            places |= dict.fromkeys(names, path.name)
        index = {"metadata": {"total_size": self._total_bytes}, "weight_map": places}
        text = json.dumps(index, indent=2) + "\n"
        (self._folder / INDEX_NAME).write_text(text, encoding="utf-8")

    def _write_shard(self) -> None:
        path = self._temporary(len(self._shards))
        save_file(self._waiting, path, metadata={"format": "pt"})
        self._shards.append(list(self._waiting))
        self._waiting.clear()
        self._waiting_bytes = 0

    def _temporary(self, number: int) -> Path:
        # The final names count the files, which are known at the end only.
        return self._folder / f"shard-{number:05d}.tmp"


def write_model(
    plan: ConversionPlan,
    source: Source,
    folder: Path,
    *,
    dtype: str | None,
    shard_bytes: int,
    advance: Callable[[int], None] | None,
) -> None:
    """Write weights, configuration and tokenizer of a plan.

    Args:
        plan: checked by `check_plan`.
        source: where its tensors are mapped from.
        folder: empty.
        dtype: a key of `_DTYPES`; None keeps the stored types.
        shard_bytes: largest weights file; a larger tensor gets a file of its own.
        advance: called with the number of weights of each tensor, if given.

    Raises:
        ValueError: a weight that is not finite, or that `dtype` cannot hold.
    """
    shards = _ShardWriter(folder, shard_bytes)
    dtypes: Counter[torch.dtype] = Counter()
    unreleased = 0
    for planned in plan.tensors:
        tensor = _finished(planned, None if dtype is None else _DTYPES[dtype], source.release)
        unreleased += tensor.nbytes
        if unreleased > BLOCK_BYTES:
            source.release()
            unreleased = 0
        dtypes[tensor.dtype] += tensor.numel()
        shards.add(planned.name, tensor)
        if advance is not None:
            advance(tensor.numel())
    shards.close()
    _write_config(plan, folder, dtypes.most_common(1)[0][0])
    if plan.tokenizer is not None:
        plan.tokenizer.save_pretrained(folder)


def _finished(
    planned: PlannedTensor, dtype: torch.dtype | None, release: Callable[[], None]
) -> Tensor:
    """Return a tensor in the wanted type, all of it finite; it may still be mapped."""
    read = planned.read()
    if tuple(read.shape) != planned.shape:
        raise ValueError(
            f"{planned.name} has shape {list(read.shape)}, expected {list(planned.shape)}"
        )
    tensor = read
    if dtype is not None and dtype != read.dtype:
        tensor = torch.empty(read.shape, dtype=dtype)
        copy_mapped(tensor, read, release)
    if not is_finite(tensor):
        damaged = "the checkpoint is damaged, fetch it again"
        cause = f"{dtype} is too narrow" if is_finite(read) else damaged
        raise ValueError(
            f"{planned.name} (from {', '.join(planned.keys)}) has values that are not finite: "
            f"{cause}"
        )
    return tensor.contiguous()


def _write_config(plan: ConversionPlan, folder: Path, dtype: torch.dtype) -> None:
    plan.config.architectures = [plan.model_class.__name__]
    plan.config.dtype = dtype
    plan.config.save_pretrained(folder)
