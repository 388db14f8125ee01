"""The mathematics of GanLM's objective as pure functions: sampling, judging, noise, weights.

What is chosen is taken out of its rows (`at_chosen`) and put back (`put_back`), except in a
compiled graph, whose shapes must not depend on values: there all positions are computed, and those
that are not chosen do not count.

A *content* position is one whose label is an ordinary token: neither padding nor a sentinel. Only
there are tokens sampled, judged and replaced. Nothing here differentiates through sampling.

Shapes: `B` rows, `T` target tokens, `N` chosen positions, `D` width, `V` vocabulary.
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from unblank.examples import IGNORE_INDEX
from unblank.models.loss import logits_in_chunks

__all__ = [
    "DenoisingRule",
    "at_chosen",
    "content_ids",
    "content_positions",
    "detection_rates",
    "discriminator_inputs",
    "discriminator_loss_sum",
    "noise_positions",
    "put_back",
    "sample_tokens",
    "warmed_up_weight",
    "with_noise",
]

DenoisingRule = Literal["errors", "agreements", "all"]
"""Where sampled tokens replace those of the denoising input. "errors": where the discriminator errs
(the published program). "agreements": where it is right, as section 2.4 of the paper literally
says. "all": everywhere."""

_CHUNK_BYTES = 16 * 2**20
"""Most bytes of one chunk of fp32 probabilities."""

_WIDEST_BLOCK = 128

_LEAST_CHANCE = torch.finfo(torch.float32).tiny / torch.finfo(torch.float32).eps
"""Below it, fp32 holds too few digits of the chances that add up to it."""


def content_ids(
    vocab_size: int,
    first_special_id: int | None,
    sentinel_ids: list[int] | None,
    device: torch.device | None = None,
) -> Tensor:
    """Return bool[V], True for ids that are ordinary tokens.

    Args:
        vocab_size: V.
        first_special_id: ids from here on are special; None for none.
        sentinel_ids: further special ids.
        device: where the result lives.
    """
    is_content_V = torch.ones(vocab_size, dtype=torch.bool, device=device)
    if first_special_id is not None:
        is_content_V[first_special_id:] = False
    if sentinel_ids:
        is_content_V[sentinel_ids] = False
    return is_content_V


def content_positions(labels_BT: Tensor, is_content_V: Tensor) -> Tensor:
    """Return bool[B, T], True where the label is an ordinary token.

    Args:
        labels_BT: int64[B, T], -100 where not scored.
        is_content_V: from `content_ids`.
    """
    return (labels_BT != IGNORE_INDEX) & is_content_V[labels_BT.clamp(min=0)]


def at_chosen(values_BT: Tensor, chosen_BT: Tensor) -> Tensor:
    """Return the values of the chosen positions, [N, ...]; in a compiled graph those of all.

    Args:
        values_BT: [B, T, ...].
        chosen_BT: bool[B, T].
    """
    if torch.compiler.is_compiling():
        return values_BT.flatten(0, 1)
    return values_BT[chosen_BT]


def put_back(values_N: Tensor, chosen_BT: Tensor, otherwise_BT: Tensor) -> Tensor:
    """Return values of `at_chosen` where they were chosen, [B, T].

    Args:
        values_N: what was made of them.
        chosen_BT: bool[B, T].
        otherwise_BT: what stands elsewhere.
    """
    if torch.compiler.is_compiling():
        return torch.where(chosen_BT, values_N.view_as(chosen_BT), otherwise_BT)
    return otherwise_BT.masked_scatter(chosen_BT, values_N)


@torch.no_grad()
def sample_tokens(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    excluded_N: Tensor | None = None,
) -> Tensor:
    """Return a token drawn at each position from softmax(hidden @ weight^T / temperature) in fp32.

    Args:
        hidden_ND: float[N, D], hidden states of the generator at the chosen positions.
        weight_VD: float[V, D], the tied embedding table.
        generator: source of randomness; None for torch's own.
        temperature: above 1 flattens the distribution.
        excluded_N: int64[N], a token that must not be drawn at each position; None for none.

    Returns:
        int64[N].

    Raises:
        ValueError: the temperature is not above 0, or is not finite.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature is {temperature!r}: it must be above 0 and finite")
    if torch.is_autocast_enabled(hidden_ND.device.type):  # once, not for every chunk
        weight_VD = weight_VD.to(torch.get_autocast_dtype(hidden_ND.device.type))
    drawn = []
    for rows, _, logits_CV in logits_in_chunks(hidden_ND, weight_VD, _CHUNK_BYTES):
        excluded_C = None if excluded_N is None else excluded_N[rows]
        drawn.append(_draw(_probabilities(logits_CV, temperature, excluded_C), generator))
    return torch.cat(drawn) if drawn else hidden_ND.new_zeros(0, dtype=torch.long)


