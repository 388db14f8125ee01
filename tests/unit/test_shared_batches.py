"""Batches are computed once each, shared out by what they take, and all get all results."""

import threading

import pytest

from unblank.shared_batches import compute_batches, sharing_batches


def together(size, *measurements):
    """Return what each process computed of the last measurement, and what each got.

    Args:
        size: number of processes.
        *measurements: costs of batches, one after another.
    """
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
            for costs in measurements:
                computed[rank].clear()
                got[rank] = list(compute_batches(range(len(costs)), compute, costs))

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
    computed, got = together(size, [1] * num_batches)
    assert sorted(batch for one in computed for batch in one) == batches
    assert max(map(len, computed)) - min(map(len, computed)) <= 1
    assert got == [[batch * 10 for batch in batches]] * size


def test_batches_go_to_whom_has_had_least():
    computed, _ = together(2, [9, 2, 2, 2, 2])
    assert computed == [[0], [1, 2, 3, 4]]
    computed, _ = together(2, [5], [1], [1])
    assert computed == [[], [0]]


def test_alone_a_batch_is_computed_when_it_is_asked_for():
    computed = []
    results = compute_batches(range(5), lambda batch: computed.append(batch) or batch, [1] * 5)
    assert next(results) == 0
    assert computed == [0]
