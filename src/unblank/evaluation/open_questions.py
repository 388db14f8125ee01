"""Questions answered from the passages of an index instead of their own passage.

Each passage leads to an answer; p(y|x) is the sum of p(z|x) p(y|x, z) over the passages that led to
the same answer (RAG-Sequence with fast decoding, Lewis et al. 2020,
https://arxiv.org/abs/2005.11401, section 2.5). Without a passage the question is asked alone.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from unblank.evaluation.passage_conditions import holds_words
from unblank.generation.passages import Passage, log_weights
from unblank.generation.results import Generated
from unblank.metrics.words import split_words
from unblank.questions.answers import FoundAnswer
from unblank.questions.asked import ask
from unblank.questions.asking import QuestionEncoder
from unblank.questions.reading import Question

__all__ = ["answers_from_passages", "names_answer"]


def answers_from_passages(
    questions: Sequence[Question],
    passages: Sequence[Sequence[Passage]],
    encoder: QuestionEncoder,
    max_tokens: int,
    write: Callable[[Sequence[tuple[int, ...]]], Sequence[Generated]],
) -> list[FoundAnswer]:
    """Return the most probable answer to each question over its passages.

    Args:
        questions: some questions; their own passages are not looked at.
        passages: of each, perhaps none.
        encoder: lays out what the model reads.
        max_tokens: of an input.
        write: writes an answer to each input.
    """
    inputs = [_inputs(*pair, encoder, max_tokens) for pair in zip(questions, passages, strict=True)]
    written = iter(write([ids for of_one in inputs for ids, _ in of_one]))
    found = []
    for of_one, of_question in zip(inputs, passages, strict=True):
        totals: dict[str, float] = defaultdict(lambda: -math.inf)
        for _, log_share in of_one:
            one = next(written)
            more = one.log_probability + log_share
            totals[one.text] = float(np.logaddexp(totals[one.text], more))
        best = max(totals, key=lambda text: totals[text])
        context = "\n".join(one.text for one in of_question)
        found.append(FoundAnswer.of(best, totals[best], context))
    return found


def names_answer(question: Question, passages: Sequence[Passage]) -> bool:
    """Whether one of the passages holds a right answer, word by word and without case."""
    right = [words for one in question.answers if (words := split_words(one.text))]
    texts = [split_words(one.text) for one in passages]
    return any(holds_words(words, text) for words in right for text in texts)


def _inputs(
    question: Question, passages: Sequence[Passage], encoder: QuestionEncoder, max_tokens: int
) -> list[tuple[tuple[int, ...], float]]:
    """Return token ids with the log of their share: that of the passage, divided among windows."""
    if not passages:
        return [(encoder.encode(question, ""), 0.0)]
    asked = ask(
        [replace(question, context=one.text, answers=()) for one in passages], encoder, max_tokens
    )
    return [
        (window.token_ids, share - math.log(len(one.windows)))
        for one, share in zip(asked, log_weights(passages).tolist(), strict=True)
        for window in one.windows
    ]
