"""The rendezvous of the processes of a run: a store of torch's, under a name of this start alone.

torchrun keeps it; without torchrun, the first process does. torchrun numbers its restarts on each
machine by itself, and torch's own names are made of that number. After a process was lost, machines
count differently, or a process finds the address that a dead one has left. So the first process
makes up a name, and each other one asks for it by a mark that nobody had before.
"""

import os
import time
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import uuid4

from torch.distributed import DistError, PrefixStore, TCPStore  # type: ignore[attr-defined]

from unblank.process import meeting_point

__all__ = ["is_torchrun_store", "rendezvous"]

_PAUSE = 0.05
"""Seconds between two looks at who has come."""
_LATEST = timedelta(minutes=10)
"""How long those that have come wait for the others."""


def rendezvous(rank: int, size: int, patience: timedelta) -> Any:
    """Return the store of the processes that were started together.

    Args:
        rank: number of this process.
        size: number of processes.
        patience: how long anything in the store is waited for.

    Raises:
        ValueError: the variables that torchrun sets lack one, or contradict those of process 0.
        TimeoutError: another process does not come.
        OSError: the port of process 0 is taken.
    """
    address, port = meeting_point()
    keeps_store = rank == 0 and not is_torchrun_store()
    place = f"{address}:{port} (MASTER_ADDR, MASTER_PORT)"
    try:
        store = (_kept_store if keeps_store else _store)(address, port, keeps_store)
        store.set_timeout(_LATEST)
        name = _receive(store, rank, size) if rank == 0 else _ask(store, rank, size)
    except DistError as error:
        if keeps_store:
            raise OSError(
                f"process 0 cannot wait for the others at port {port} of this machine (MASTER_PORT;"
                f" {error}): choose one that is free"
            ) from error
        awaited = f"process 0 of {size}" if rank else "torchrun"
        raise TimeoutError(
            f"process {rank} of {size} waited in vain for {awaited} at {place}: was that started, "
            "and can it be reached from here?"
        ) from error
    store.set_timeout(patience)
    return PrefixStore(name, store)


def is_torchrun_store() -> bool:
    """Return whether torchrun keeps the store, which then lives longer than any process."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _store(address: str, port: int, is_kept_here: bool) -> TCPStore:
    return TCPStore(
        address,
        port,
        is_master=is_kept_here,
        wait_for_workers=False,
        timeout=_LATEST,
        multi_tenant=True,
    )


# Kept for the next rendezvous: others could join the old store just before it is closed.
_kept_store = cache(_store)


def _ask(store: Any, rank: int, size: int) -> str:
    mark = uuid4().hex
    store.set(f"came/{rank}", mark)
    size_of_main, name = store.get(f"name/{mark}").decode().split()
    store.set(_knows(name, rank), str(size))
    _require_same_size(int(size_of_main), size, rank)
    return str(name)


def _receive(store: Any, rank: int, size: int) -> str:
    """Give a new name to whoever asks, until every other process knows it."""
    name, answered = uuid4().hex, set()
    missing = {*range(size)} - {rank}
    ends_at = time.monotonic() + _LATEST.total_seconds()
    while missing:
        for other in sorted(missing):
            if store.check([_knows(name, other)]):
                _require_same_size(size, int(store.get(_knows(name, other))), other)
                missing.remove(other)
            elif store.check([f"came/{other}"]):
                # It may be the mark of one that is gone; then the next one will be another.
                mark = store.get(f"came/{other}").decode()
                if mark not in answered:
                    store.set(f"name/{mark}", f"{size} {name}")
                    answered.add(mark)
        if time.monotonic() > ends_at:
            raise TimeoutError(
                f"process 0 of {size} waited in vain for process {min(missing)} of {size}: was that"
                " started, with the same MASTER_ADDR and MASTER_PORT?"
            )
        time.sleep(_PAUSE)
    return name


def _knows(name: str, rank: int) -> str:
    return f"knows/{name}/{rank}"


def _require_same_size(size: int, other_size: int, other: int) -> None:
    if other_size != size:
        raise ValueError(
            f"WORLD_SIZE is {size} in process 0, but {other_size} in process {other}: start all "
            "with the same number"
        )
