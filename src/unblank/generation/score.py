"""Log-probabilities of candidates for a blank: one forward over one shared context.

Part B holds a tree of all candidates (`branches`), and several texts lie side by side in a row.
Everything is differentiable: the same functions serve fine-tuning by cloze questions.

Shapes: `B` rows, `T` columns, `M` tree nodes of all texts, `P` predictions, `D` width, `V`
vocabulary, `C` candidates of a text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from unblank.generation.branches import CandidateTree, build_tree
from unblank.models.loss import log_probabilities_in_chunks
from unblank.settings.choices import Context

__all__ = ["Cloze", "score_batch", "score_first_choices"]


@dataclass(frozen=True, slots=True)
class Cloze:
    """A text with a blank, and what may fill it.

    Attributes:
        token_ids: Part A, as `unblank.generation.prompts.read_text` makes it.
        blank: position of the blank in Part A.
        candidates: token ids of each candidate, without an end token.
        answer_position: first position of all answers; None for the place of the blank.
    """

    token_ids: Sequence[int]
    blank: int
    candidates: Sequence[Sequence[int]]
    answer_position: int | None = None


def score_batch(
    model: Any,
    clozes: Sequence[Cloze],
    *,
    sop_id: int,
    end_id: int | None,
    normalization: Literal["sum", "mean"] = "sum",
    context: Context = "bi",
    row_length: int | None = None,
) -> list[Tensor]:
    """Return for each text float32[C], the log-probabilities of its candidates, with gradients.

    Args:
        model: a `GlmInfillForConditionalGeneration`.
        clozes: the texts.
        sop_id: the token that opens a span.
        end_id: the token that ends one; None leaves the end out of the score.
        normalization: "sum" over a candidate's tokens (its end included), or their "mean".
        context: "bi", or "uni" for a causal Part A.
        row_length: most columns of a row, into which texts are packed; None for the longest text.

    Raises:
        ValueError: an empty or repeated candidate, an unknown normalisation or context.
    """
    if normalization not in ("sum", "mean") or context not in ("bi", "uni"):
        raise ValueError(
            f"normalization is {normalization!r} and context is {context!r}: they must be 'sum' or "
            "'mean', and 'bi' or 'uni'"
        )
    trees = [build_tree(cloze.candidates, sop_id, end_id) for cloze in clozes]
    hidden_MD = _tree_states(model, clozes, trees, context == "bi", row_length)
    log_p_P, _ = _predicted(model, hidden_MD, trees)
    sums = _sums(log_p_P, trees)
    if normalization == "sum":
        return sums
    counts = [torch.tensor(tree.num_predictions, device=log_p_P.device) for tree in trees]
    return [sums_C / counts_C for sums_C, counts_C in zip(sums, counts, strict=True)]


def score_first_choices(
    model: Any,
    clozes: Sequence[Cloze],
    *,
    sop_id: int,
    row_length: int | None = None,
) -> list[tuple[Tensor, Tensor]]:
    """Return for each text float32[C], log-probabilities without an end, and bool[C].

    The second is whether every token of the candidate is the most likely one at its place, so that
    greedy decoding would write it. Arguments as for `score_batch`.
    """
    trees = [build_tree(cloze.candidates, sop_id, None) for cloze in clozes]
    hidden_MD = _tree_states(model, clozes, trees, is_bidirectional=True, row_length=row_length)
    log_p_P, best_P = _predicted(model, hidden_MD, trees, with_best=True)
    num_missed = _sums((log_p_P < best_P).float(), trees)
    return [
        (sums_C, missed_C == 0)
        for sums_C, missed_C in zip(_sums(log_p_P, trees), num_missed, strict=True)
    ]


def _sums(values_P: Tensor, trees: Sequence[CandidateTree]) -> list[Tensor]:
    """Return for each tree float32[C], the values of each candidate's predictions added up."""
    sums, start = [], 0
    for tree in trees:
        stop = start + len(tree.predictions)
        owners_P = torch.tensor([owner for *_, owner in tree.predictions], device=values_P.device)
        zeros_C = values_P.new_zeros(len(tree.num_predictions))
        sums.append(zeros_C.index_add(0, owners_P, values_P[start:stop]))
        start = stop
    return sums


