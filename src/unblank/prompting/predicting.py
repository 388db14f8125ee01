"""What a model says about the examples of a task: one label, several, a rank or a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unblank.generation.priors import Prior
from unblank.prompting.asking import AS_IT_STANDS, Asking
from unblank.prompting.examples import TaskExample
from unblank.prompting.scoring import score_examples
from unblank.prompting.task import ClozeTask
from unblank.settings.choices import Layout

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Prediction", "decide", "middle_index", "predict", "sureness"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about an example.

    Attributes:
        label: the label that won, or the candidate; for a regression the number; where several
            labels may apply, these, divided by commas.
        index: index of the likeliest, or of the one in the middle, among the labels or candidates.
        probabilities: of each label or candidate; they sum to 1 unless several may apply.
        value: what a regression predicts.
        labels: those that apply, where several may.
    """

    label: str
    index: int
    probabilities: tuple[float, ...]
    value: float | None = None
    labels: tuple[str, ...] = ()


def predict(
    model: Any,
    tokenizer: "PreTrainedTokenizerFast",
    task: ClozeTask,
    examples: Sequence[TaskExample],
    *,
    patterns: Sequence[int] = (),
    asking: Asking = AS_IT_STANDS,
    prior: Prior | None = None,
    max_length: int | None = None,
    batch_size: int = 32,
    layout: Layout = "blank",
    show_progress: bool = False,
) -> list[Prediction]:
    """Return what the model says about each example.

    Args and errors as for `score_examples`, but for `patterns`: the probabilities of several are
    averaged, and none given is the usual one.

    Raises:
        ValueError: as for `encode_example`.
    """
    of_patterns = [
        score_examples(
            model, tokenizer, task, examples, pattern=number, asking=asking, prior=prior,
            max_length=max_length, batch_size=batch_size, layout=layout,
            show_progress=show_progress,
        )
        for number in patterns or (None,)
    ]  # fmt: skip
    return [
        decide(task, example, torch.stack([s.softmax(dim=0) for s in scores]).mean(dim=0))
        for example, *scores in zip(examples, *of_patterns, strict=True)
    ]


def decide(task: ClozeTask, example: TaskExample, probabilities_L: Tensor) -> Prediction:
    """Return what the probabilities of an example's labels or candidates say."""
    index = int(probabilities_L.argmax())
    shares = tuple(probabilities_L.tolist())
    if task.decision == "several":
        triples = zip(task.labels, shares, task.thresholds_of_labels, strict=True)
        labels = tuple(label for label, share, threshold in triples if share >= threshold)
        return Prediction(", ".join(labels), index, shares, labels=labels)
    if task.decision == "rank":
        index = middle_index(probabilities_L)
        return Prediction(task.labels[index], index, shares)
    if task.is_regression:
        value = sum(share * float(label) for share, label in zip(shares, task.labels, strict=True))
        return Prediction(f"{value:.4g}", index, shares, value)
    if task.decision == "first":
        return Prediction("true" if index == 0 else "false", index, shares)
    return Prediction((example.candidates or task.labels)[index], index, shares)


def middle_index(probabilities_L: Any) -> int:
    """Return the median of labels in an order, which is least far from the right one.

    Args:
        probabilities_L: float[L], a tensor or an array.
    """
    return int((probabilities_L.cumsum(0) < probabilities_L.sum() / 2).sum())


def sureness(task: ClozeTask, prediction: Prediction) -> float:
    """Return the probability of what was predicted, 0 to 1; of a number there is none."""
    first, best = prediction.probabilities[0], prediction.probabilities[prediction.index]
    return 1.0 - first if task.decision == "first" and prediction.index else best
