"""Which weights of a run are kept: the best validation so far, when to stop, and averages.

The history of a run is its `validation.jsonl`: one line a validation, with `step` and the scores.
All decisions follow from it, so a resumed run decides as an uninterrupted one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from unblank.untrusted.weight_files import opened_weights

__all__ = ["Selection", "average_weights"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The rule by which validations are compared.

    Attributes:
        metric: name of the score.
        higher_is_better: whether a larger score is better.
        patience: validations in a row without a better score after which a run stops; None never.
        average_last: how many of the last validated weights are averaged; 0 is none.
    """

    metric: str
    higher_is_better: bool
    patience: int | None = None
    average_last: int = 0

    def is_better(self, score: float, other: float) -> bool:
        """Whether `score` is better than `other`; NaN is worse than any number."""
        if math.isnan(score) or math.isnan(other):
            return math.isnan(other) and not math.isnan(score)
        return score > other if self.higher_is_better else score < other

    def best_step(self, history: Sequence[Mapping[str, Any]]) -> int | None:
        """Return the step of the best validation, of equals the first; None without any."""
        best: Mapping[str, Any] | None = None
        for line in history:
            if best is None or self.is_better(line[self.metric], best[self.metric]):
                best = line
        return None if best is None else int(best["step"])

    def must_stop(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the last `patience` validations have brought nothing better."""
        if self.patience is None or not history:
            return False
        best = self.best_step(history)
        return sum(int(line["step"]) > (best or 0) for line in history) >= self.patience

    def averaged_steps(self, history: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the steps whose weights are averaged, in order."""
        if self.average_last == 0:
            return []
        return [int(line["step"]) for line in history[-self.average_last :]]

    def needed_steps(self, history: Sequence[Mapping[str, Any]]) -> set[int]:
        """Return the steps whose weights must be kept."""
        best = self.best_step(history)
        return {*self.averaged_steps(history), *([] if best is None else [best])}


def average_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean of every tensor over some files of weights, summed in float64.

    Args:
        paths: safetensors files with the same names in each; at least one.

    Raises:
        ValueError: if the files do not hold the same tensors.
    """
    with opened_weights(paths[0]) as first:
        names = list(first.keys())
    averaged: dict[str, Tensor] = {}
    for name in names:
        total: Tensor | None = None
        for path in paths:
            with opened_weights(path) as file:
                if set(file.keys()) != set(names):
                    raise ValueError(
                        f"{path} and {paths[0]} have different tensors, so they cannot be "
                        "averaged: set train.average_last to 0"
                    )
                tensor = file.get_tensor(name)
            # In float64, so that the mean is rounded only once, at the end.
            total = tensor.double() if total is None else total + tensor.double()
        assert total is not None
        averaged[name] = (total / len(paths)).to(tensor.dtype)
    return averaged
