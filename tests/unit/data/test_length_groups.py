import gzip
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import make_sampler

from unblank.data.length_groups import (
    collate_group,
    group_by_length,
    group_window,
    window_size,
)
from unblank.data.loader import DataState, RowStream
from unblank.examples import IGNORE_INDEX, Seq2SeqExample

SIDES = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=80)


def halves(ids, rng):
    """Read the first part of a text, predict the rest."""
    cut = int(rng.integers(1, len(ids)))
    return Seq2SeqExample(ids[:cut], ids[cut - 1 : -1], ids[cut:], "halves")


@given(SIDES, st.integers(20, 400))
def test_groups_hold_every_example_once_and_keep_their_budget(sides, budget):
    groups = group_by_length(sides, budget)
    assert sorted(itertools.chain(*groups)) == list(range(len(sides)))
    for group in groups:
        sources, targets = zip(*(sides[item] for item in group), strict=True)
        area = len(group) * (max(sources) + max(targets))
        assert area <= budget or len(group) == 1


def test_a_batch_holds_the_examples_and_padding_is_neither_seen_nor_scored():
    examples = [
        Seq2SeqExample(np.array([5, 6, 7]), np.array([1]), np.array([2]), "a"),
        Seq2SeqExample(np.array([8]), np.array([1, 3]), np.array([3, 4]), "b"),
    ]
    (group,) = group_window([10, 11], examples, max_positions=50, rng=np.random.default_rng(0))
    assert (group.num_used, group.num_positions) == (7, 10)
    batch = collate_group(group, pad_id=0)
    assert batch.sample_numbers == [10, 11]
    assert batch.input_ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch.attention_mask.tolist() == [[True, True, True], [True, False, False]]
    assert batch.decoder_input_ids.tolist() == [[1, 0], [1, 3]]
    assert batch.labels.tolist() == [[2, IGNORE_INDEX], [3, 4]]
    assert set(batch.model_inputs()) == {
        "input_ids",
        "attention_mask",
        "decoder_input_ids",
        "labels",
    }


START = DataState()


def stream(state=START, **options):
    sampler = make_sampler(list(range(3, 60)), objective=halves, seed=5)
    return RowStream(sampler, row_length=200, state=state, **options)


def fingerprint(step):
    return [(batch.sample_numbers, batch.labels.tolist()) for batch in step.batches]


def test_the_stream_goes_on_from_any_step_with_or_without_workers():
    with stream() as whole:
        steps = list(itertools.islice(whole.micro_batches(batch_size=4, micro_batch_size=1), 30))
    with stream(steps[11].state, num_workers=1) as rest:
        resumed = list(itertools.islice(rest.micro_batches(batch_size=4, micro_batch_size=1), 18))
    assert [fingerprint(step) for step in resumed] == [fingerprint(step) for step in steps[12:]]
    assert steps[-1].state.window > 0
    assert all(step.used_positions <= step.total_positions for step in steps)


def test_ranks_share_the_groups_of_a_step():
    with stream() as whole, stream() as first, stream() as second:
        step = next(whole.micro_batches(batch_size=4, micro_batch_size=1))
        parts = [
            next(
                part.micro_batches(batch_size=4, micro_batch_size=1, rank=rank, world_size=2)
            ).batches
            for rank, part in enumerate((first, second))
        ]
    numbers = [batch.sample_numbers for batch in step.batches]
    assert numbers == [batch.sample_numbers for batches in parts for batch in batches]


def test_several_groups_are_no_batch():
    with stream() as rows, pytest.raises(ValueError, match="2 rows"):
        next(rows.micro_batches(batch_size=4, micro_batch_size=2))


@pytest.mark.parametrize("budget", [1024, 4096])
def test_less_than_five_percent_of_the_positions_of_multi30k_is_padding(data_dir, budget):
    path = data_dir / "parallel" / "multi30k" / "train.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    sides = [(len(record["en"].split()) + 2, len(record["de"].split()) + 2) for record in records]
    size = window_size(np.mean(sides) * 2, budget)
    used = total = 0
    for start in range(0, max(1, len(sides) - size + 1), size):
        window = sides[start : start + size]
        for group in group_by_length(window, budget):
            sources, targets = zip(*(window[item] for item in group), strict=True)
            used += sum(sources) + sum(targets)
            total += len(group) * (max(sources) + max(targets))
    assert 1 - used / total < 0.05
