"""A batch that processes cannot share equally is refused with the nearest numbers that fit."""

import pytest

from unblank.engine.parallel import require_equal_shares


@pytest.mark.parametrize(
    ("batch_size", "num_processes", "rows", "processes"),
    [
        (4, 3, 3, "2 processes"),
        (32, 6, 30, "4 processes"),
        (30, 7, 28, "6 processes"),
        (7, 3, 6, "1 process"),
        (1, 2, 2, "1 process"),
        (32, 100, 100, "32 processes"),
    ],
)
def test_both_ways_out_are_told(batch_size, num_processes, rows, processes):
    with pytest.raises(ValueError, match=f"set it to {rows}, or start {processes}$") as refused:
        require_equal_shares(batch_size, num_processes)
    assert f"({batch_size})" in str(refused.value)
    require_equal_shares(rows, num_processes)
    require_equal_shares(batch_size, int(processes.split()[0]))


def test_groups_of_rows_stay_together():
    with pytest.raises(
        ValueError, match=r"\(12\) .* \(4\) times .*micro_batch_size \(2\)"
    ) as refused:
        require_equal_shares(12, 4, group_size=2)
    assert str(refused.value).endswith("set it to 16, or start 3 processes")
    for batch_size, num_processes in ((16, 4), (12, 3)):
        require_equal_shares(batch_size, num_processes, group_size=2)
