"""From the settings of blank infilling to its objective: kinds drawn for each sample by weight.

`OBJECTIVES` lists every kind by name.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unblank.examples import Example, IntArray
from unblank.near_names import did_you_mean
from unblank.objectives.causal import causal_tokens
from unblank.objectives.context import ObjectiveContext, make_context
from unblank.objectives.diffusion import hidden_tokens
from unblank.objectives.drawing import Mixture, mixture_of
from unblank.objectives.fill_in_the_middle import fill_in_the_middle
from unblank.objectives.infilling import (
    document_span,
    sentence_spans,
    single_token_span,
    token_spans,
)
from unblank.objectives.masked import masked_tokens
from unblank.objectives.mixed_masks import mixed_masks
from unblank.objectives.settings import ObjectiveSettings
from unblank.objectives.spans import short_stretch
from unblank.tokenization.special import SpecialIds

__all__ = ["build_objective", "objective_shares", "only"]

OBJECTIVES: dict[str, Callable[[IntArray, np.random.Generator, ObjectiveContext], Example]] = {
    "token": token_spans,
    "sentence": sentence_spans,
    "document": document_span,
    "masked": masked_tokens,
    "causal": causal_tokens,
    "mixed_masks": mixed_masks,
    "fill_in_the_middle": fill_in_the_middle,
    "diffusion": hidden_tokens,
    "single_span": single_token_span,
}
"""Every objective by name; an example carries the name of the objective that made it."""


def build_objective(
    settings: ObjectiveSettings,
    special: SpecialIds,
    sentence_end: NDArray[np.uint8],
    max_length: int,
) -> Mixture[ObjectiveContext, Example]:
    """Return the objective that these settings describe.

    Args:
        settings: the options; see the fields of `ObjectiveSettings`.
        special: ids of the tokenizer's special tokens.
        sentence_end: uint8[V], from `sentence_end_flags`; V is the vocabulary size.
        max_length: positions of the model, in tokens; an example's own length is N + 2 * spans
            (N the text's), which the caller keeps within it.

    Returns:
        The objective.

    Raises:
        ValueError: if `settings.sentinels` asks for more sentinel tokens than `special` has.
    """
    context = make_context(settings, special, sentence_end, max_length)
    return mixture_of(OBJECTIVES, objective_shares(settings), context, take=_sometimes_shorter)


def _sometimes_shorter(
    tokens: IntArray, rng: np.random.Generator, context: ObjectiveContext
) -> IntArray:
    probability = context.settings.short_sequence_probability
    if probability and rng.random() < probability:
        return short_stretch(tokens, context.sentence_end, rng)
    return tokens


def only(name: str, settings: ObjectiveSettings) -> ObjectiveSettings:
    """Return `settings` with all weight on one kind, to look at it alone.

    Args:
        name: a key of `OBJECTIVES`.
        settings: the other options.

    Raises:
        ValueError: if there is no such objective; the message offers the nearest names.
    """
    if name not in OBJECTIVES:
        hint = did_you_mean(name, OBJECTIVES, most=2)
        known = ", ".join(OBJECTIVES)
        raise ValueError(f"unknown objective {name!r}: choose one of {known}{hint}")
    weights: dict[str, Any] = {other: float(other == name) for other in settings.weights()}
    return replace(settings, **weights, single_span_probability=float(name == "single_span"))


def objective_shares(settings: ObjectiveSettings) -> dict[str, float]:
    """Return objective name -> share of the samples, in [0, 1], for every objective."""
    weights = settings.weights()
    single = settings.single_span_probability
    total = sum(weights.values()) or 1.0
    shares = {name: (1 - single) * weight / total for name, weight in weights.items()}
    return {**shares, "single_span": single}
