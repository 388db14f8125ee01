"""From settings to an objective: draws a kind for each sample by weight and applies it.

`OBJECTIVES` lists every kind by name. The kind is the first draw of the generator, so a sample that
is made again from the same seed with less text keeps its kind.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from unblank.examples import Example, IntArray
from unblank.objectives.causal import causal_tokens
from unblank.objectives.context import ObjectiveContext, make_context
from unblank.objectives.infilling import (
    document_span,
    sentence_spans,
    single_token_span,
    token_spans,
)
from unblank.objectives.masked import masked_tokens
from unblank.objectives.settings import ObjectiveSettings
from unblank.objectives.spans import short_stretch
from unblank.tokenization.special import SpecialIds

__all__ = [
    "MINIMUM_TOKENS",
    "OBJECTIVES",
    "Mixture",
    "Objective",
    "ObjectiveSettings",
    "build_objective",
    "minimum_tokens",
    "objective_shares",
    "only",
]

Objective = Callable[[IntArray, np.random.Generator], Example]
"""(text ids int64[N], generator) -> example; a pure function of both."""

OBJECTIVES: dict[str, Callable[[IntArray, np.random.Generator, ObjectiveContext], Example]] = {
    "token": token_spans,
    "sentence": sentence_spans,
    "document": document_span,
    "masked": masked_tokens,
    "causal": causal_tokens,
    "single_span": single_token_span,
}
"""Every kind of objective by name; an example carries the name of the kind that made it."""

MINIMUM_TOKENS: dict[str, int] = {
    "token": 3,
    "sentence": 3,
    "document": 3,
    "masked": 3,
    "causal": 2,
    "single_span": 3,
}
"""Fewest text ids (`[CLS]` and eos included) that each kind can work on; skip and count shorter."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """An `Objective` that draws one of several kinds for each sample; can be pickled.

    Attributes:
        context: options and tables of all kinds.
        names: kinds of weight above 0.
        cumulative: float64[K], cumulative probabilities of `names`, ending with 1.
    """

    context: ObjectiveContext
    names: tuple[str, ...]
    cumulative: NDArray[np.float64]

    def __call__(self, tokens: IntArray, rng: np.random.Generator) -> Example:
        """Corrupt one text; `tokens` is int64[N], N >= `MINIMUM_TOKENS` of every kind."""
        name = self.names[int(np.searchsorted(self.cumulative, rng.random(), side="right"))]
        settings = self.context.settings
        if (
            settings.short_sequence_probability
            and rng.random() < settings.short_sequence_probability
        ):
            tokens = short_stretch(tokens, self.context.sentence_end, rng)
        return OBJECTIVES[name](tokens, rng, self.context)


def build_objective(
    settings: ObjectiveSettings,
    special: SpecialIds,
    sentence_end: NDArray[np.bool_],
    max_length: int,
) -> Mixture:
    """Return the objective that these settings describe.

    Args:
        settings: the options; see the fields of `ObjectiveSettings`.
        special: ids of the tokenizer's special tokens.
        sentence_end: bool[V], True for a token id that ends a sentence; V is the vocabulary size.
        max_length: positions of the model, in tokens; an example's own length is N + 2 * spans
            (N the text's), which the caller keeps within it.

    Returns:
        The objective.

    Raises:
        ValueError: if `settings.sentinels` asks for more sentinel tokens than `special` has.
    """
    probabilities = objective_shares(settings)
    names = tuple(name for name, probability in probabilities.items() if probability > 0)
    cumulative = np.cumsum([probabilities[name] for name in names])
    context = make_context(settings, special, sentence_end, max_length)
    return Mixture(context, names, cumulative / cumulative[-1])


def minimum_tokens(settings: ObjectiveSettings) -> int:
    """Return how many text ids a sample needs at least, whichever kind is drawn."""
    return max(
        MINIMUM_TOKENS[name]
        for name, probability in objective_shares(settings).items()
        if probability > 0
    )


def only(name: str, settings: ObjectiveSettings) -> ObjectiveSettings:
    """Return `settings` with all weight on one kind, to look at it alone.

    Args:
        name: a key of `OBJECTIVES`.
        settings: the other options.

    Raises:
        ValueError: if there is no such objective; the message offers the nearest names.
    """
    if name not in OBJECTIVES:
        near = get_close_matches(name, OBJECTIVES, n=2)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"there is no objective {name!r}.{hint} Allowed: {', '.join(OBJECTIVES)}.")
    return replace(
        settings,
        token=float(name == "token"),
        sentence=float(name == "sentence"),
        document=float(name == "document"),
        masked=float(name == "masked"),
        causal=float(name == "causal"),
        single_span_probability=float(name == "single_span"),
    )


def objective_shares(settings: ObjectiveSettings) -> dict[str, float]:
    """Return objective name -> share of the samples, in [0, 1]; those without any included."""
    weights = settings.weights()
    single = settings.single_span_probability
    total = sum(weights.values()) or 1.0
    shares = {name: (1 - single) * weight / total for name, weight in weights.items()}
    return {**shares, "single_span": single}
