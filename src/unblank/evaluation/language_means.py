"""Rows of a table for means over tasks or languages with equal weight; the gap to English."""

from collections.abc import Mapping, Sequence
from math import hypot
from typing import Any

from unblank.evaluation.results import Score
from unblank.metrics.spread import mean_and_error

__all__ = ["language_means", "mean_of_tasks"]

_ENGLISH = "en"


def language_means(
    name: str,
    rows: Mapping[str, Sequence[Score]],
    seconds: float = 0.0,
    details: Mapping[str, Any] | None = None,
) -> list[Score]:
    """Return the rows of the means of each metric: of all languages, and without English.

    Where English is among them, also how much its value is above the mean of the others.

    Args:
        name: of the task.
        rows: language -> its rows, of the same metrics in the same order.
        seconds: that the task took.
        details: what else belongs to the numbers.
    """
    found = []
    for number, first in enumerate(next(iter(rows.values()))):
        values = {
            code: (of_language[number].value, of_language[number].standard_error)
            for code, of_language in rows.items()
        }
        others = [value for code, value in values.items() if code != _ENGLISH]
        kinds = {"mean": mean_and_error(list(values.values()))}
        if others and len(others) < len(values):
            mean, error = mean_and_error(others)
            of_english, english_error = values[_ENGLISH]
            kinds["mean without en"] = mean, error
            both = None if error is None or english_error is None else hypot(error, english_error)
            kinds["en above the others"] = of_english - mean, both
        count = sum(of_language[number].count for of_language in rows.values())
        found += [
            Score(
                task=name,
                metric=first.metric,
                language=kind,
                value=value,
                count=count,
                standard_error=error,
                seconds=seconds,
                details=dict(details or {}),
            )
            for kind, (value, error) in kinds.items()
        ]
    return found


def mean_of_tasks(
    suite: str, numbers: Mapping[str, tuple[float, float | None]], num_tasks: int, **more: Any
) -> Score:
    """Return the row of the mean over tasks.

    Args:
        suite: its name.
        numbers: task -> its share of the mean, and the standard error of that.
        num_tasks: of the suite, measured or not.
        **more: further fields of the row.
    """
    value, error = mean_and_error(list(numbers.values()))
    whole = "all" if len(numbers) == num_tasks else "only"
    return Score(
        task=suite,
        metric=f"mean of {whole} {len(numbers)} tasks",
        value=value,
        count=len(numbers),
        standard_error=error,
        **more,
    )
