"""Span corruption: hidden spans are replaced by sentinels and predicted one after another.

As in T5, with the counts and places of DeltaLM's and GanLM's programs by default. For a pair of
sentences that translate each other it is translation span corruption (mT6, DeltaLM section 2.3).

Shapes: `N` text ids, `M` spans.
"""

import numpy as np

from unblank.examples import IntArray, Seq2SeqExample
from unblank.objectives.seq2seq_context import Seq2SeqContext
from unblank.objectives.seq2seq_settings import SpanRule

__all__ = ["corrupt", "corrupt_pair", "noise_spans", "span_corruption", "span_counts"]


def span_counts(num_tokens: int, ratio: float, mean: float, rule: SpanRule) -> tuple[int, int]:
    """Return how many tokens to hide, and in how many spans.

    Args:
        num_tokens: N, at least 2.
        ratio: share of the tokens to hide.
        mean: tokens of an average span.
        rule: "unilm" rounds both counts down, "t5" to the nearest.

    Example:
        >>> span_counts(512, 0.15, 3.0, "unilm"), span_counts(512, 0.15, 3.0, "t5")
        ((76, 25), (77, 26))
    """
    rounded = int if rule == "unilm" else round
    num_noise = min(max(rounded(num_tokens * ratio), 1), num_tokens - 1)
    num_spans = max(rounded(num_noise / mean), 1)
    return num_noise, min(num_spans, num_noise, num_tokens - num_noise)


def noise_spans(
    num_tokens: int, ratio: float, mean: float, rule: SpanRule, rng: np.random.Generator
) -> IntArray:
    """Return spans to hide, never touching each other, in the order of the text.

    Their lengths are any composition of the hidden tokens, all equally likely. Under "unilm" each
    span comes before a plain token drawn without replacement: it may open the text, and the last
    token is never hidden. Under "t5" plain stretches are a random composition, too: the text starts
    plain and ends hidden.

    Args:
        num_tokens: N, at least 2.
        ratio: share of the tokens to hide.
        mean: tokens of an average span.
        rule: see `span_counts` and above.
        rng: source of randomness.

    Returns:
        int64[M, 2], [start, end) of each.
    """
    num_noise, num_spans = span_counts(num_tokens, ratio, mean, rule)
    lengths = _composition(num_noise, num_spans, rng)
    num_plain = num_tokens - num_noise
    if rule == "unilm":
        plain_before = np.sort(rng.choice(num_plain, num_spans, replace=False))
    else:
        plain_before = np.cumsum(_composition(num_plain, num_spans, rng))
    ends = plain_before + np.cumsum(lengths)
    return np.stack([ends - lengths, ends], axis=1)


def corrupt(
    tokens: IntArray, spans: IntArray, context: Seq2SeqContext, objective: str
) -> Seq2SeqExample:
    """Return the example in which these spans are hidden, with the options of `context`.

    Args:
        tokens: int64[N], the text ids.
        spans: int64[M, 2], not touching each other, in the order of the text.
        context: special ids and options.
        objective: name for the logs.

    Raises:
        ValueError: if there are more spans than sentinels.
    """
    settings, special = context.settings, context.special
    needed = len(spans) + settings.closing_sentinel
    if needed > len(special.sentinels):
        raise ValueError(
            f"a text of {len(tokens)} tokens needs {needed} sentinels, but the tokenizer has "
            f"{len(special.sentinels)}: give it more (--tokenizer.num-sentinels), lower the mask "
            "ratio, or raise seq2seq.mean_span_length"
        )
    starts, ends = spans.T
    lengths = ends - starts
    sentinels = np.array(special.sentinels[:needed], dtype=np.int64)
    is_hidden = np.zeros(len(tokens), dtype=np.bool_)
    is_hidden[np.repeat(ends - np.cumsum(lengths), lengths) + np.arange(lengths.sum())] = True
    target = tokens[is_hidden]
    source = tokens.copy()
    source[starts] = sentinels[: len(spans)]
    if not settings.remove_target_sentinels:
        target = np.insert(target, np.cumsum(lengths) - lengths, sentinels[: len(spans)])
        target = np.append(target, sentinels[len(spans) :])
    if not settings.remove_source_sentinels:
        is_hidden[starts] = False
    if settings.end_token:
        target = np.append(target, special.eos)
    if settings.start_token:
        decoder_ids = np.append(special.sop, target[:-1])
        return Seq2SeqExample(source[~is_hidden], decoder_ids, target, objective)
    return Seq2SeqExample(source[~is_hidden], target[:-1], target[1:], objective)


def span_corruption(
    tokens: IntArray, rng: np.random.Generator, context: Seq2SeqContext
) -> Seq2SeqExample:
    """Hide spans of a text.

    Args:
        tokens: int64[N], text ids, at least 2.
        rng: source of randomness.
        context: options and ids.

    Returns:
        The example.
    """
    settings = context.settings
    rule, mean = settings.span_rule, settings.mean_span_length
    spans = noise_spans(len(tokens), settings.mask_ratio, mean, rule, rng)
    return corrupt(tokens, spans, context, "span_corruption")


def corrupt_pair(
    tokens: IntArray, rng: np.random.Generator, context: Seq2SeqContext
) -> Seq2SeqExample:
    """Hide spans of a pair, `[CLS] a eos b eos`; arguments as in `span_corruption`.

    With both sides corrupted the pair is one text (DeltaLM section 2.3); otherwise the share of
    hidden tokens is that of the one sentence.
    """
    settings = context.settings
    first_end = int(np.flatnonzero(tokens[:-1] == context.special.eos)[0]) + 1
    is_swapped = settings.swap_pairs and rng.random() < 0.5
    if is_swapped:
        tokens = np.concatenate([tokens[:1], tokens[first_end:], tokens[1:first_end]])
        first_end = len(tokens) - first_end + 1
    start, stop = 0, len(tokens)
    side = settings.pair_mask_side
    if side == "one":
        side = "source" if rng.random() < 0.5 else "target"
    if side != "both":
        is_first = (side == "source") != is_swapped
        start, stop = (1, first_end) if is_first else (first_end, len(tokens))
    ratio, mean = settings.pair_mask_ratio, settings.mean_span_length
    spans = noise_spans(stop - start, ratio, mean, settings.span_rule, rng) + start
    return corrupt(tokens, spans, context, "translation_span_corruption")


def _composition(total: int, parts: int, rng: np.random.Generator) -> IntArray:
    """Return int64[parts], positive numbers that sum to `total`, all such equally likely."""
    cuts = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(cuts, prepend=0, append=total)
