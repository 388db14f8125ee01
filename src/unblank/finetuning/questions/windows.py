"""Questions as what a model reads and writes: a pair for each window of the passage.

A window with the answer teaches the answer. Of the windows without it, one of each question teaches
to write nothing, which needs no word of any language. At the time of testing every window is asked,
and the most probable answer counts; that of a window without the answer is improbable.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from unblank.finetuning.pairs.encoded import EncodedPairs, TokenTable
from unblank.questions.asked import AskedQuestion
from unblank.questions.asking import QuestionEncoder
from unblank.questions.windows import PassageWindow

__all__ = ["windows_as_pairs"]


def windows_as_pairs(
    asked: Sequence[AskedQuestion], encoder: QuestionEncoder, max_target: int, seed: int | None
) -> EncodedPairs:
    """Return what is learned from the windows, or measured by its loss.

    Args:
        asked: questions with their windows.
        encoder: lays out answers.
        max_target: most tokens of an answer, its end included.
        seed: chooses the windows without an answer; None for none of these.

    Raises:
        ValueError: no window holds an answer.
    """
    rows = [row for one in asked for row in _rows(one, encoder, seed)]
    if not rows:
        raise ValueError(
            f"{asked[0].question.place}: no window of any passage holds its answer: raise "
            "seq2seq.max_source_length"
        )
    texts = [
        encoder.text(one.question, one.question.context[window.start : window.end])
        for one, window, _ in rows
    ]
    room = max_target - 1
    return EncodedPairs(
        sources=TokenTable.of([window.token_ids for _, window, _ in rows]),
        targets=TokenTable.of([target[:room] for _, _, target in rows]),
        owners=np.arange(len(rows), dtype=np.int64),
        texts=tuple(texts),
        references=tuple((one.question.answers[0].text,) for one, _, _ in rows),
        places=tuple(one.question.place for one, _, _ in rows),
        num_cut_sources=0,
        num_cut_targets=sum(len(target) > room for _, _, target in rows),
        num_skipped=0,
    )


def _rows(
    asked: AskedQuestion, encoder: QuestionEncoder, seed: int | None
) -> list[tuple[AskedQuestion, PassageWindow, list[int]]]:
    """Return windows with what is written in each."""
    answer = asked.question.answers[0]
    with_answer = [window for window in asked.windows if window.holds(answer)]
    target = encoder.answer_ids(answer.text)
    rows = [(asked, window, target) for window in with_answer]
    others = [
        window
        for window in asked.windows
        if not any(window.holds(one) for one in asked.question.answers)
    ]
    if seed is not None and others and rows:
        number = _number(f"{seed} {asked.question.place}")
        rows.append((asked, others[number % len(others)], []))
    return rows


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
