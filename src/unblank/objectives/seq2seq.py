"""From settings to the objective of an encoder-decoder: a kind drawn for each sample by weight.

`_SEQ2SEQ_OBJECTIVES` lists every kind by name. Pairs of sentences have one kind of their own,
translation span corruption.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from unblank.examples import IntArray, Seq2SeqExample
from unblank.objectives.denoising import denoising, fragment
from unblank.objectives.drawing import Mixture, mixture_of, ordinary_ids
from unblank.objectives.seq2seq_context import Seq2SeqContext
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.span_corruption import corrupt_pair, span_corruption, span_counts
from unblank.tokenization.special import SpecialIds

__all__ = ["build_pair_objective", "build_seq2seq_objective", "seq2seq_shares"]

_SEQ2SEQ_OBJECTIVES: dict[
    str, Callable[[IntArray, np.random.Generator, Seq2SeqContext], Seq2SeqExample]
] = {
    "span_corruption": span_corruption,
    "denoising": denoising,
    "mass": fragment,
    "translation_span_corruption": corrupt_pair,
}
"""Every objective by name; an example carries the name of the objective that made it."""


def build_seq2seq_objective(
    settings: Seq2SeqSettings,
    special: SpecialIds,
    sentence_end: NDArray[np.uint8],
    max_length: int,
    language_id: int | None = None,
) -> Mixture[Seq2SeqContext, Seq2SeqExample]:
    """Return the objective for texts that these settings describe.

    Args:
        settings: the options.
        special: from `unblank.tokenization.special.encoder_decoder_ids`.
        sentence_end: uint8[V], from `sentence_end_flags`.
        max_length: tokens of the longest text.
        language_id: id of the tag of the texts' language, for BART and MASS; None for no tags.

    Raises:
        ValueError: if there are too few sentinels for the longest text.
    """
    if settings.span_corruption > 0:
        _require_sentinels(settings, special, settings.mask_ratio, max_length)
    context = _context(settings, special, sentence_end, language_id)
    return mixture_of(_SEQ2SEQ_OBJECTIVES, settings.weights(), context)


def build_pair_objective(
    settings: Seq2SeqSettings,
    special: SpecialIds,
    sentence_end: NDArray[np.uint8],
    max_length: int,
) -> Mixture[Seq2SeqContext, Seq2SeqExample]:
    """Return the objective for pairs of sentences; arguments as in `build_seq2seq_objective`.

    Raises:
        ValueError: if there are too few sentinels for the longest pair.
    """
    _require_sentinels(settings, special, settings.pair_mask_ratio, max_length)
    context = _context(settings, special, sentence_end, None)
    return mixture_of(_SEQ2SEQ_OBJECTIVES, {"translation_span_corruption": 1.0}, context)


def seq2seq_shares(settings: Seq2SeqSettings) -> dict[str, float]:
    """Return objective name -> share of the texts' samples, in [0, 1], for every objective."""
    weights = settings.weights()
    total = sum(weights.values()) or 1.0
    return {name: weight / total for name, weight in weights.items()}


def _context(
    settings: Seq2SeqSettings,
    special: SpecialIds,
    sentence_end: NDArray[np.uint8],
    language_id: int | None,
) -> Seq2SeqContext:
    return Seq2SeqContext(
        settings=settings,
        special=special,
        sentence_end=sentence_end,
        ordinary_ids=ordinary_ids(special, len(sentence_end)),
        language_id=language_id,
    )


def _require_sentinels(
    settings: Seq2SeqSettings, special: SpecialIds, ratio: float, max_length: int
) -> None:
    mean, rule = settings.mean_span_length, settings.span_rule
    needed = span_counts(max_length, ratio, mean, rule)[1] + settings.closing_sentinel
    if needed > len(special.sentinels):
        raise ValueError(
            f"texts of {max_length} tokens have up to {needed} hidden spans, but the tokenizer has "
            f"{len(special.sentinels)} sentinels: train one with --tokenizer.num-sentinels "
            f"{needed}, hide a smaller share, hide longer spans (seq2seq.mean_span_length), or "
            "shorten the texts (data.max_length; in fine-tuning seq2seq.max_source_length)"
        )
