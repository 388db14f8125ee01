"""Held-out text language by language: equal samples of each, and bits a byte.

A loss a token says nothing between languages, whose tokens differ in length. Here it becomes bits
for each byte of the text that was hidden; what a sample spends on the ends of its spans counts, as
they are part of what the model must say.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerFast

from unblank.data.sampling import Sampler
from unblank.engine.held_out import HeldOutLosses
from unblank.engine.language_plots import LANGUAGE_SCORE
from unblank.examples import IGNORE_INDEX, IntArray, TrainBatch
from unblank.metrics.likelihood import bits_a_byte
from unblank.tokenization.token_bytes import token_bytes

__all__ = ["HeldOutPart", "equal_numbers", "language_bits", "num_scored_bytes", "token_lengths"]


class HeldOutPart(NamedTuple):
    """Where a held-out sample comes from."""

    source: int
    """Number of the entry of held-out data."""
    objective: str
    """What was asked of it."""


def equal_numbers(sampler: Sampler[Any], num_sources: int, num_samples: int) -> list[int]:
    """Return numbers of samples, as many of every source, in their order.

    Args:
        sampler: whose sources have equal weights.
        num_sources: of the sampler.
        num_samples: of all sources together, at most, but one of each at least. A source that has
            fewer gives all that it has, once.
    """
    wanted = dict.fromkeys(range(num_sources), max(num_samples // num_sources, 1))
    found: list[int] = []
    number = 0
    while wanted:
        place = sampler.locate(number)
        if place.source in wanted and place.epoch == 0:
            found.append(number)
            wanted[place.source] -= 1
        if place.epoch > 0 or wanted.get(place.source) == 0:
            wanted.pop(place.source, None)
        number += 1
    return found


def token_lengths(tokenizer: PreTrainedTokenizerFast) -> IntArray:
    """Return int64[V], the bytes of text that each token stands for; 0 for special ones."""
    return np.array([len(spelt) for spelt in token_bytes(tokenizer)], dtype=np.int64)


def num_scored_bytes(batches: Sequence[TrainBatch], lengths: IntArray) -> int:
    """Return the bytes of text of the labels of some batches."""
    return sum(
        int(lengths[labels[labels != IGNORE_INDEX]].sum())
        for labels in (batch.labels.numpy() for batch in batches)
    )


def language_bits(
    losses: HeldOutLosses[HeldOutPart],
    num_bytes: Mapping[HeldOutPart, float],
    languages: Sequence[str],
    loss: str,
) -> dict[str, float]:
    """Return `bits_a_byte_on_xx` of each language, and `bits_a_byte`, their mean.

    Args:
        losses: what was measured.
        num_bytes: bytes of the labels of each part.
        languages: code of each source; empty where it is not known.
        loss: name of the loss that scores the labels.
    """
    totals: dict[str, tuple[float, float]] = {}
    for part, sums in losses.sums.items():
        if code := languages[part.source]:
            nats, count = totals.get(code, (0.0, 0.0))
            totals[code] = nats + sums[loss][0], count + num_bytes[part]
    bits = {code: bits_a_byte(nats, int(count)) for code, (nats, count) in totals.items() if count}
    if not bits:
        return {}
    mean = fmean(bits.values())
    return {"bits_a_byte": mean, **{f"{LANGUAGE_SCORE}{code}": bits[code] for code in sorted(bits)}}
