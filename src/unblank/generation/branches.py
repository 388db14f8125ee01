"""Candidates as a tree: shared beginnings once, laid out depth first after one `[sop]`."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CandidateTree", "build_tree", "check_candidates"]


@dataclass(frozen=True, slots=True)
class CandidateTree:
    """Part B of a text with several candidates for one blank.

    Attributes:
        token_ids: input tokens, depth first; the first is `[sop]`.
        depths: 0 for `[sop]`, and so on; the position inside the span is one more.
        ends: for each node the index after the last node of its branch.
        predictions: (node, token that it must predict, candidate), sorted.
        num_predictions: predicted tokens of each candidate.
    """

    token_ids: tuple[int, ...]
    depths: tuple[int, ...]
    ends: tuple[int, ...]
    predictions: tuple[tuple[int, int, int], ...]
    num_predictions: tuple[int, ...]


def build_tree(
    candidates: Sequence[Sequence[int]], sop_id: int, end_id: int | None
) -> CandidateTree:
    """Return the tree of the candidates.

    Args:
        candidates: token ids, each at least one, no two the same.
        sop_id: the token that opens a span.
        end_id: the token that must follow each candidate; None leaves the end open.

    Raises:
        ValueError: an empty candidate, or two with the same tokens.
    """
    check_candidates(candidates)
    # Lexicographic order is depth first: a beginning comes right before what continues it.
    in_order = sorted((tuple(ids), index) for index, ids in enumerate(candidates))
    token_ids, depths, path = [sop_id], [0], [0]
    ends: dict[int, int] = {}
    predictions: list[tuple[int, int, int]] = []
    previous: tuple[int, ...] = ()
    for ids, candidate in in_order:
        # Without an end to predict, nothing looks at the last token.
        inputs = ids if end_id is not None else ids[:-1]
        num_shared = _common_length(previous, inputs)
        ends.update(dict.fromkeys(path[num_shared + 1 :], len(token_ids)))
        del path[num_shared + 1 :]
        for token_id in inputs[num_shared:]:
            depths.append(len(path))
            path.append(len(token_ids))
            token_ids.append(token_id)
        previous = inputs
        targets = ids if end_id is None else (*ids, end_id)
        predictions += [(*pair, candidate) for pair in zip(path, targets, strict=True)]
    ends.update(dict.fromkeys(path, len(token_ids)))
    return CandidateTree(
        token_ids=tuple(token_ids),
        depths=tuple(depths),
        ends=tuple(ends[node] for node in range(len(token_ids))),
        predictions=tuple(sorted(predictions)),
        num_predictions=tuple(len(ids) + (end_id is not None) for ids in candidates),
    )


def check_candidates(candidates: Sequence[Sequence[int]]) -> None:
    """Raise ValueError if there is no candidate, an empty one, or the same one twice."""
    if not candidates:
        raise ValueError("there are no candidates: give at least one")
    seen: dict[tuple[int, ...], int] = {}
    for index, ids in enumerate(candidates):
        if not ids:
            raise ValueError(f"candidate {index} is empty: it must have at least one token")
        if tuple(ids) in seen:
            raise ValueError(
                f"candidates {seen[tuple(ids)]} and {index} have the same tokens: leave one out"
            )
        seen[tuple(ids)] = index


def _common_length(first: Sequence[int], second: Sequence[int]) -> int:
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length
