"""Rows (numpy) stacked to a batch (torch): the last step before the model."""

from collections.abc import Sequence

import numpy as np
import torch

from unblank.data.length_groups import LengthGroup, collate_group
from unblank.data.packing import Row
from unblank.examples import Batch, TrainBatch

__all__ = ["AnyRow", "collate", "collate_rows"]

AnyRow = Row | LengthGroup
"""What the stream consists of: packed examples, or groups of source/target examples."""


def collate_rows(rows: Sequence[AnyRow], pad_id: int) -> TrainBatch:
    """Return rows of either kind as one batch.

    Args:
        rows: of one kind; a group of source/target examples is a batch by itself.
        pad_id: fills what the examples of a group leave free.

    Raises:
        ValueError: if there is no row, or several groups.
    """
    groups = [row for row in rows if isinstance(row, LengthGroup)]
    if not groups:
        return collate([row for row in rows if isinstance(row, Row)])
    if len(rows) > 1:
        raise ValueError(
            f"a group of source/target examples is a batch by itself, got {len(rows)} rows: give "
            "one row per micro-batch and choose its size by row_length"
        )
    return collate_group(groups[0], pad_id)


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