def _tree_states(
    model: Any,
    clozes: Sequence[Cloze],
    trees: Sequence[CandidateTree],
    is_bidirectional: bool,
    row_length: int | None,
) -> Tensor:
    """Return float[M, D], the last hidden states of all tree nodes."""
    lengths = [len(c.token_ids) + len(t.token_ids) for c, t in zip(clozes, trees, strict=True)]
    places = _places(lengths, max(row_length or 0, max(lengths)))
    num_rows = places[-1][0] + 1
    width = max(column + length for (_, column), length in zip(places, lengths, strict=True))
    token_ids = torch.zeros(num_rows, width, dtype=torch.long)
    position_ids = torch.zeros(2, num_rows, width, dtype=torch.long)
    segment_ids, branch_ends = torch.zeros_like(token_ids), torch.full_like(token_ids, width)
    is_prefix = torch.zeros_like(token_ids, dtype=torch.bool)
    nodes: list[list[int]] = [[] for _ in range(num_rows)]
    for index, (cloze, tree, (row, start)) in enumerate(zip(clozes, trees, places, strict=True)):
        middle = start + len(cloze.token_ids)
        stop = middle + len(tree.token_ids)
        token_ids[row, start:stop] = torch.tensor([*cloze.token_ids, *tree.token_ids])
        position_ids[0, row, start:middle] = torch.arange(middle - start)
        place = cloze.blank if cloze.answer_position is None else cloze.answer_position
        position_ids[0, row, middle:stop] = place
        position_ids[1, row, middle:stop] = torch.tensor(tree.depths) + 1
        segment_ids[row, start:stop] = index + 1
        is_prefix[row, start:middle] = is_bidirectional
        branch_ends[row, middle:stop] = torch.tensor(tree.ends) + middle
        nodes[row] += range(middle, stop)
    device = model.device
    # Of the last layer only the tree is wanted; texts come row by row, so nodes stay in order.
    most = max(map(len, nodes))
    columns = torch.tensor([row_nodes + [0] * (most - len(row_nodes)) for row_nodes in nodes])
    is_node = torch.tensor([[i < len(row_nodes) for i in range(most)] for row_nodes in nodes])
    hidden_BQD = model.model(
        input_ids=token_ids.to(device),
        position_ids=position_ids.to(device),
        segment_ids=segment_ids.to(device),
        is_prefix=is_prefix.to(device),
        branch_ends=branch_ends.to(device),
        output_columns=columns.to(device),
        use_cache=False,
    ).last_hidden_state
    states: Tensor = hidden_BQD[is_node.to(device)]
    return states


def _places(lengths: Sequence[int], row_length: int) -> list[tuple[int, int]]:
    """Return (row, first column) of each text, filling one row after the other."""
    places, row, column = [], 0, 0
    for length in lengths:
        if column and column + length > row_length:
            row, column = row + 1, 0
        places.append((row, column))
        column += length
    return places


def _predicted(
    model: Any, hidden_MD: Tensor, trees: Sequence[CandidateTree], *, with_best: bool = False
) -> tuple[Tensor, Tensor]:
    """Return float32[P] twice, in order: log-probability of every predicted token, and the highest.

    The second is empty unless asked for.
    """
    nodes: list[int] = []
    targets: list[int] = []
    first_node = 0
    for tree in trees:
        nodes += [first_node + node for node, _, _ in tree.predictions]
        targets += [target for _, target, _ in tree.predictions]
        first_node += len(tree.token_ids)
    node_P = torch.tensor(nodes, device=hidden_MD.device)
    target_P = torch.tensor(targets, device=hidden_MD.device)
    found, best = [], [node_P.new_empty(0, dtype=torch.float32)]
    for rows, log_p_CV in log_probabilities_in_chunks(model.lm_head, hidden_MD):
        is_here = (node_P >= rows.start) & (node_P < rows.stop)
        row_H = node_P[is_here] - rows.start
        found.append(log_p_CV[row_H, target_P[is_here]])
        if with_best:
            best.append(log_p_CV.amax(dim=-1)[row_H])
    return torch.cat(found), torch.cat(best)
