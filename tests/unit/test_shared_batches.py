"""Batches are computed once each, by the processes in turns, and all get all results."""

import threading

import pytest

from unblank.shared_batches import in_turns, sharing_batches


def together(size, batches):
    """Return what each process computed, and what each got."""
    values, barrier = [None] * size, threading.Barrier(size)
    computed, got = [[] for _ in range(size)], [None] * size

    def work(rank):
        def gather(value):
            values[rank] = value
            barrier.wait(30)
            found = list(values)
            barrier.wait(30)
            return found

        def compute(batch):
            computed[rank].append(batch)
            return batch * 10

        with sharing_batches(rank, size, gather):
            got[rank] = list(in_turns(batches, compute))

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return computed, got


@pytest.mark.parametrize("num_batches", [0, 1, 2, 7])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_each_batch_is_computed_once_and_known_to_all(size, num_batches):
    batches = list(range(num_batches))
    computed, got = together(size, batches)
    assert sorted(batch for one in computed for batch in one) == batches
    assert max(map(len, computed)) - min(map(len, computed)) <= 1
    assert got == [[batch * 10 for batch in batches]] * size


def test_alone_a_batch_is_computed_when_it_is_asked_for():
    computed = []
    turns = in_turns(range(5), lambda batch: computed.append(batch) or batch)
    assert next(turns) == 0
    assert computed == [0]