def _probabilities(logits_CV: Tensor, temperature: float, excluded_C: Tensor | None) -> Tensor:
    """Return float32[C, V], proportional to the chance of each token; 0 for the excluded ones."""
    if temperature == 1 and excluded_C is None:
        return torch.softmax(logits_CV, dim=-1, dtype=torch.float32)
    p_CV = torch.softmax(logits_CV / temperature, dim=-1, dtype=torch.float32)
    if excluded_C is not None:
        p_CV.scatter_(1, excluded_C[:, None], 0.0)
    # Where the excluded token had all of the chance, the others underflow: begin without it.
    is_lost_C = ~(p_CV.sum(dim=1) > _LEAST_CHANCE)
    if torch.compiler.is_compiling():
        p_CV = torch.where(
            is_lost_C[:, None], _without_excluded(logits_CV, temperature, excluded_C), p_CV
        )
    elif is_lost_C.any():
        excluded = None if excluded_C is None else excluded_C[is_lost_C]
        p_CV[is_lost_C] = _without_excluded(logits_CV[is_lost_C], temperature, excluded)
    return p_CV


def _without_excluded(logits_CV: Tensor, temperature: float, excluded_C: Tensor | None) -> Tensor:
    """Return the same chances from logits without the excluded tokens."""
    others = logits_CV.float()
    if excluded_C is not None:
        others = others.scatter(1, excluded_C[:, None], -torch.inf)
    below_best = others - others.amax(dim=1, keepdim=True)
    return torch.softmax(below_best / temperature, dim=-1)


