"""Processes that each have the whole model, and share out work on files or measurements.

Those of a training are joined by `parallel`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from unblank.engine.heartbeats import heartbeats
from unblank.engine.parallel import World
from unblank.engine.rendezvous import rendezvous
from unblank.process import end_with_the_parent, process_count, process_rank

__all__ = ["join_replicas"]

_PATIENCE = timedelta(hours=12)
"""How long a process waits for others that have more to do."""
_LOST_AFTER = 300.0
"""Seconds without a sign of life after which a process is lost."""


@contextmanager
def join_replicas() -> Iterator[World]:
    """Join the processes that torchrun started, if any.

    Raises:
        LostProcess: another process has ended, or cannot be reached.
    """
    size, rank = process_count(), process_rank()
    # What they exchange is of Python, whatever device computes it.
    world = World(rank, size, torch.device("cpu"))
    if size == 1 or dist.is_initialized():
        yield world
        return
    if dist.is_torchelastic_launched():
        end_with_the_parent()
    store = rendezvous(rank, size, _PATIENCE)
    dist.init_process_group("gloo", timeout=_PATIENCE, store=store, rank=rank, world_size=size)
    try:
        with heartbeats(rank, size, _LOST_AFTER, store):
            yield world
    finally:
        dist.destroy_process_group()
