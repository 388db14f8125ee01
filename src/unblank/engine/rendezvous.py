"""The rendezvous of the processes of a run: a store of torch's, under a name of this start alone.

torchrun keeps it; without torchrun, the first process does. torchrun numbers its restarts on each
machine by itself, and torch's own names are made of that number. After a process was lost, machines
count differently, or a process finds the address that a dead one has left. So the first process
makes up a name, and each other one asks for it by a number that nobody had before.
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
        ValueError: the variables that torchrun sets lack one, or contradict those of another
            process.
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
        doubt = f", and is no other process RANK {rank}" if rank else ""
        raise TimeoutError(
            f"process {rank} of {size} waited in vain for {awaited} at {place}: was that started, "
            f"can it be reached from here{doubt}?"
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
    number = store.add(f"came/{rank}", 1)
    name = str(store.get(f"name/{rank}/{number}").decode())
    # torchrun gives no rank twice, but may start a process again before it ends the others.
    if store.add(f"count/{name}/{rank}", 1) > 1 and not is_torchrun_store():
        store.set(f"twice/{name}", str(rank))
    store.set(f"knows/{name}/{rank}", str(size))
    if contradiction := store.get(f"contradiction/{name}").decode():
        raise ValueError(contradiction)
    return name


def _receive(store: Any, rank: int, size: int) -> str:
    """Give a new name to whoever asks, until every other process knows it."""
    name = uuid4().hex
    others = {*range(size)} - {rank}
    answered = dict.fromkeys(others, 0)
    ends_at = time.monotonic() + _LATEST.total_seconds()
    contradiction, missing = None, others
    while missing and contradiction is None:
        for other in others:
            # Those of earlier starts, too, of which nobody knows whether they are gone.
            while answered[other] < store.add(f"came/{other}", 0):
                answered[other] += 1
                store.set(f"name/{other}/{answered[other]}", name)
        if time.monotonic() > ends_at:
            raise TimeoutError(
                f"process 0 of {size} waited in vain for process {min(missing)} of {size}: was that"
                " started, with the same MASTER_ADDR and MASTER_PORT?"
            )
        time.sleep(_PAUSE)
        missing = {other for other in missing if not store.check([f"knows/{name}/{other}"])}
        contradiction = _contradiction(store, name, size, others - missing)
    store.set(f"contradiction/{name}", contradiction or "")
    if contradiction is not None:
        time.sleep(1)  # in which the others read it, before the store is gone
        raise ValueError(contradiction)
    return name


def _contradiction(store: Any, name: str, size: int, come: set[int]) -> str | None:
    """Return what is wrong with the variables of the processes that have come, or None."""
    for other in sorted(come):
        other_size = int(store.get(f"knows/{name}/{other}"))
        if other_size != size:
            return (
                f"WORLD_SIZE is {size} in process 0, but {other_size} in process {other}: start all"
                " with the same number"
            )
    if store.check([f"twice/{name}"]):
        rank = store.get(f"twice/{name}").decode()
        return f"two processes have RANK {rank}: give each of the {size} a rank of its own"
    return None
