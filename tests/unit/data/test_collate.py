"""A batch is its rows, stacked."""

import itertools

import numpy as np
import pytest
import torch
from stand_ins import make_sampler

from unblank.data.collate import collate
from unblank.data.loader import RowStream


def test_a_batch_holds_its_rows():
    with RowStream(make_sampler([30, 50, 12]), row_length=80) as stream:
        rows = list(itertools.islice(stream, 5))
    batch = collate(rows)
    for index, row in enumerate(rows):
        for name in ("input_ids", "labels", "segment_ids", "is_prefix"):
            np.testing.assert_array_equal(getattr(batch, name)[index].numpy(), getattr(row, name))
        np.testing.assert_array_equal(batch.position_ids[:, index].numpy(), row.position_ids)
    assert batch.position_ids.shape == (2, 5, 80)
    assert batch.input_ids.dtype == torch.int64
    assert batch.is_prefix.dtype == torch.bool
    assert batch.sample_numbers == [n for row in rows for n in row.sample_numbers]
    assert batch.objectives == ["double"] * len(batch.sample_numbers)
    assert set(batch.model_inputs()) == {
        "input_ids",
        "position_ids",
        "labels",
        "segment_ids",
        "is_prefix",
    }


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="one row"):
        collate([])
