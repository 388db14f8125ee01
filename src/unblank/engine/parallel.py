"""The processes of a run: joining them, sharing the model, summing over them.

One process needs none of this; several are started by torchrun (gloo on CPU, nccl on GPUs).
"""

import atexit
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule

from unblank.engine.heartbeats import heartbeats
from unblank.engine.precision import choose_device
from unblank.engine.rendezvous import rendezvous
from unblank.engine.units import UnitModule
from unblank.interruption import Interrupted, allow_signals, are_signals_deferred
from unblank.plurals import counted
from unblank.process import end_with_the_parent, local_rank, process_count, process_rank

__all__ = [
    "MeasurementInterrupted",
    "World",
    "join_world",
    "require_equal_shares",
    "require_whole_groups",
    "share_model",
]

# Preparing a large corpus keeps the other processes waiting at a barrier.
_PATIENCE = timedelta(hours=12)


_Result = TypeVar("_Result")


class MeasurementInterrupted(Exception):
    """A measurement was broken off, as the run was asked to end."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among the processes of the run."""

    rank: int
    """Number of this process; process 0 writes the files."""
    size: int
    """Number of processes."""
    device: torch.device
    """Device of this process."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and talks to the person."""
        return self.rank == 0

    def wait(self) -> None:
        """Return when every process has arrived here."""
        if self.size > 1:
            dist.barrier()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Let the main process run the block before the others do."""
        if not self.is_main:
            self.wait()
        yield
        if self.is_main:
            self.wait()

    def sum(self, values: list[float]) -> list[float]:
        """Return the element-wise sum over all processes, in float64."""
        if self.size == 1:
            return values
        # float32 cannot hold counts above 2^24 exactly.
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(value) for value in total.tolist()]

    def alone(self, work: Callable[[], _Result], model: nn.Module) -> _Result:
        """Return the result of what each process does by itself; a signal breaks it off in all.

        Args:
            work: waits for no other process.
            model: that it calls; while one that is sharded computes, a signal is only noted.

        Raises:
            MeasurementInterrupted: in every process, if one was asked to end.
        """
        broken_off, result = 0.0, None
        try:
            with allow_signals(is_possible=not isinstance(model, FSDPModule)):
                result = work()
        except Interrupted:
            if not are_signals_deferred():
                raise
            broken_off = 1.0
        if any(self.sum([broken_off])):
            raise MeasurementInterrupted
        return cast("_Result", result)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, in their order; they must be picklable."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


def require_equal_shares(batch_size: int, num_processes: int, group_size: int = 1) -> None:
    """Raise ValueError if processes cannot share a batch equally; it names the nearest numbers.

    Args:
        batch_size: rows of an optimiser step.
        num_processes: that share them.
        group_size: rows that stay together; they divide the batch.
    """
    multiple = num_processes * group_size
    if not batch_size % multiple:
        return
    rows = max(round(batch_size / multiple), 1) * multiple
    nearest = _nearest_divisor(batch_size // group_size, num_processes)
    together = f" times train.micro_batch_size ({group_size})" if group_size > 1 else ""
    raise ValueError(
        f"train.batch_size ({batch_size}) must be a multiple of the number of processes "
        f"({num_processes}){together}: set it to {rows}, or start "
        f"{counted(nearest, 'process', 'processes')}"
    )


@contextmanager
def join_world(device_setting: str, lost_after: float = 300.0) -> Iterator[World]:
    """Join the processes that torchrun started, if any, and leave them at the end.

    Args:
        device_setting: `train.device`.
        lost_after: seconds without a sign of life after which a process is lost.

    Raises:
        ValueError: if the device is not there.
        LostProcess: another process has ended, or cannot be reached.
    """
    if dist.is_torchelastic_launched():
        end_with_the_parent()  # torchrun, which ends the others only as long as it lives itself
    size, rank = process_count(), process_rank()
    device = choose_device(device_setting, local_rank())
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if size == 1:
        yield World(0, 1, device)
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    store = rendezvous(rank, size, _PATIENCE)
    dist.init_process_group(
        backend,
        timeout=_PATIENCE,
        store=store,
        rank=rank,
        world_size=size,
        device_id=device if device.type == "cuda" else None,
    )
    statuses: list[int] = []
    atexit.register(_skip_teardown, statuses)
    try:
        with heartbeats(rank, size, lost_after, store):
            yield World(rank, size, device)
        statuses.append(0)
    except Interrupted as interrupted:
        statuses.append(interrupted.status)
        raise
    finally:
        dist.destroy_process_group()


def _skip_teardown(statuses: list[int]) -> None:
    """End a process whose work is done before C++ takes it down.

    With sharded models torch 2.13 aborts about one process in ten there, and torchrun would call a
    finished run failed. A script that fails after a run goes down as it would, with its status.
    """
    failure = getattr(sys, "last_value", None)
    if statuses and (failure is None or isinstance(failure, Interrupted)):
        # os._exit flushes nothing.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(statuses[-1])


def share_model(
    module: UnitModule,
    world: World,
    parallel: Literal["ddp", "fsdp"],
    shard_group: int | None = None,
) -> nn.Module:
    """Return the module that every process calls: the same one, a replica (DDP), or sharded.

    FSDP shards each layer, the token embeddings and the rest in place; the gradients of all are
    means over processes.

    Args:
        module: with the whole model.
        world: the processes.
        parallel: how they hold the model.
        shard_group: processes that hold a model together, the other groups replicas of it; None is
            all of them.

    Raises:
        ValueError: the processes cannot be divided into such groups.
    """
    if world.size == 1:
        return module
    if parallel == "ddp":
        # Gradients live in the buckets that are exchanged, which saves a copy of them.
        return nn.parallel.DistributedDataParallel(module, gradient_as_bucket_view=True)
    shard_model(module, _mesh(world, shard_group or world.size))
    return module


def shard_model(module: UnitModule, mesh: DeviceMesh) -> None:
    """Shard a model in place, in units that are gathered and scattered one after another.

    Args:
        module: with the model.
        mesh: the processes; of two dimensions, the first one are replicas.
    """
    from torch.distributed.fsdp import fully_shard

    # Layer by layer: a layer is gathered while it computes, never the whole model at once.
    layer_names = set(getattr(module.model, "_no_split_modules", None) or ())
    for layer in module.model.modules():
        if type(layer).__name__ in layer_names:
            fully_shard(layer, mesh=mesh)
    # Whole until the backward pass is over, as logits need the same table; gathered by the model,
    # as a loss that takes the table from its head does not call the head.
    owners = _owners_of_embeddings(module.model)
    embeddings: Any = fully_shard(owners, mesh=mesh, reshard_after_forward=False)[0]
    fully_shard(module.model, mesh=mesh)
    module.model.register_forward_pre_hook(lambda _model, _inputs: embeddings.unshard())


def require_whole_groups(shard_group: int | None, num_processes: int) -> None:
    """Raise ValueError if processes are no groups of this size; it names the nearest size."""
    if shard_group is None or not num_processes % shard_group:
        return
    raise ValueError(
        f"train.shard_group is {shard_group}, which does not divide {num_processes} processes: "
        f"{_nearest_divisor(num_processes, shard_group)} does"
    )


def _nearest_divisor(number: int, wanted: int) -> int:
    divisors = [divisor for divisor in range(1, number + 1) if not number % divisor]
    return min(divisors, key=lambda divisor: abs(divisor - wanted))


def _owners_of_embeddings(model: Any) -> list[nn.Module]:
    """Return the modules that hold the table of token embeddings, a head tied to it among them."""
    table = model.get_input_embeddings().weight
    return [
        part
        for part in model.modules()
        if any(parameter is table for parameter in part.parameters(recurse=False))
    ]


def _mesh(world: World, shard_group: int) -> DeviceMesh:
    """Return the processes as a mesh: of shards, or of replicas and of shards inside each."""
    require_whole_groups(shard_group, world.size)
    if shard_group == world.size:
        return init_device_mesh(world.device.type, (world.size,))
    # Numbers that follow each other are on one machine, within which exchange is fastest.
    return init_device_mesh(
        world.device.type,
        (world.size // shard_group, shard_group),
        mesh_dim_names=("replicas", "shards"),
    )
