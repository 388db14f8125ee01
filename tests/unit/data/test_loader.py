"""The stream of rows does not depend on how it is read."""

import itertools
import multiprocessing
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import assert_same_rows, make_sampler

from unblank.data.loader import DataState, RowStream, default_window_size, validation_batches
from unblank.data.packing import Row

LENGTHS = [40, 9, 300, 61, 62, 5, 2, 130] * 4
WINDOW = 32


def stream(**options) -> RowStream:
    return RowStream(make_sampler(LENGTHS, [25] * 30, seed=7), row_length=80, **options)


def first_rows(count: int, **options) -> list[Row]:
    with stream(window_size=WINDOW, **options) as rows:
        return list(itertools.islice(rows, count))


def test_every_sample_number_comes_once_and_in_its_window():
    with stream(window_size=WINDOW) as rows:
        seen: dict[int, list[int]] = {}
        for row in itertools.takewhile(lambda _: rows.state.window < 5, rows):
            for number in row.sample_numbers:
                seen.setdefault(number // WINDOW, []).append(number)
    for window in range(4):
        assert sorted(seen[window]) == list(range(window * WINDOW, (window + 1) * WINDOW))


def test_workers_do_not_change_the_stream():
    assert_same_rows(first_rows(120), first_rows(120, num_workers=2))


@given(taken=st.integers(0, 90))
def test_resuming_anywhere_equals_the_uninterrupted_stream(taken):
    states, rows = hundred_rows()
    assert_same_rows(first_rows(10, state=states[taken]), rows[taken : taken + 10])


@cache
def hundred_rows() -> tuple[list[DataState], list[Row]]:
    """Return the first rows, and where each comes from."""
    with stream(window_size=WINDOW) as rows:
        states, found = zip(*((rows.state, next(rows)) for _ in range(100)), strict=True)
    return states, found


def test_resuming_with_workers_equals_the_uninterrupted_stream():
    with stream(window_size=WINDOW) as rows:
        list(itertools.islice(rows, 33))
        state = rows.state
    assert_same_rows(first_rows(40, state=state, num_workers=2), first_rows(73)[33:])


def test_resuming_prepares_no_earlier_window():
    far = DataState(window=10**9, row=1)
    rows = first_rows(2, state=far)
    assert all(number // WINDOW == far.window for number in rows[0].sample_numbers)


@pytest.mark.parametrize(("world_size", "micro_batch_size"), [(1, 12), (1, 5), (2, 4), (3, 1)])
def test_ranks_and_micro_batches_only_divide_the_rows_of_a_step(world_size, micro_batch_size):
    expected = first_rows(36)
    ranks = [
        stream(window_size=WINDOW).micro_batches(
            batch_size=12, micro_batch_size=micro_batch_size, rank=rank, world_size=world_size
        )
        for rank in range(world_size)
    ]
    for step in range(3):
        rows = expected[12 * step : 12 * (step + 1)]
        parts = [next(rank) for rank in ranks]
        batches = [batch for part in parts for batch in part.batches]
        assert all(len(batch.input_ids) <= micro_batch_size for batch in batches)
        dealt = torch.cat([batch.input_ids for batch in batches]).numpy()
        np.testing.assert_array_equal(dealt, np.stack([row.input_ids for row in rows]))
        numbers = [number for row in rows for number in row.sample_numbers]
        assert all(part.sample_numbers == numbers for part in parts)
        assert [n for batch in batches for n in batch.sample_numbers] == numbers
        assert len({part.state for part in parts}) == 1


def test_the_state_of_a_step_continues_with_the_next_step():
    options = {"batch_size": 9, "micro_batch_size": 4}
    whole = stream(window_size=WINDOW).micro_batches(**options)
    steps = [next(whole) for _ in range(4)]
    resumed = stream(window_size=WINDOW, state=steps[1].state).micro_batches(**options)
    assert next(resumed).sample_numbers == steps[2].sample_numbers
    after = next(resumed)
    assert after.sample_numbers == steps[3].sample_numbers
    assert after.state == steps[3].state


def test_a_step_counts_its_positions_and_samples():
    step = next(stream().micro_batches(batch_size=10, micro_batch_size=10))
    assert step.total_positions == 800
    assert step.used_positions == int((step.batches[0].segment_ids > 0).sum())
    assert step.num_samples == len(set(step.batches[0].sample_numbers))


def test_reading_the_stream_leaves_torchs_random_state_alone():
    before = torch.get_rng_state()
    first_rows(3, num_workers=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_error_in_a_worker_arrives_with_its_message_and_ends_it():
    def broken(ids, rng):
        raise ValueError("no blank for you")

    sampler = make_sampler(LENGTHS, objective=broken)
    others = set(multiprocessing.active_children())
    with (
        RowStream(sampler, row_length=64, num_workers=1) as rows,
        pytest.raises(ValueError, match="no blank for you") as kept,
    ):
        next(rows)
    assert kept.value  # whose traceback holds what was running
    assert set(multiprocessing.active_children()) <= others


def test_closing_ends_the_workers():
    others = set(multiprocessing.active_children())  # of streams that nobody has closed
    rows = stream(num_workers=2)
    next(rows)
    assert len(set(multiprocessing.active_children()) - others) == 2
    rows.close()
    assert set(multiprocessing.active_children()) <= others


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends the workers")
def test_killing_the_run_ends_its_workers():
    context = multiprocessing.get_context("fork")
    ours, its = context.Pipe()
    run = context.Process(target=read_and_wait, args=(its,))
    run.start()
    workers = ours.recv()
    assert len(workers) == 2
    run.kill()
    run.join()
    deadline = time.monotonic() + 20
    while any(is_running(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(pid) for pid in workers)


def read_and_wait(pipe) -> None:
    rows = stream(num_workers=2)
    next(rows)
    pipe.send([child.pid for child in multiprocessing.active_children()])
    time.sleep(60)


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_impossible_batches_are_refused():
    with pytest.raises(ValueError, match=r"\(3\)"):
        next(stream().micro_batches(batch_size=8, micro_batch_size=1, world_size=3))
    with pytest.raises(ValueError, match=r"\b1 row"):
        next(stream().micro_batches(batch_size=8, micro_batch_size=0))
    with pytest.raises(ValueError, match="max_length"):
        RowStream(make_sampler(LENGTHS), row_length=60)


def test_a_state_of_other_data_is_refused():
    with pytest.raises(ValueError, match="row 10000"):
        next(stream(state=DataState(window=0, row=10_000)))


def test_validation_batches_are_fixed_and_dealt_to_the_ranks():
    sampler = make_sampler(LENGTHS, [25] * 30)
    options = {"row_length": 80, "batch_size": 4, "max_samples": 50}
    whole = validation_batches(sampler, **options)
    again = validation_batches(sampler, **options)
    assert all(map(torch.equal, (b.input_ids for b in whole), (b.input_ids for b in again)))
    numbers = sorted(number for batch in whole for number in batch.sample_numbers)
    assert numbers == list(range(50))
    ranks = [validation_batches(sampler, **options, rank=rank, world_size=3) for rank in range(3)]
    assert sorted(n for rank in ranks for b in rank for n in b.sample_numbers) == numbers


def test_validation_is_at_most_one_pass():
    sampler = make_sampler([20, 20, 20])
    (batch,) = validation_batches(sampler, row_length=64, batch_size=100)
    assert sorted(batch.sample_numbers) == [0, 1, 2]


def test_short_texts_get_larger_windows():
    assert default_window_size(make_sampler([500] * 10, max_length=64), 64) == 256
    assert default_window_size(make_sampler([8] * 10, max_length=64), 256) == 1638
    assert default_window_size(make_sampler([8] * 10, max_length=64), 10**6) == 16384
