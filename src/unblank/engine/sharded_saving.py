"""Sharded checkpoints: each process writes what it holds, while the run goes on.

`torch.distributed.checkpoint` copies the shards, and writes them in a thread by means of
`engine.shard_writer`. The memory of the copy is kept for the next checkpoint, as taking it anew
costs more than copying. When all are on the disk, each process says the sizes and hashes of its
files to the main one, which completes the checkpoint as any other (`engine.checkpoint`).
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint._state_dict_stager import StateDictStager
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.staging import AsyncStager
from torch.distributed.checkpoint.state_dict_saver import async_save

from unblank.engine.checkpoint import CheckpointError, cannot_write, new_checkpoint
from unblank.engine.parallel import World
from unblank.engine.shard_writer import CheckpointShardWriter
from unblank.engine.shared_folders import agree, open_for_all
from unblank.integrity import SHARDED_NAME, FileFacts
from unblank.untrusted.sharded_weights import CheckpointPart, named

__all__ = ["ShardedSaving"]


class _KeptCopies(AsyncStager):
    """Copies of the shards, in memory that is used again for the next checkpoint.

    torch's `DefaultStager` does the same, but that of torch 2.11 serves for one checkpoint only.
    """

    _synchronize_after_execute = False

    def __init__(self) -> None:
        self._stager = StateDictStager(pin_memory=False, share_memory=False)

    def stage(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        copies: dict[str, Any] = self._stager.stage(state_dict)
        return copies

    def synchronize_staging(self) -> None:
        """Do nothing, as all is copied when `stage` returns."""

    def close(self) -> None:
        self._stager.close()


class ShardedSaving:
    """Writes the checkpoints of a run whose model is sharded, one at a time.

    Args:
        root: folder of all checkpoints of the run.
        world: the processes of the run; all must make one, and call its methods together.
    """

    def __init__(self, root: Path, world: World) -> None:
        self._root, self._world = root, world
        # A group of its own, as the steps that go on exchange gradients over the default one; with
        # torch's default timeout, as it only waits for a disk.
        self._group = dist.new_group(backend="gloo")
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._copies = _KeptCopies()
        self._pending: Future[None] | None = None

    def start(
        self,
        step: int,
        parts: Mapping[CheckpointPart, Mapping[str, Tensor]],
        write_rest: Iterable[Callable[[Path], None]],
        when_complete: Callable[[], None],
    ) -> None:
        """Begin a checkpoint, and return when the tensors may change again.

        Args:
            step: optimiser steps done.
            parts: name -> live tensor of each part, perhaps sharded.
            write_rest: called by the main process with the folder; they write all other files.
            when_complete: called by the main process when the checkpoint is there.

        Raises:
            CheckpointError: this checkpoint could not be begun, or the last one not be written.
        """
        self.settle()
        tensors = {
            named(part, name): tensor.detach()
            for part, state in parts.items()
            for name, tensor in state.items()
        }
        files = {
            named(part, name): number
            for number, (part, state) in enumerate(parts.items(), start=1)
            for name in state
        }
        facts: dict[str, FileFacts] = {}
        with ExitStack() as stack:
            folder = open_for_all(self._world, new_checkpoint(self._root, step, facts), stack)
            failure = None
            try:
                for write in write_rest if self._world.is_main else ():
                    write(folder)
            except OSError as error:
                failure = cannot_write(self._root, str(error))
            agree(self._world, failure)
            writer = CheckpointShardWriter(folder / SHARDED_NAME, files, self._world.rank)
            writing: Any = async_save(
                tensors,
                storage_writer=writer,
                process_group=self._group,
                async_stager=self._copies,
            )
            self._pending = self._thread.submit(
                self._complete, writing, writer, facts, stack.pop_all(), when_complete
            )

    @property
    def has_failed(self) -> bool:
        """Whether the last checkpoint could not be written, as far as this process knows."""
        pending = self._pending
        return pending is not None and pending.done() and pending.exception() is not None

    def settle(self) -> None:
        """Return when no checkpoint is being written.

        Raises:
            CheckpointError: the last one could not be written in some process.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return
        failure = None
        try:
            pending.result()
        except CheckpointException as error:
            reasons = [f"process {rank}: {one}" for rank, (one, _) in error.failures.items()]
            failure = cannot_write(self._root, "; ".join(reasons))
        except (CheckpointError, OSError) as error:
            failure = str(error)
        agree(self._world, failure)

    def close(self) -> None:
        """Let what is being written come to its end, whatever that is."""
        self._thread.shutdown()
        self._copies.close()

    def _complete(
        self,
        writing: "Future[Any]",
        writer: CheckpointShardWriter,
        facts: dict[str, FileFacts],
        opened: ExitStack,
        when_complete: Callable[[], None],
    ) -> None:
        """Wait for this process's files, tell the main one of them, and let it go on."""
        with opened:
            writing.result()
            of_all: list[Any] = [None] * self._world.size
            dist.all_gather_object(of_all, writer.facts, group=self._group)
            for one in of_all:
                facts.update({f"{SHARDED_NAME}/{name}": of_file for name, of_file in one.items()})
        if self._world.is_main:
            when_complete()
