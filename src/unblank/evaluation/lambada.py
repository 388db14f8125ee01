"""LAMBADA: the last word of a passage, right only if every token of it is the first choice."""

import time
from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from unblank.evaluation.left_to_right import continuation_layout
from unblank.evaluation.options import LambadaOptions, LeftContext
from unblank.evaluation.results import Score, SuiteResult
from unblank.evaluation.session import NamedTexts, Session
from unblank.evaluation.suites import TextSet
from unblank.evaluation.token_scores import score_labels
from unblank.examples import Example
from unblank.generation.prompts import encode_candidate
from unblank.metrics.spread import mean_error
from unblank.plurals import counted
from unblank.progress_bars import counting_bar
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import BLANK_TOKENS, GMASK_TOKEN

__all__ = ["run_lambada"]

_FRAME = 3
"""Number of tokens of Part A besides the text: [CLS], the blank, the end."""


def run_lambada(
    session: Session[LambadaOptions], sets: Mapping[str, TextSet]
) -> Iterator[SuiteResult]:
    """Yield the accuracy on the last words of each set, for each way to see the passage."""
    for part in session.texts(sets):
        pairs = [pair for text in part.texts if (pair := _split_last_word(text))]
        if len(pairs) < len(part.texts):
            session.say(
                f"{part.name}: left out {counted(len(part.texts) - len(pairs), 'text')} of one word"
            )
        if not pairs:
            raise ValueError(f"{part.name}: no text has a word before its last one")
        for context in session.options.context:
            yield _measure(session, part, pairs, context)


def _split_last_word(text: str) -> tuple[str, str] | None:
    r"""Return what comes before the last word, without white space at its end, and the word.

    Example:
        >>> _split_last_word("She fed the old cat\n")
        ('She fed the old', 'cat')
    """
    words = text.rsplit(maxsplit=1)
    return (words[0].rstrip(), words[1].strip()) if len(words) == 2 else None


def _fit_before(
    before: list[int], num_target: int, max_positions: int, context: LeftContext
) -> list[int]:
    """Return the end of `before` for which the model has positions beside the scored tokens."""
    room = max_positions - _FRAME if context == "bi" else max_positions - num_target
    return before[max(0, len(before) - max(room, 0)) :]


def _measure(
    session: Session[LambadaOptions],
    part: NamedTexts,
    pairs: list[tuple[str, str]],
    context: LeftContext,
) -> SuiteResult:
    started = time.perf_counter()
    examples, num_cut = _examples(session, pairs, context)
    name = f"{part.name} ({context})"
    if num_cut:
        session.say(
            f"{name}: {counted(num_cut, 'passage')} cut at the beginning: too long for the model"
        )
    with counting_bar(name, len(examples)) as advance:
        scores = score_labels(session.model, examples, advance=advance)
    is_right = [bool(score.is_first_choice.all()) for score in scores]
    percentages = [100.0 * right for right in is_right]
    row = Score(
        task=name,
        metric="accuracy",
        value=fmean(percentages),
        count=len(is_right),
        standard_error=mean_error(percentages),
        seconds=time.perf_counter() - started,
        details={"cut": num_cut},
    )
    predictions: list[dict[str, Any]] = [
        {
            "task": name,
            "text": before,
            "answer": word,
            "log_probability": score.total,
            "correct": correct,
        }
        for (before, word), score, correct in zip(pairs, scores, is_right, strict=True)
    ]
    return SuiteResult([row], predictions)


def _examples(
    session: Session[LambadaOptions], pairs: list[tuple[str, str]], context: LeftContext
) -> tuple[list[Example], int]:
    """Return the layouts, and how many passages had to lose their beginning."""
    tokenizer, special = session.tokenizer, session.special
    limit = session.num_positions
    blank = special.blanks[BLANK_TOKENS.index(session.options.blank or GMASK_TOKEN)]
    texts_ids = encode_texts(tokenizer, [before for before, _ in pairs])
    examples, num_cut = [], 0
    for (before, word), ids in zip(pairs, texts_ids, strict=True):
        target = encode_candidate(tokenizer, (before + " ", ""), 0, word)
        kept = _fit_before(ids, len(target), limit, context)
        num_cut += len(kept) < len(ids)
        examples.append(
            continuation_layout(kept, target, special, context=context, blank=blank, ends_text=True)
        )
    return examples, num_cut
