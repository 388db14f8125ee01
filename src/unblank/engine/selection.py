"""Which weights of a run are kept: the best validation so far, when to stop, and averages.

The history of a run is its `validation.jsonl`: one line a validation, with `step` and the scores.
All decisions follow from it, so a resumed run decides as an uninterrupted one.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
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


def average_weights(folders: Sequence[Path]) -> Iterator[tuple[str, Tensor]]:
    """Yield name and mean of every tensor over some folders of weights, summed in float64.

    Args:
        folders: of safetensors files with the same names in each; at least one.

    Raises:
        ValueError: if the folders do not hold the same tensors.
    """
    with ExitStack() as stack:
        opened = [_files_of_names(folder, stack) for folder in folders]
        for folder, files in zip(folders, opened, strict=True):
            if set(files) != set(opened[0]):
                raise ValueError(
                    f"{folder} and {folders[0]} have different tensors, so they cannot be "
                    "averaged: set train.average_last to 0"
                )
        for name in opened[0]:
            tensors = [files[name].get_tensor(name) for files in opened]
            total = tensors[0].double()
            for tensor in tensors[1:]:
                total = total + tensor.double()
            # In float64, so that the mean is rounded only once, at the end.
            yield name, (total / len(tensors)).to(tensors[0].dtype)


def _files_of_names(folder: Path, stack: ExitStack) -> dict[str, Any]:
    """Return name of each tensor in a folder -> its open file."""
    files = [stack.enter_context(opened_weights(path)) for path in folder.glob("*.safetensors")]
    return {name: file for file in files for name in file.keys()}  # noqa: SIM118
