"""The storage of sharded checkpoints: safetensors, as `torch.distributed.checkpoint` reads them.

torch's own writer copies a whole file twice before it writes it, and Python's lock is held
meanwhile, so the steps that go on wait. Here each tensor goes from the copy that is kept of it to
the disk, and is hashed on the way.
"""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner, WriteItem
from torch.distributed.checkpoint.storage import StorageWriter, WriteResult
from torch.futures import Future

from unblank.engine.written_tensors import METADATA, bytes_of_file, order_in_file
from unblank.integrity import FileFacts
from unblank.untrusted.sharded_weights import OFFSETS_KEY

__all__ = ["CheckpointShardWriter"]

_VERSION = {"DCP_VERSION": "1.0"}
"""As torch's own writer has it."""


class CheckpointShardWriter(StorageWriter):
    """Writes what one process holds, in a file for each part of a checkpoint.

    Args:
        folder: of the shards; made if it is not there.
        files: name of a tensor -> number of its file, from 1.
        rank: of this process.
    """

    def __init__(self, folder: Path, files: Mapping[str, int], rank: int) -> None:
        self._folder, self._files, self._rank = folder, files, rank
        self.facts: dict[str, FileFacts] = {}
        """Name -> size and hash of the files that this process has forced to disk."""

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write all that the plan has for this process.

        Args:
            plan: of the tensors.
            planner: knows the values.

        Raises:
            OSError: it could not be written.
        """
        by_file: defaultdict[int, list[WriteItem]] = defaultdict(list)
        for item in plan.items:
            by_file[self._files[item.index.fqn]].append(item)
        last = max(self._files.values(), default=0)
        results: list[WriteResult] = []
        for number, items in sorted(by_file.items()):
            name = f"shard-{self._rank + 1:05d}-model-{number:05d}-of-{last:05d}.safetensors"
            size, digest = _write(self._folder / name, items, planner)
            self.facts[name] = {"size": size, "sha256": digest}
            results += [WriteResult(item.index, size, name) for item in items]
        done: Future[list[WriteResult]] = Future()
        done.set_result(results)
        return done

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """Forget what was written."""
        self.facts = {}

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Do nothing: all processes write alike."""

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """Make the folder, and return the plan as it is."""
        self._folder.mkdir(exist_ok=True)
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """Return the plans as they are."""
        return plans

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Do nothing: each file says what it holds."""

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Return False: a checkpoint has a folder, which the constructor takes."""
        return False


def _write(path: Path, items: list[WriteItem], planner: SavePlanner) -> tuple[int, str]:
    """Write and force to disk one file, and return its size in bytes and its hash."""
    tensors: dict[str, Tensor] = {}
    for item in items:
        value = planner.resolve_data(item)
        assert isinstance(value, Tensor)
        tensors[item.index.fqn] = value
    offsets = {
        item.index.fqn: {"saved_offsets": list(item.tensor_data.chunk.offsets)}
        for item in items
        if item.tensor_data is not None
    }
    metadata = {OFFSETS_KEY: json.dumps(offsets), **_VERSION, **METADATA}
    values = (tensors[name] for name in order_in_file(tensors))
    size, digest = 0, hashlib.sha256()
    with path.open("wb") as file:
        for content in bytes_of_file(tensors, values, metadata):
            size += file.write(content)
            digest.update(content)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()