def _draw(p_CV: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return one index a row. On CPU multinomial draws V numbers a row: 50 times slower.

    First a block of the vocabulary is drawn, then an id in it, so that float64 sums are few.
    """
    if p_CV.device.type != "cpu":
        return torch.multinomial(p_CV, 1, generator=generator)[:, 0]
    num_rows, vocab_size = p_CV.shape
    width = min(vocab_size & -vocab_size, _WIDEST_BLOCK)  # a power of 2 that divides V
    p_CKW = p_CV.view(num_rows, vocab_size // width, width)
    share_C1 = torch.rand((num_rows, 1), generator=generator, dtype=torch.float64)
    cdf_CK = p_CKW.sum(dim=2).cumsum(dim=1, dtype=torch.float64)
    below_C1 = share_C1 * cdf_CK[:, -1:]
    block_C1 = _first_above(cdf_CK, below_C1)
    before_C1 = functional.pad(cdf_CK, (1, 0)).gather(1, block_C1)
    p_CW = p_CKW[torch.arange(num_rows), block_C1[:, 0]].double()
    inside_C1 = _first_above(p_CW.cumsum(dim=1), (below_C1 - before_C1).clamp(min=0))
    return (block_C1 * width + inside_C1)[:, 0]


def _first_above(cdf_CK: Tensor, below_C1: Tensor) -> Tensor:
    """Return the first place in each row whose sum is above a number, rounding errors or not."""
    last_C1 = cdf_CK[:, -1:].nextafter(torch.zeros_like(below_C1))
    return torch.searchsorted(cdf_CK, torch.minimum(below_C1, last_C1), right=True)


def discriminator_inputs(
    labels_BT: Tensor, sampled_BT: Tensor, is_content_BT: Tensor, pad_id: int
) -> Tensor:
    """Return the target as the discriminator reads it: samples on content, not shifted.

    Args:
        labels_BT: int64[B, T], -100 where not scored.
        sampled_BT: int64[B, T], read on content positions only.
        is_content_BT: from `content_positions`.
        pad_id: stands where nothing is scored.
    """
    targets_BT = labels_BT.masked_fill(labels_BT == IGNORE_INDEX, pad_id)
    return torch.where(is_content_BT, sampled_BT, targets_BT)


def discriminator_loss_sum(
    logits_N2: Tensor, is_original_N: Tensor, counts_N: Tensor | None = None
) -> Tensor:
    """Return the summed two-way cross-entropy; class 1 is original, 0 replaced (section 2.3).

    Args:
        logits_N2: float[N, 2], at content positions.
        is_original_N: bool[N], the sample is the gold token.
        counts_N: bool[N], False for positions that are not judged; None if all are.

    Returns:
        float32 scalar, 0 for N = 0.
    """
    target_N = is_original_N.long()
    if counts_N is not None:
        target_N = target_N.masked_fill(~counts_N, IGNORE_INDEX)
    return functional.cross_entropy(logits_N2.float(), target_N, reduction="sum")


def noise_positions(
    labels_BT: Tensor,
    sampled_BT: Tensor,
    judged_original_BT: Tensor,
    is_content_V: Tensor,
    rule: DenoisingRule = "errors",
) -> tuple[Tensor, Tensor]:
    """Return where the sampled and where a re-sampled token disturbs the generator's input.

    Under "errors" the sample goes in where it is wrong and judged original, and another token where
    it is right and judged replaced (section 2.4; the published program's reading).

    Args:
        labels_BT: int64[B, T], -100 where not scored.
        sampled_BT: int64[B, T], read on content positions only.
        judged_original_BT: bool[B, T], the discriminator's verdict.
        is_content_V: from `content_ids`; other samples are never written.
        rule: see `DenoisingRule`.

    Returns:
        bool[B, T] and bool[B, T], False on the last scored position of each row, which has no
        successor to disturb.
    """
    is_scored = labels_BT != IGNORE_INDEX
    num_left = is_scored.flip(1).cumsum(1).flip(1)
    may_change = content_positions(labels_BT, is_content_V) & (num_left > 1)
    is_gold = sampled_BT == labels_BT
    is_wrong = ~is_gold & is_content_V[sampled_BT]
    if rule == "errors":
        with_sample, with_other = is_wrong & judged_original_BT, is_gold & ~judged_original_BT
    elif rule == "agreements":
        with_sample, with_other = is_wrong & ~judged_original_BT, is_gold & judged_original_BT
    elif rule == "all":
        with_sample, with_other = is_wrong, torch.zeros_like(is_gold)
    else:
        raise ValueError(f"the denoising rule is {rule!r}: choose errors, agreements or all")
    return may_change & with_sample, may_change & with_other


def with_noise(decoder_input_ids_BT: Tensor, noise_BT: Tensor, is_noise_BT: Tensor) -> Tensor:
    """Return the decoder input with noise one column after each position where it belongs.

    Args:
        decoder_input_ids_BT: int64[B, T], the labels shifted right.
        noise_BT: int64[B, T], the token instead of the label.
        is_noise_BT: bool[B, T].
    """
    shifted = torch.where(is_noise_BT[:, :-1], noise_BT[:, :-1], decoder_input_ids_BT[:, 1:])
    return torch.cat([decoder_input_ids_BT[:, :1], shifted], dim=1)


def detection_rates(
    is_original_N: Tensor, judged_original_N: Tensor, counts_N: Tensor | None = None
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return replaced rate and both accuracies of the discriminator, as (hits, out of).

    Args:
        is_original_N: bool[N], the sample is the gold token.
        judged_original_N: bool[N], the verdict.
        counts_N: bool[N], False for positions that are not judged; None if all are.
    """
    is_replaced_N = ~is_original_N
    num_tokens = torch.tensor(is_original_N.numel(), device=is_original_N.device)
    if counts_N is not None:
        is_original_N, is_replaced_N = is_original_N & counts_N, is_replaced_N & counts_N
        num_tokens = counts_N.sum()
    return {
        "replaced_rate": (is_replaced_N.sum(), num_tokens),
        "replaced_accuracy": ((is_replaced_N & ~judged_original_N).sum(), is_replaced_N.sum()),
        "original_accuracy": ((is_original_N & judged_original_N).sum(), is_original_N.sum()),
    }


def warmed_up_weight(weight: float, step: int, start: int = 0, warmup_steps: int = -1) -> float:
    """Return the weight of a loss at an optimiser step.

    Args:
        weight: final value.
        step: optimiser steps done.
        start: the weight is 0 before this step.
        warmup_steps: steps of linear growth after `start`; -1 is none.

    Example:
        >>> warmed_up_weight(10.0, step=250, warmup_steps=1000)
        2.5
    """
    if step < start:
        return 0.0
    if warmup_steps <= 0:
        return weight
    return weight * min((step - start) / warmup_steps, 1.0)
