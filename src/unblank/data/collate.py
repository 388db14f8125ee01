"""Rows (numpy) stacked to a `Batch` (torch): the last step before the model."""

from collections.abc import Sequence

import numpy as np
import torch

from unblank.data.packing import Row
from unblank.data.types import Batch

__all__ = ["collate"]


def collate(rows: Sequence[Row]) -> Batch:
    """Return the rows as one batch; all rows have one length.

    Raises:
        ValueError: if there is no row.
    """
    if not rows:
        raise ValueError("a batch needs at least one row")
    return Batch(
        input_ids=torch.from_numpy(np.stack([row.input_ids for row in rows])),
        position_ids=torch.from_numpy(np.stack([row.position_ids for row in rows], axis=1)),
        labels=torch.from_numpy(np.stack([row.labels for row in rows])),
        segment_ids=torch.from_numpy(np.stack([row.segment_ids for row in rows])),
        is_prefix=torch.from_numpy(np.stack([row.is_prefix for row in rows])),
        sample_numbers=[number for row in rows for number in row.sample_numbers],
        objectives=[name for row in rows for name in row.objectives],
    )
