"""Processes rendezvous under one new name, whatever earlier ones have left in the store."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from torch.distributed import TCPStore

from unblank.engine import rendezvous as module
from unblank.engine.rendezvous import rendezvous

PATIENCE = timedelta(seconds=20)


@pytest.fixture
def store(monkeypatch):
    """The store that torchrun would keep."""
    monkeypatch.setattr(module, "_LATEST", PATIENCE)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    return TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)


def met(size):
    """Let processes rendezvous, and return what the last one reads of what the first one writes."""
    with ThreadPoolExecutor(size) as threads:
        stores = list(threads.map(lambda rank: rendezvous(rank, size, PATIENCE), range(size)))
    assert not stores[-1].check(["word"]), "an earlier meeting had the same name"
    stores[0].set("word", "hello")
    return [one.get("word") for one in stores]


def test_all_find_the_same_place_and_each_time_another(store):
    for _ in range(3):
        assert met(3) == [b"hello"] * 3


def test_processes_that_are_gone_do_not_matter(store):
    for rank in range(3):
        store.add(f"came/{rank}", 2)
    assert met(3) == [b"hello"] * 3


def test_who_does_not_come_is_named(store, monkeypatch):
    monkeypatch.setattr(module, "_LATEST", timedelta(seconds=1))
    for rank in (0, 1):
        with pytest.raises(TimeoutError, match=rf"process {1 - rank} of 2"):
            rendezvous(rank, 2, PATIENCE)


def test_nobody_waits_for_ever_for_an_address_at_which_nobody_is(monkeypatch):
    monkeypatch.setattr(module, "_LATEST", timedelta(seconds=1))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    with pytest.raises(TimeoutError, match=r"127\.0\.0\.1:1 \(MASTER_ADDR"):
        rendezvous(1, 2, PATIENCE)


def test_a_port_that_another_program_has_is_named(monkeypatch):
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
        monkeypatch.setenv("MASTER_PORT", str(port))
        with pytest.raises(OSError, match=rf"port {port} .*MASTER_PORT"):
            rendezvous(0, 2, PATIENCE)


def test_processes_that_count_one_another_differently_are_told(store):
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(rendezvous, 0, 2, PATIENCE)
        threads.submit(rendezvous, 1, 3, PATIENCE)
        with pytest.raises(ValueError, match=r"WORLD_SIZE is 2 .* 3 in process 1"):
            first.result()


def test_two_of_the_same_rank_are_told_and_so_are_the_others(store, monkeypatch):
    monkeypatch.setattr(module, "is_torchrun_store", lambda: False)
    monkeypatch.setattr(module, "_kept_store", lambda address, port, _: store)
    with ThreadPoolExecutor(3) as threads:
        came = [threads.submit(rendezvous, rank, 3, PATIENCE) for rank in (0, 2, 2)]
        for one in came:
            with pytest.raises(ValueError, match="two processes have RANK 2"):
                one.result()


def test_a_process_that_torchrun_starts_again_is_no_second_one(store):
    with ThreadPoolExecutor(4) as threads:
        came = [threads.submit(rendezvous, rank, 3, PATIENCE) for rank in (0, 2, 2)]
        time.sleep(0.5)  # in which all have come
        came.append(threads.submit(rendezvous, 1, 3, PATIENCE))
        came[0].result().set("word", "hello")
        assert [one.result().get("word") for one in came] == [b"hello"] * 4


def test_who_comes_again_first_finds_the_one_that_is_still_leaving(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(rendezvous, 0, 2, PATIENCE)
        rendezvous(1, 2, PATIENCE)
        left = first.result()
        again = threads.submit(rendezvous, 1, 2, PATIENCE)
        time.sleep(0.5)  # in which it has asked
        del first, left
        rendezvous(0, 2, PATIENCE).set("word", "hello")
        assert again.result().get("word") == b"hello"
