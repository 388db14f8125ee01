"""What the demo reports of a model on held-out text, each number beside what needs no model."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unblank.api import Unblank
from unblank.data.loader import validation_batches
from unblank.data.sampling import Sampler
from unblank.examples import IGNORE_INDEX

__all__ = [
    "FEWEST_WORDS",
    "MOST_WORDS",
    "BlankLoss",
    "HiddenWord",
    "blank_losses",
    "exact_fills",
    "hide_words",
    "most_frequent_word",
]

WORD = re.compile(r"[A-Za-z][a-z]+")
FEWEST_WORDS, MOST_WORDS = 8, 40


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


@dataclass(frozen=True, slots=True)
class HiddenWord:
    """A held-out text with one word blanked."""

    text: str
    word: str


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


def hide_words(documents: Sequence[str], count: int, seed: int) -> list[HiddenWord]:
    """Return up to `count` held-out paragraphs of moderate length, one word of each blanked."""
    rng = np.random.default_rng(seed)
    paragraphs = [part for document in documents for part in document.split("\n\n")]
    clozes = []
    for index in rng.permutation(len(paragraphs)):
        text = " ".join(paragraphs[index].split())
        words = list(WORD.finditer(text))
        if FEWEST_WORDS <= len(text.split()) <= MOST_WORDS and words:
            match = words[rng.integers(len(words))]
            blanked = f"{text[: match.start()]}[MASK]{text[match.end() :]}"
            clozes.append(HiddenWord(blanked, match.group()))
        if len(clozes) == count:
            break
    return clozes


def most_frequent_word(documents: Sequence[str]) -> str:
    """Return the commonest word, lower-cased: what to answer without a model; "" without words."""
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(word.lower() for word in WORD.findall(document))
    return next((word for word, _ in counts.most_common(1)), "")


def exact_fills(answers: Sequence[str], clozes: Sequence[HiddenWord]) -> float:
    """Return the share of answers that are the blanked word, ignoring case and outer spaces."""
    hits = sum(
        answer.strip().lower() == cloze.word.lower()
        for answer, cloze in zip(answers, clozes, strict=True)
    )
    return hits / len(clozes) if clozes else math.nan
