"""Training examples of a task: which are used, with which candidates, and for which target.

WSC teaches only by sentences in which the phrase is right, ReCoRD one right entity among a few
wrong ones, as in the published program.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor, zeros

from unblank.objectives.cloze import soft_target
from unblank.plurals import counted
from unblank.prompting.examples import TaskExample, only_label, require_labels
from unblank.prompting.task import ClozeTask

__all__ = ["draw_candidates", "target_shares", "training_examples"]


def training_examples(task: ClozeTask, examples: Sequence[TaskExample]) -> list[TaskExample]:
    """Return the examples to learn from, each with a single right answer.

    An example with several right candidates becomes several, each without the other right ones.

    Raises:
        ValueError: if a label is missing, nothing is left, or all labels are the same.
    """
    require_labels(task, examples)
    kept = [one for example in examples for one in _single_answers(task, example)]
    if not kept:
        raise ValueError(
            f"{examples[0].place}: none of {counted(len(examples), 'example')} has a right phrase"
        )
    if label := only_label(task, kept):
        raise ValueError(
            f"{kept[0].place} to {kept[-1].place}: all {len(kept)} examples have the label "
            f"{label!r}: training needs at least two labels"
        )
    return kept


def draw_candidates(task: ClozeTask, example: TaskExample, rng: np.random.Generator) -> TaskExample:
    """Return the example with at most `max_wrong` of its wrong candidates, drawn at random."""
    num_wrong = len(example.candidates) - 1
    if task.max_wrong is None or num_wrong <= task.max_wrong:
        return example
    (right,) = example.answers
    wrong = [index for index in range(num_wrong + 1) if index != right]
    chosen = sorted(rng.choice(wrong, size=task.max_wrong, replace=False).tolist())
    texts = tuple(example.candidates[index] for index in (right, *chosen))
    return replace(example, candidates=texts, answers=(0,))


def target_shares(task: ClozeTask, example: TaskExample) -> Tensor:
    """Return float32[L], how much of the answer each label or candidate is.

    It sums to 1, or is 1 for each label that applies, where several may.
    """
    if example.value is not None:
        return soft_target(example.value, [float(label) for label in task.labels])
    shares_L = zeros(len(example.candidates) or len(task.labels))
    right = example.answers if task.decision == "several" else example.answers[:1]
    shares_L[list(right)] = 1.0
    return shares_L


def _single_answers(task: ClozeTask, example: TaskExample) -> list[TaskExample]:
    if example.value is not None or task.labels:
        return [example]
    if task.decision == "first":
        return [replace(example, answers=(0,))] if example.answers == (1,) else []
    if len(example.answers) == 1:
        return [example]
    singles = []
    for answer in example.answers:
        others = set(example.answers) - {answer}
        kept = [i for i in range(len(example.candidates)) if i not in others]
        texts = tuple(example.candidates[i] for i in kept)
        singles.append(replace(example, candidates=texts, answers=(kept.index(answer),)))
    return singles
