"""Rows of a table for means over directions of translation with equal weight."""

from collections.abc import Mapping, Sequence
from typing import Any

from unblank.evaluation.results import Score
from unblank.languages import Direction
from unblank.metrics.spread import mean_and_error

__all__ = ["direction_means"]

_ENGLISH = "en"


def direction_means(
    name: str, rows: Mapping[Direction, Sequence[Score]], details: Mapping[str, Any]
) -> list[Score]:
    """Return the rows of the means of each metric: of all directions, out of and into English.

    What is the mean of all directions, or of none, has no row of its own.

    Args:
        name: of the task.
        rows: direction -> its rows, of the same metrics in the same order.
        details: what else belongs to the numbers.
    """
    groups = {
        "mean": list(rows),
        "out of en": [one for one in rows if one.source == _ENGLISH],
        "into en": [one for one in rows if one.target == _ENGLISH],
        "without en": [one for one in rows if _ENGLISH not in (one.source, one.target)],
    }
    found = []
    for number, first in enumerate(next(iter(rows.values()))):
        for kind, some in groups.items():
            if len(rows) < 2 or not some or (kind != "mean" and len(some) == len(rows)):
                continue
            of_kind = [rows[one][number] for one in some]
            value, error = mean_and_error([(one.value, one.standard_error) for one in of_kind])
            found.append(
                Score(
                    task=name,
                    metric=first.metric,
                    language=kind,
                    value=value,
                    count=sum(one.count for one in of_kind),
                    standard_error=error,
                    details=dict(details),
                )
            )
    return found
