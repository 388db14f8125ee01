"""The mask rule equals its definition, read aloud in loops."""

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unblank.models import masks
from unblank.models.masks import key_ranges, packed_visibility, prefix_visibility


def naive_packed(segments, prefix, ends):
    size = len(segments)
    visible = torch.zeros(size, size, dtype=torch.bool)
    for query in range(size):
        for key in range(size):
            same = segments[query] == segments[key]
            in_branch = key <= query < ends[key]
            visible[query, key] = same and (prefix[key] or in_branch)
    return visible


@st.composite
def rows(draw):
    segments, prefix, ends = [], [], []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        length_a, branches = draw(st.integers(0, 5)), draw(st.lists(st.integers(1, 4), max_size=3))
        start = len(segments)
        total = length_a + sum(branches)
        segments += [number] * total
        prefix += [True] * length_a + [False] * sum(branches)
        ends += [start + total] * length_a
        position = start + length_a
        for length in branches:
            ends += [position + length] * length
            position += length
    padding = draw(st.integers(1, 3))
    return (
        segments + [0] * padding,
        prefix + [False] * padding,
        ends + [len(segments) + padding] * padding,
    )


@given(rows())
def test_packed_rule_equals_its_definition(row):
    segments, prefix, ends = row
    visible = packed_visibility(
        torch.tensor([segments]), torch.tensor([prefix]), torch.tensor([ends])
    )
    assert torch.equal(visible[0, 0], naive_packed(segments, prefix, ends))


@given(rows())
def test_without_branches_part_b_is_one_branch(row):
    segments, prefix, _ = row
    visible = packed_visibility(torch.tensor([segments]), torch.tensor([prefix]))
    assert torch.equal(visible[0, 0], naive_packed(segments, prefix, [len(segments)] * 99))


def test_prefix_rule_is_causal_at_zero_and_full_at_the_length():
    lengths = torch.tensor([0, 3, 5])
    visible = prefix_visibility(lengths, 5)[:, 0]
    assert torch.equal(visible[0], torch.ones(5, 5).tril().bool())
    assert visible[2].all()
    assert torch.equal(visible[1, 0], torch.tensor([True, True, True, False, False]))


def test_padding_is_seen_by_nobody_but_itself():
    key_mask = torch.tensor([[0, 0, 1, 1, 1]])
    visible = prefix_visibility(torch.tensor([4]), 5, key_mask=key_mask)[0, 0]
    assert not visible[2:, :2].any()
    assert visible.diagonal().all()


def test_cached_columns_are_all_visible():
    visible = prefix_visibility(torch.tensor([4]), 2, num_cached=4)[0, 0]
    assert torch.equal(visible, torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]]).bool())


@given(rows(), st.integers(1, 4), st.sampled_from([1, 2, 64]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_key_ranges_cover_every_visible_key(monkeypatch, row, query_block, key_multiple):
    monkeypatch.setattr(masks, "_KEY_MULTIPLE", key_multiple)
    segments, prefix, ends = (torch.tensor([part]) for part in row)
    visible = packed_visibility(segments, prefix, ends)
    covered = torch.zeros_like(visible)
    for block in key_ranges(visible, query_block):
        queries = slice(block.query_start, block.query_stop)
        keys = slice(block.key_start, block.key_stop)
        covered[:, :, queries, keys] = True
        assert block.is_full == bool(visible[:, :, queries, keys].all())
    assert not (visible & ~covered).any()
