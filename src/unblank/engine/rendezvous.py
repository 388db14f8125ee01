"""The rendezvous of the processes of a run: a store of torch's, under a name of this start alone.

torchrun keeps it; without torchrun, the first process does. torchrun numbers its restarts on each
machine by itself, and torch's own names are made of that number. After a process was lost, machines
count differently, or a process finds the address that a dead one has left. So the first process
makes up a name, and each other one asks for it by a mark that nobody had before.
"""

import os
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

__all__ = ["is_torchrun_store", "rendezvous"]

_PAUSE = 0.05
"""Seconds between two looks at who has come."""


def rendezvous(rank: int, size: int, patience: timedelta) -> Any:
    """Return the store of the processes that were started together.

    Args:
        rank: number of this process.
        size: number of processes.
        patience: how long the others are waited for, and anything in the store.
    """
    store = TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=rank == 0 and not is_torchrun_store(),
        wait_for_workers=False,
        timeout=patience,
    )
    name = _receive(store, rank, size) if rank == 0 else _ask(store, rank)
    return PrefixStore(name, store)


def is_torchrun_store() -> bool:
    """Return whether torchrun keeps the store, which then lives longer than any process."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _ask(store: Any, rank: int) -> str:
    mark = uuid4().hex
    store.set(f"came/{rank}", mark)
    name: str = store.get(f"name/{mark}").decode()
    store.set(f"knows/{name}/{rank}", "")
    return name


def _receive(store: Any, rank: int, size: int) -> str:
    """Give a new name to whoever asks, until every other process knows it."""
    name, answered = uuid4().hex, set()
    others = [other for other in range(size) if other != rank]
    while not all(store.check([f"knows/{name}/{other}"]) for other in others):
        for other in others:
            if not store.check([f"came/{other}"]):
                continue
            # It may be the mark of one that is gone; then the next one will be another.
            mark = store.get(f"came/{other}").decode()
            if mark not in answered:
                store.set(f"name/{mark}", name)
                answered.add(mark)
        time.sleep(_PAUSE)
    return name
