"""Where the tokens of a written-out text stand: Part A, then each blank's span behind its [sop].

The n-th `[sop]` of a row opens the span of its n-th blank, and all that follows the first `[sop]`
is Part B. Padding may stand anywhere; it is not counted.

Shapes: `B` rows, `T` tokens.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = ["blank_ids", "blank_positions", "span_start_id"]


def blank_ids(config: Any) -> list[int]:
    """Return the ids of the tokens that stand for a blank in a model of this configuration."""
    ids = (config.mask_token_id, config.smask_token_id, config.gmask_token_id)
    return [token_id for token_id in ids if token_id is not None]


def span_start_id(config: Any) -> int:
    """Return the id of `[sop]`, the token that opens a span.

    Raises:
        ValueError: the configuration names none.
    """
    if config.sop_token_id is None:
        raise ValueError("config.sop_token_id is not set: name the token that opens a span")
    token_id: int = config.sop_token_id
    return token_id


def blank_positions(input_ids: Tensor, is_real: Tensor | None, config: Any) -> Tensor:
    """Return the positions of a text whose blanks are being filled (GLM paper, section 2.1).

    Args:
        input_ids: int64[B, T].
        is_real: [B, T], non-zero on tokens that are not padding; None if all are real.
        config: of the model; names the special tokens.

    Returns:
        int64[2, B, T], position in Part A (of the blank, in a span), and position in the span from
        1 (0 in Part A).

    Raises:
        ValueError: a row without `[sop]`, or with more of them than blanks.

    Example:
        >>> from unblank.models.glm import GlmInfillConfig
        >>> config = GlmInfillConfig(mask_token_id=9, sop_token_id=8)
        >>> blank_positions(torch.tensor([[5, 9, 6, 8, 7]]), None, config)[:, 0]
        tensor([[0, 1, 2, 1, 1],
                [0, 0, 0, 1, 2]])
    """
    is_real = torch.ones_like(input_ids) if is_real is None else is_real
    is_real = is_real.bool()
    is_sop = (input_ids == span_start_id(config)) & is_real
    spans = is_sop.cumsum(1)
    is_blank = torch.isin(input_ids, torch.tensor(blank_ids(config), device=input_ids.device))
    is_blank &= is_real & (spans == 0)
    _check(is_blank.sum(1), spans[:, -1])
    places = ((is_real & (spans == 0)).cumsum(1) - 1).clamp(min=0)
    # Blanks first, in their order: column n - 1 is the blank of the n-th span.
    blank_columns = (~is_blank).long().argsort(dim=1, stable=True)
    blanks = blank_columns.gather(1, (spans - 1).clamp(min=0))
    counted = is_real.cumsum(1)
    opened = torch.where(is_sop, counted, 0).cummax(1).values
    outside = torch.where(spans > 0, places.gather(1, blanks), places)
    inside = torch.where(spans > 0, counted - opened + 1, 0)
    return torch.stack([outside, inside])


def _check(num_blanks: Tensor, num_spans: Tensor) -> None:
    if torch.compiler.is_compiling():  # a compiled graph cannot depend on values
        return
    if bool((num_spans == 0).any()):
        raise ValueError(
            "a row has no <|startofpiece|>, after which its blank is filled: end every row in it"
        )
    if bool((num_blanks < num_spans).any()):
        row = int((num_blanks < num_spans).long().argmax())
        raise ValueError(
            f"row {row} needs a blank ([MASK], [sMASK] or [gMASK]) before each <|startofpiece|>: "
            f"it has {int(num_blanks[row])} for {int(num_spans[row])}"
        )
