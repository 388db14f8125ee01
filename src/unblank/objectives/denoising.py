"""The baselines BART, mBART and MASS: a corrupted text, and the text or a fragment to predict.

BART (section 2.2 of its paper) permutes sentences, hides tokens and rotates; the decoder writes the
whole text. mBART is the same with language tags: after the end of the source, and as the decoder's
start. MASS hides one fragment; the decoder writes it.

Shapes: `N` text ids, `L` tokens of the text without its special ends.
"""

import math

import numpy as np
from numpy.typing import NDArray

from unblank.examples import IntArray, Seq2SeqExample
from unblank.objectives.seq2seq_context import Seq2SeqContext
from unblank.tokenization.sentences import sentence_breaks

__all__ = ["denoising", "fragment"]

_MASKED_SHARE, _RANDOM_SHARE = 0.8, 0.1
_FIRST_SHARE, _LAST_SHARE = 0.2, 0.2
"""Shares of samples in which MASS hides the beginning and the end of the text."""


def denoising(
    tokens: IntArray, rng: np.random.Generator, context: Seq2SeqContext
) -> Seq2SeqExample:
    """Disturb a text and predict all of it.

    Args:
        tokens: int64[N], text ids: `[CLS]`, the text, eos if the document ends there.
        rng: source of randomness.
        context: options and ids.

    Returns:
        The example.
    """
    settings, special = context.settings, context.special
    body = _body(tokens, special.eos)
    ending = tokens[1 + len(body) :]
    noisy = permuted_sentences(body, context.sentence_end, settings.permute_sentences, rng)
    noisy = _NOISES[settings.noise](noisy, context, rng)
    if len(noisy) > 1 and rng.random() < settings.rotate_probability:
        noisy = np.roll(noisy, -int(rng.integers(1, len(noisy))))
    target = np.concatenate([body, ending])
    start, source = special.sop, [tokens[:1], noisy, ending]
    if context.language_id is not None:
        start, source = context.language_id, [noisy, np.array([special.eos, context.language_id])]
    decoder_ids = np.append(start, target[:-1])
    return Seq2SeqExample(np.concatenate(source), decoder_ids, target, "denoising")


def fragment(tokens: IntArray, rng: np.random.Generator, context: Seq2SeqContext) -> Seq2SeqExample:
    """Hide one fragment and predict it (MASS); arguments as in `denoising`.

    Of its tokens 80 % become `[MASK]`, 10 % another token, 10 % stay. A fifth of the fragments is
    at the beginning of the text and a fifth at its end, as in the published program. Unlike there,
    the decoder's positions count from the start of the fragment.
    """
    special = context.special
    body = _body(tokens, special.eos)
    length = min(max(1, round(len(body) * context.settings.fragment_ratio)), len(body))
    last = len(body) - length
    place = rng.random()
    start = 0 if place < _FIRST_SHARE else int(rng.integers(0, last + 1))
    start = 1 + (last if place >= 1 - _LAST_SHARE else start)
    hidden = tokens[start : start + length]
    fate = rng.random(length)
    others = rng.choice(context.ordinary_ids, length)
    shown = np.where(fate < _MASKED_SHARE, special.mask, others)
    source = tokens.copy()
    source[start : start + length] = np.where(fate < _MASKED_SHARE + _RANDOM_SHARE, shown, hidden)
    first = special.sop if context.language_id is None else context.language_id
    return Seq2SeqExample(source, np.append(first, hidden[:-1]), hidden, "mass")


def permuted_sentences(
    body: IntArray, sentence_end: NDArray[np.uint8], share: float, rng: np.random.Generator
) -> IntArray:
    """Return the text with a share of its sentences, drawn at random, in each other's places.

    Args:
        body: int64[L].
        sentence_end: uint8[V], which tokens end a sentence; what follows the last is one, too.
        share: of the sentences, rounded up.
        rng: source of randomness.
    """
    ends = np.flatnonzero(sentence_breaks(body, sentence_end)[:-1]) + 1
    sentences = np.split(body, ends)
    chosen = rng.permutation(len(sentences))[: math.ceil(share * len(sentences))]
    order = np.arange(len(sentences))
    order[np.sort(chosen)] = chosen
    return np.concatenate([sentences[sentence] for sentence in order])


def _infilled(body: IntArray, context: Seq2SeqContext, rng: np.random.Generator) -> IntArray:
    """Return the text with spans of Poisson length replaced by one mask each.

    Lengths are drawn until they cover `noise_ratio` of the text; a span of length 0 is a mask put
    in where nothing is missing. Spans may touch, they do not overlap.

    Args:
        body: int64[L].
        context: options and ids.
        rng: source of randomness.
    """
    budget = math.ceil(len(body) * context.settings.noise_ratio)
    lengths: list[int] = []
    while (left := budget - sum(lengths)) > 0:
        lengths.append(min(int(rng.poisson(context.settings.noise_span_length)), left))
    # The text as items in random order: single kept tokens and spans.
    items = np.concatenate([np.ones(len(body) - budget, np.int64), lengths]).astype(np.int64)
    is_span = np.arange(len(items)) >= len(body) - budget
    order = rng.permutation(len(items))
    items, is_span = items[order], is_span[order]
    starts = np.cumsum(items) - items
    shown = body[np.minimum(starts, len(body) - 1)]
    return np.where(is_span, _masks(len(items), context, rng), shown)


def _masked(body: IntArray, context: Seq2SeqContext, rng: np.random.Generator) -> IntArray:
    masks = _masks(len(body), context, rng)
    return np.where(_chosen(len(body), context.settings.noise_ratio, rng), masks, body)


def _deleted(body: IntArray, context: Seq2SeqContext, rng: np.random.Generator) -> IntArray:
    return body[~_chosen(len(body), context.settings.noise_ratio, rng)]


def _chosen(count: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return bool[L], True on a share of the tokens."""
    order: IntArray = rng.permutation(count)
    return order < math.ceil(count * share)


def _masks(count: int, context: Seq2SeqContext, rng: np.random.Generator) -> IntArray:
    """Return masks, some of them arbitrary tokens."""
    is_random = rng.random(count) < context.settings.random_token_ratio
    others = rng.choice(context.ordinary_ids, count)
    return np.where(is_random, others, context.special.mask)


def _body(tokens: IntArray, eos: int) -> IntArray:
    """Return the text without `[CLS]` and without eos at its end."""
    return tokens[1:-1] if len(tokens) > 2 and tokens[-1] == eos else tokens[1:]


_NOISES = {"infill": _infilled, "mask": _masked, "delete": _deleted}
