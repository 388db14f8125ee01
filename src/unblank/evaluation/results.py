"""What suites find out, as plain values, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from unblank.data.written_records import json_value
from unblank.integrity import seal
from unblank.metrics.text import TWO_SIDED_95, TextScore

__all__ = ["Score", "SuiteResult", "plain", "results_json", "results_table", "text_row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One number of the table.

    Attributes:
        task: what was measured.
        metric: how.
        value: a percentage unless the metric says otherwise.
        count: examples (or tokens, where the metric is a mean over these) that it rests on.
        standard_error: in the unit of `value`; None if there is none.
        seconds: that the task took, model time and all.
        language: code of the language that it is of, or which mean over languages it is.
        details: what else belongs to the number, such as signatures and counts.
    """

    task: str
    metric: str
    value: float
    count: int
    standard_error: float | None = None
    seconds: float = 0.0
    language: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """Scores that were measured together.

    Attributes:
        scores: one row each.
        predictions: one object an example.
    """

    scores: list[Score]
    predictions: list[dict[str, Any]]


def text_row(
    task: str,
    metric: str,
    score: TextScore,
    count: int,
    seconds: float = 0.0,
    language: str = "",
    **details: Any,
) -> Score:
    """Return the row of a score of written texts, its signature among the details.

    Args:
        task: what was measured.
        metric: name of the score.
        score: with its margin.
        count: texts.
        seconds: that the task took.
        language: of the texts.
        **details: what else belongs to the number.
    """
    has_error = score.margin is not None and count > 1
    return Score(
        task=task,
        metric=metric,
        value=score.value,
        count=count,
        standard_error=(score.margin or 0.0) / TWO_SIDED_95 if has_error else None,
        seconds=seconds,
        language=language,
        details={"signature": score.signature, **details},
    )


def results_table(title: str, scores: Sequence[Score]) -> Table:
    """Return the scores as a table; seconds are shown once a task."""
    table = Table(title=Text(title), box=SIMPLE_HEAD, title_justify="left")
    for heading in ("task", "metric"):
        table.add_column(heading, overflow="fold")
    for heading in ("n", "value", "standard error", "seconds"):
        table.add_column(heading, justify="right")
    previous = None
    for score in scores:
        is_first = score.task != previous
        table.add_row(
            score.task if is_first else "",
            score.metric,
            f"{score.count:,}",
            _number(score.value),
            "" if score.standard_error is None else _number(score.standard_error),
            f"{score.seconds:.1f}" if is_first else "",
        )
        previous = score.task
    return table


def results_json(about: dict[str, Any], results: Sequence[SuiteResult]) -> str:
    """Return everything as a record: settings and versions, all scores, every prediction.

    Numbers that JSON does not have (infinite perplexity) become null.
    """
    content = {
        **about,
        "scores": [asdict(score) for result in results for score in result.scores],
        "predictions": [line for result in results for line in result.predictions],
    }
    return seal(json_value(content), readable=True)


def plain(settings: Any) -> dict[str, Any]:
    """Return a dataclass of settings as values that JSON can hold."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(settings).items()
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.2f}"
