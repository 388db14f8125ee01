"""What is asked about a record, and what is answered: plain values, in files and over HTTP alike.

Shapes: `L` labels or candidates of an example.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from unblank.finetuning.labels.tuned_task import TunedTask
from unblank.prompting import ClozeTask, TaskExample, make_examples
from unblank.prompting.predicting import decide, sureness

__all__ = ["label_answers", "label_questions", "require_probability"]

_SEVERAL = ("multirc", "record")
"""Readers that make several questions of a record."""


def require_probability(task: ClozeTask, abstain_below: float | None) -> None:
    """Check that a task can be held to a threshold.

    Raises:
        ValueError: there is a threshold, and the task predicts a number or several labels.
    """
    if abstain_below and task.is_regression:
        raise ValueError(
            f"task {task.name} predicts a number, which has no probability: leave out abstain_below"
        )
    if abstain_below and task.decision == "several":
        raise ValueError(
            f"task {task.name} names every label that is probable enough: leave out abstain_below; "
            "calibrate learns a threshold for each label, or give `thresholds: {label: 0.8}` in "
            "the task's file"
        )


def label_questions(
    task: ClozeTask, record: Mapping[str, Any], place: str
) -> tuple[list[TaskExample], bool]:
    """Return the examples of a record, and whether it has a label that the task does not use.

    The examples then have no label.

    Raises:
        ValueError: a field is missing, or there is nothing to ask.
    """
    without = {name: value for name, value in record.items() if name != task.label_field}
    try:
        made = make_examples(task, dict(record), place)
    except ValueError:
        if len(without) == len(record):
            raise
        made = None
    is_strange = made is None  # left out in training, or a label of no use
    if made is None:
        made = make_examples(task, without, place)
    if not made:
        raise ValueError(f"{place}: the record asks no question")
    return made, is_strange


def label_answers(
    tuned: TunedTask,
    records: Sequence[Sequence[TaskExample]],
    shares: Sequence[Tensor],
    abstain_below: float,
) -> list[dict[str, Any]]:
    """Return the answer to each record; of one that asks several questions all of its `answers`.

    Where the model read only a part of the text, the answer says so: it is `shortened`.

    Args:
        tuned: what was asked.
        records: the examples of each.
        shares: for each example, one after another, float[L]: probabilities of its labels.
        abstain_below: predict nothing where the best label has a lower probability.
    """
    task, of_examples = tuned.task, iter(shares)
    answers = []
    for examples in records:
        found = []
        for one, is_shortened in zip(examples, tuned.are_shortened(examples), strict=True):
            answer = _answer(task, one, next(of_examples), abstain_below)
            found.append(answer | {"shortened": True} if is_shortened else answer)
        answers.append({"answers": found} if task.reader in _SEVERAL else found[0])
    return answers


def _answer(
    task: ClozeTask, example: TaskExample, shares_L: Tensor, abstain_below: float
) -> dict[str, Any]:
    prediction = decide(task, example, shares_L)
    if task.is_regression:
        return {
            "predicted": prediction.value,
            "probabilities": dict(zip(task.labels, prediction.probabilities, strict=True)),
        }
    shares = list(prediction.probabilities)
    if task.decision == "several":
        return {
            "predicted": list(prediction.labels),
            "probabilities": dict(zip(task.labels, shares, strict=True)),
        }
    if task.decision == "first":
        names: Sequence[str] = ("true", "false")
        shares = [shares[0], 1.0 - shares[0]]
    else:
        names = example.candidates or task.labels
    probability = sureness(task, prediction)
    answer: dict[str, Any] = {"predicted": prediction.label, "probability": probability}
    if abstain_below:
        answer["abstained"] = probability < abstain_below
        answer["predicted"] = None if answer["abstained"] else prediction.label
    if example.candidates and task.decision != "first":
        pairs = zip(names, shares, strict=True)
        answer["candidates"] = [{"text": text, "probability": p} for text, p in pairs]
    else:
        answer["probabilities"] = dict(zip(names, shares, strict=True))
    return answer
