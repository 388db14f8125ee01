"""What a model thinks of the labelled tokens of examples: log-probabilities, and whether it errs.

Examples are packed into rows, and only labelled positions reach the head.

Shapes: `B` rows, `T` columns, `Q` labelled columns of a row, `N` labelled positions, `V`
vocabulary, `D` width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unblank.data.collate import collate
from unblank.data.length_groups import LengthGroup, collate_group, group_by_length
from unblank.data.packing import Row, lay_out, pack
from unblank.examples import IGNORE_INDEX, Example, Seq2SeqExample
from unblank.load_balancing import padded_size
from unblank.models.loss import log_probabilities_in_chunks
from unblank.models.products import fast_fp32_products
from unblank.shared_batches import compute_batches

__all__ = ["TokenScores", "score_labels", "score_target_labels"]

_BATCH_POSITIONS = 4096
"""Number of positions that go through the model at once."""

_ROW_POSITIONS = 512
"""Number of positions of a row, unless an example is longer."""


_Scored = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Of labels, one after another: log-probability, and whether no other token is more likely."""


@dataclass(frozen=True, slots=True)
class TokenScores:
    """The labelled tokens of one example, in their order.

    Attributes:
        log_probabilities: float64[N], natural logarithm.
        is_first_choice: bool[N], whether no other token of the vocabulary is more likely.
    """

    log_probabilities: NDArray[np.float64]
    is_first_choice: NDArray[np.bool_]

    @property
    def total(self) -> float:
        """Log-probability of all labelled tokens together."""
        return float(self.log_probabilities.sum())


@torch.inference_mode()
def score_labels(
    model: Any,
    examples: Sequence[Example],
    *,
    head: nn.Module | None = None,
    row_length: int = _ROW_POSITIONS,
    advance: Callable[[int], object] = int,
) -> list[TokenScores]:
    """Return the scores of each example's labels; what else is in a batch changes nothing.

    Args:
        model: a `GlmInfillForConditionalGeneration` in evaluation mode.
        examples: each with at least one label.
        head: over the values of labels, its last layer linear; None for that of the vocabulary.
        row_length: positions of a row, raised to the longest example.
        advance: called with the number of examples done, for a progress bar.
    """
    if not examples:
        return []
    row_length = max(row_length, *map(len, examples))
    packed = pack([len(example) for example in examples], row_length)
    rows_per_batch = max(1, _BATCH_POSITIONS // row_length)
    batches = [
        packed[start : start + rows_per_batch] for start in range(0, len(packed), rows_per_batch)
    ]

    def scored(items: Sequence[Sequence[int]]) -> dict[int, TokenScores]:
        rows = [
            lay_out(row, [examples[item] for item in row], row_length=row_length, pad_id=0)
            for row in items
        ]
        with fast_fp32_products(model.dtype, model.device):
            found = _score_rows(model, head or model.lm_head, rows)
        return _by_example(list(chain.from_iterable(items)), examples, found)

    costs = [len(rows) * row_length for rows in batches]
    results: dict[int, TokenScores] = {}
    for of_batch in compute_batches(batches, scored, costs):
        results |= of_batch
        advance(len(of_batch))
    return [results[item] for item in range(len(examples))]


@torch.inference_mode()
def score_target_labels(model: Any, examples: Sequence[Seq2SeqExample]) -> list[TokenScores]:
    """Return the scores of each example's labels; what else is in a batch changes nothing.

    Args:
        model: an encoder-decoder with its head, in evaluation mode.
        examples: each with at least one label.
    """
    sides = [(len(example.input_ids), len(example.labels)) for example in examples]
    batches = group_by_length(sides, _BATCH_POSITIONS) if examples else []

    def scored(items: Sequence[int]) -> dict[int, TokenScores]:
        group = LengthGroup(tuple(items), tuple(examples[item] for item in items))
        batch = collate_group(group, pad_id=0)
        inputs = batch.model_inputs(model.device)
        is_label_BT = inputs.pop("labels") != IGNORE_INDEX
        with fast_fp32_products(model.dtype, model.device):
            hidden_BTD = model.model(**inputs, use_cache=False).last_hidden_state
        labels_N = batch.labels[batch.labels != IGNORE_INDEX].to(model.device)
        found = _against(model.lm_head, hidden_BTD[is_label_BT], labels_N)
        return _by_example(items, examples, found)

    costs = [padded_size([sum(sides[item]) for item in items]) for items in batches]
    results: dict[int, TokenScores] = {}
    for of_batch in compute_batches(batches, scored, costs):
        results |= of_batch
    return [results[item] for item in range(len(examples))]


def _by_example(
    items: Sequence[int], examples: Sequence[Example] | Sequence[Seq2SeqExample], found: _Scored
) -> dict[int, TokenScores]:
    """Return the scores of each item, of those of all their labels one after another."""
    counts = [int((examples[item].labels != IGNORE_INDEX).sum()) for item in items]
    pieces = [np.split(part, np.cumsum(counts)[:-1]) for part in found]
    return {
        item: TokenScores(log_p, is_first)
        for item, log_p, is_first in zip(items, *pieces, strict=True)
    }


def _score_rows(model: Any, head: nn.Module, rows: Sequence[Row]) -> _Scored:
    """Return float64[N] and bool[N] of the labels, row by row and column by column."""
    width = max(row.num_used for row in rows)
    batch = collate(rows)
    labels_BT = batch.labels[:, :width]
    is_label_BT = labels_BT != IGNORE_INDEX
    most = int(is_label_BT.sum(dim=1).max())
    columns_BQ = is_label_BT.long().argsort(dim=1, descending=True, stable=True)[:, :most]
    is_wanted_BQ = is_label_BT.gather(1, columns_BQ)
    device = model.device
    hidden_BQD = model.model(
        input_ids=batch.input_ids[:, :width].to(device),
        position_ids=batch.position_ids[:, :, :width].to(device),
        segment_ids=batch.segment_ids[:, :width].to(device),
        is_prefix=batch.is_prefix[:, :width].to(device),
        output_columns=columns_BQ.to(device),
        use_cache=False,
    ).last_hidden_state
    hidden_ND = hidden_BQD[is_wanted_BQ.to(device)]
    if isinstance(head, nn.Sequential):
        hidden_ND, head = head[:-1](hidden_ND), head[-1]
    return _against(head, hidden_ND, labels_BT[is_label_BT].to(device))


def _against(head: Any, hidden_ND: Tensor, target_N: Tensor) -> _Scored:
    """Return log-probability of each target, and whether it is the most likely token."""
    log_p, is_first = [], []
    for rows, log_p_CV in log_probabilities_in_chunks(head, hidden_ND):
        target_C1 = target_N[rows, None]
        log_p.append(log_p_CV.gather(1, target_C1)[:, 0].double().cpu())
        is_first.append((log_p_CV.argmax(dim=1) == target_C1[:, 0]).cpu())
    return torch.cat(log_p).numpy(), torch.cat(is_first).numpy()
