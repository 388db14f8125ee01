"""Work is divided so that all have alike much."""

from hypothesis import given
from hypothesis import strategies as st

from unblank.load_balancing import share_out


@given(sizes=st.lists(st.integers(0, 1000), max_size=40), num_processes=st.integers(1, 5))
def test_shares_hold_every_item_once_and_differ_by_one_item_at_most(sizes, num_processes):
    found = share_out(sizes, num_processes)
    assert sorted(index for share in found for index in share) == list(range(len(sizes)))
    loads = [sum(sizes[index] for index in share) for share in found]
    assert max(loads) - min(loads) <= max(sizes, default=0)
