"""BLEU of a corpus with its standard error, by sacrebleu (extra `eval`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unblank.data.types import IntArray
from unblank.evaluation.metrics import BOOTSTRAP_ROUNDS

__all__ = ["CorpusBleu", "corpus_bleu"]

_COUNTS = 4
"""N-gram orders of BLEU."""


@dataclass(frozen=True, slots=True)
class CorpusBleu:
    """BLEU in [0, 100], its bootstrapped standard error, and sacrebleu's signature."""

    value: float
    standard_error: float
    signature: str


def corpus_bleu(
    predictions: Sequence[str], references: Sequence[Sequence[str]], seed: int = 0
) -> CorpusBleu:
    """Return the BLEU of a corpus.

    Args:
        predictions: one text each.
        references: one or several for each prediction.
        seed: of the sentences that are drawn for the standard error.

    Raises:
        ValueError: without predictions, or if the numbers differ.
    """
    from sacrebleu.metrics.bleu import BLEU

    if not predictions or len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references")
    metric = BLEU(effective_order=True)
    sentences = [
        metric.sentence_score(text, list(answers))
        for text, answers in zip(predictions, references, strict=True)
    ]
    # The counts of all sentences together make the corpus score.
    counts = np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in sentences])

    def score(total: IntArray) -> float:
        correct, possible = total[:_COUNTS].tolist(), total[_COUNTS : 2 * _COUNTS].tolist()
        return float(BLEU.compute_bleu(correct, possible, int(total[-2]), int(total[-1])).score)

    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(counts), size=(BOOTSTRAP_ROUNDS, len(counts)))
    spread = np.std([score(counts[draw].sum(axis=0)) for draw in draws], ddof=1)
    return CorpusBleu(score(counts.sum(axis=0)), float(spread), str(BLEU().get_signature()))
