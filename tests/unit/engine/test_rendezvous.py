"""Processes rendezvous under one new name, whatever earlier ones have left in the store."""

import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from torch.distributed import TCPStore

from unblank.engine.rendezvous import rendezvous


@pytest.fixture
def store(monkeypatch):
    """The store that torchrun would keep."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    return TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)


def met(size):
    """Let processes rendezvous, and return what the last one reads of what the first one writes."""
    with ThreadPoolExecutor(size) as threads:
        stores = list(
            threads.map(lambda rank: rendezvous(rank, size, timedelta(seconds=20)), range(size))
        )
    assert not stores[-1].check(["word"]), "an earlier meeting had the same name"
    stores[0].set("word", "hello")
    return [one.get("word") for one in stores]


def test_all_find_the_same_place_and_each_time_another(store):
    for _ in range(3):
        assert met(3) == [b"hello"] * 3


def test_marks_of_processes_that_are_gone_do_not_matter(store):
    for rank in range(3):
        store.set(f"came/{rank}", "gone")
    assert met(3) == [b"hello"] * 3
