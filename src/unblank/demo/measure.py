"""What the demo reports of a model on held-out text, each number beside what needs no model."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unblank.api import Unblank
from unblank.data.loader import validation_batches
from unblank.data.sampling import Sampler
from unblank.demo.blanks import WORD
from unblank.examples import IGNORE_INDEX

__all__ = ["BlankLoss", "blank_losses", "most_frequent_word", "share_right"]


@dataclass(frozen=True, slots=True)
class BlankLoss:
    """Mean negative log-probability of the same held-out blank tokens, in nats.

    Attributes:
        model: under the model.
        unigram: under the frequencies of the training text, add-one smoothed.
        num_tokens: how many tokens were scored; ends of pieces are not among them.
    """

    model: float
    unigram: float
    num_tokens: int


@torch.inference_mode()
def blank_losses(
    unblank: Unblank, sampler: Sampler, train_counts: NDArray[np.int64], row_length: int
) -> BlankLoss:
    """Return the loss on the blanks that `sampler` makes of held-out text.

    Args:
        unblank: the model.
        sampler: over held-out text.
        train_counts: int64[V], how often each token stands in the training text.
        row_length: positions of a packed row.
    """
    surprise = -np.log((train_counts + 1) / (train_counts + 1).sum())
    model_sum, unigram_sum, num_tokens = 0.0, 0.0, 0
    for batch in validation_batches(sampler, row_length=row_length, batch_size=8):
        inputs = batch.model_inputs(unblank.model.device)
        labels = inputs["labels"]
        labels[labels == unblank.model.config.eop_token_id] = IGNORE_INDEX
        output = unblank.model(**inputs, use_cache=False, return_logits=False)
        scored = labels[labels != IGNORE_INDEX].cpu().numpy()
        model_sum += float(output.loss_sum)
        unigram_sum += float(surprise[scored].sum())
        num_tokens += len(scored)
    if num_tokens == 0:
        return BlankLoss(math.nan, math.nan, 0)
    return BlankLoss(model_sum / num_tokens, unigram_sum / num_tokens, num_tokens)


def most_frequent_word(texts: Sequence[str]) -> str:
    """Return the commonest word, lower-cased: what to answer without a model; "" without words."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word.lower() for word in WORD.findall(text))
    return next((word for word, _ in counts.most_common(1)), "")


def share_right(answers: Sequence[Sequence[str]], words: Sequence[str]) -> float:
    """Return the share of words that are among their answers, ignoring case and outer spaces.

    Args:
        answers: for each word the answers that count; NaN comes back without any.
        words: what was hidden.
    """
    if not words:
        return math.nan
    hits = (
        word.lower() in (answer.strip().lower() for answer in given)
        for given, word in zip(answers, words, strict=True)
    )
    return sum(hits) / len(words)
