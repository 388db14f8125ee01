"""Packing is a partition without overflow, and rows hold their examples unchanged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import make_sampler

from unblank.data.packing import lay_out, pack, pack_window, visible_keys
from unblank.examples import IGNORE_INDEX


@given(st.lists(st.integers(1, 100), max_size=200), st.integers(100, 400))
def test_packing_is_a_partition_and_never_overflows(lengths, row_length):
    rows = pack(lengths, row_length)
    assert sorted(item for row in rows for item in row) == list(range(len(lengths)))
    assert all(sum(lengths[item] for item in row) <= row_length for row in rows)
    assert all(row == sorted(row) for row in rows)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=200))
def test_no_two_rows_could_be_one(lengths):
    used = sorted(sum(lengths[item] for item in row) for row in pack(lengths, 100))
    assert len(used) == 1 or used[0] + used[1] > 100


def test_small_items_fill_the_gaps_of_large_ones():
    rng = np.random.default_rng(0)
    lengths = [int(length) for length in rng.integers(10, 300, size=256)]
    assert sum(lengths) / (512 * len(pack(lengths, 512))) > 0.98


@pytest.mark.parametrize("lengths", [[3, 11], [0]])
def test_items_that_cannot_be_packed_are_refused(lengths):
    with pytest.raises(ValueError, match=r"\b10\b"):
        pack(lengths, 10)


def window(row_length: int = 96, count: int = 40):
    sampler = make_sampler([20, 33, 8, 200, 61], max_length=64)
    examples = [sampler.draw_example(number) for number in range(count)]
    rng = np.random.default_rng(1)
    numbers = range(100, 100 + count)
    return examples, pack_window(numbers, examples, row_length=row_length, pad_id=77, rng=rng)


def test_rows_hold_every_example_unchanged():
    examples, rows = window()
    found = {}
    for row in rows:
        for segment, number in enumerate(row.sample_numbers, start=1):
            found[number] = row, row.segment_ids == segment, row.objectives[segment - 1]
    assert sorted(found) == list(range(100, 140))
    for number, example in enumerate(examples, start=100):
        row, inside, objective = found[number]
        np.testing.assert_array_equal(row.input_ids[inside], example.input_ids)
        np.testing.assert_array_equal(row.position_ids[:, inside], example.position_ids)
        np.testing.assert_array_equal(row.labels[inside], example.labels)
        assert row.is_prefix[inside].sum() == example.prefix_length
        assert row.is_prefix[inside][: example.prefix_length].all()
        assert objective == example.objective


def test_positions_start_again_at_each_example():
    _, rows = window()
    for row in rows:
        for segment in range(1, len(row.sample_numbers) + 1):
            first = np.flatnonzero(row.segment_ids == segment)[0]
            assert row.position_ids[:, first].tolist() == [0, 0]


def test_padding_is_unscored_and_in_no_segment():
    _, rows = window(row_length=100)
    assert any(row.num_used < 100 for row in rows)
    for row in rows:
        padding = slice(row.num_used, None)
        assert (row.segment_ids[: row.num_used] > 0).all()
        assert (row.segment_ids[padding] == 0).all()
        assert (row.input_ids[padding] == 77).all()
        assert (row.labels[padding] == IGNORE_INDEX).all()
        assert not row.is_prefix[padding].any()


def test_the_order_of_rows_is_drawn_from_the_generator():
    examples, rows = window()
    orders = set()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        other = pack_window(range(40), examples, row_length=96, pad_id=0, rng=rng)
        assert len(other) == len(rows)
        orders.add(tuple(row.sample_numbers for row in other))
    assert len(orders) == 5


@given(data=st.data(), num_examples=st.integers(1, 4))
def test_visible_keys_equal_the_rule_spelt_out(data, num_examples):
    sizes = [
        (data.draw(st.integers(0, 4)), data.draw(st.integers(1, 4))) for _ in range(num_examples)
    ]
    padding = data.draw(st.integers(0, 3))
    segments, prefix = [], []
    for segment, (part_a, part_b) in enumerate(sizes, start=1):
        segments += [segment] * (part_a + part_b)
        prefix += [True] * part_a + [False] * part_b
    segments += [0] * padding
    prefix += [False] * padding
    visible = visible_keys(np.array(segments), np.array(prefix))
    for query in range(len(segments)):
        for key in range(len(segments)):
            same_example = segments[query] == segments[key]
            expected = same_example and (prefix[key] or key <= query)
            assert visible[query, key] == expected


def test_branches_see_the_prefix_their_stem_and_themselves():
    # A A | stem, then two branches of two tokens that continue it
    visible = visible_keys(
        np.ones(7, dtype=np.int64),
        np.array([True, True, False, False, False, False, False]),
        np.array([7, 7, 7, 5, 5, 7, 7]),
    )
    assert visible[4].tolist() == [True, True, True, True, True, False, False]
    assert visible[6].tolist() == [True, True, True, False, False, True, True]
    assert visible[0].tolist() == [True, True, False, False, False, False, False]


def test_one_example_alone_is_laid_out_as_it_is():
    example = make_sampler([20]).draw_example(0)
    row = lay_out([5], [example], row_length=len(example), pad_id=0)
    np.testing.assert_array_equal(row.input_ids, example.input_ids)
    assert row.num_used == len(example)
