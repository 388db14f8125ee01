"""Scoring the end of a text as language models do: layouts that hide the rest after one blank.

Pure functions on token ids. The same text can be seen in three ways: "bi" puts everything before
the scored tokens into Part A, seen from both sides; "uni" leaves only the first token there and
reads all else left to right; "causal" has no blank at all, as the baseline GPT is trained. "bi" and
"uni" are the layouts of the original evaluation.
"""

from collections.abc import Sequence

import numpy as np

from unblank.evaluation.options import LeftContext
from unblank.examples import IGNORE_INDEX, Example
from unblank.objectives.causal import causal_layout
from unblank.tokenization.special import SpecialIds

__all__ = ["continuation_layout", "window_bounds"]


def continuation_layout(
    before: Sequence[int],
    target: Sequence[int],
    special: SpecialIds,
    *,
    context: LeftContext = "bi",
    blank: int | None = None,
    ends_text: bool = False,
) -> Example:
    """Lay out a text whose last tokens are scored, given all before them.

    Args:
        before: ids of the known beginning, perhaps none.
        target: ids of the scored tokens, at least one.
        special: ids of the special tokens.
        context: see the head of this module.
        blank: the token that stands for what follows; None for `[gMASK]`. "causal" has none.
        ends_text: say that the text ends after the blank, as LAMBADA does.

    Returns:
        The example; only `target` has labels.

    Example:
        Tokens 11 to 14, of which the last two are scored, after [gMASK] (7) and [sop] (9):

        >>> special = SpecialIds(
        ...     pad=0, eos=0, cls=2, sep=3, unk=4, mask=5, smask=6, gmask=7, sop=9, eop=8, dblock=1
        ... )
        >>> continuation_layout([11, 12], [13, 14], special).input_ids.tolist()
        [2, 11, 12, 7, 9, 13]
        >>> continuation_layout([11, 12], [13, 14], special, context="uni").input_ids.tolist()
        [2, 11, 7, 9, 12, 13]
        >>> continuation_layout([11, 12], [13, 14], special, context="causal").input_ids.tolist()
        [2, 11, 12, 13]
    """
    if context == "causal":
        example = causal_layout(np.array([*special.start, *before, *target], np.int64))
    else:
        num_visible = len(before) if context == "bi" else min(1, len(before))
        unseen = special.gmask if blank is None else blank
        part_a = [*special.start, *before[:num_visible], unseen]
        place = len(part_a) - 1
        part_a += [special.eos] * ends_text
        hidden = [*before[num_visible:], *target]
        example = _behind_blank(part_a, place, hidden, special.sop)
    example.labels[: -len(target)] = IGNORE_INDEX
    return example


def window_bounds(num_tokens: int, window: int, stride: int) -> list[tuple[int, int, int]]:
    """Return (first token seen, first token scored, end) of each window over a text.

    The first window scores all its tokens but the first; each later one moves on by `stride` and
    scores the `stride` tokens (fewer at the end) that are new to it. Every token is scored once.

    Args:
        num_tokens: length of the text.
        window: tokens of a window, scored ones included.
        stride: tokens that a window scores, at most `window - 1`.

    Raises:
        ValueError: a stride that leaves no context, or none at all.

    Example:
        >>> window_bounds(12, window=6, stride=4)
        [(0, 1, 6), (4, 6, 10), (8, 10, 12)]
    """
    if not 0 < stride < window:
        raise ValueError(
            f"stride is {stride} and window is {window}: a window must score at least one token, "
            "and see at least one that it does not score"
        )
    bounds = [(0, 1, min(window, num_tokens))] if num_tokens > 1 else []
    bounds += [
        (start + stride - window, start, min(start + stride, num_tokens))
        for start in range(window, num_tokens, stride)
    ]
    return bounds


def _behind_blank(part_a: Sequence[int], place: int, hidden: Sequence[int], sop: int) -> Example:
    """Lay out Part A and, for its blank at `place`, the hidden tokens without an end."""
    size_a, size = len(part_a), len(part_a) + len(hidden)
    position_ids = np.zeros((2, size), np.int64)
    position_ids[0, :size_a] = np.arange(size_a)
    position_ids[0, size_a:] = place
    position_ids[1, size_a:] = np.arange(1, len(hidden) + 1)
    labels = np.full(size, IGNORE_INDEX, np.int64)
    labels[size_a:] = hidden
    input_ids = np.array([*part_a, sop, *hidden[:-1]], np.int64)
    return Example(input_ids, position_ids, labels, size_a, "language_modelling")
