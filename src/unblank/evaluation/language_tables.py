"""Scores of many languages: on the screen a row each, in files a column each.

A screen is not wide enough for fifteen columns; files have the shape in which results are
published: rows for tasks and metrics, columns for languages and means.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from unblank.evaluation.results import Score, results_table

__all__ = ["language_columns", "languages_csv", "languages_markdown", "scores_table"]

_MOST_WITH_ERRORS = 3
"""Metrics up to which the table on the screen has room for standard errors."""


def scores_table(title: str, scores: Sequence[Score]) -> Table:
    """Return the scores as a table, of several languages with a row for each."""
    has_languages = len({score.language for score in scores}) > 1
    return (_languages_table if has_languages else results_table)(title, scores)


def _languages_table(title: str, scores: Sequence[Score]) -> Table:
    """Return the scores as a table: rows for languages and means, columns for metrics."""
    metrics = list(dict.fromkeys(score.metric for score in scores))
    table = Table(title=Text(title), box=SIMPLE_HEAD, title_justify="left")
    table.add_column("task", overflow="fold")
    table.add_column("language")
    for heading in ("n", *metrics):
        table.add_column(heading, justify="right")
    shown = _with_error if len(metrics) <= _MOST_WITH_ERRORS else _value
    rows: dict[tuple[str, str], dict[str, Score]] = {}
    for score in scores:
        rows.setdefault((score.task, score.language), {})[score.metric] = score
    previous = None
    for (task, language), row in rows.items():
        table.add_row(
            task if task != previous else "",
            language or "-",
            f"{next(iter(row.values())).count:,}",
            *(shown(row[metric]) if metric in row else "" for metric in metrics),
        )
        previous = task
    return table


def languages_csv(scores: Sequence[Score]) -> str:
    """Return the values as CSV: rows for tasks and metrics, columns for languages and means.

    A metric with standard errors has a row for these, too.
    """
    every: list[Score] = []
    for score in scores:
        every.append(score)
        if (error := score.standard_error) is not None:
            every.append(replace(score, metric=f"{score.metric}, standard error", value=error))
    text = io.StringIO()
    rows = _rows(every, _value)
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def languages_markdown(scores: Sequence[Score]) -> str:
    """Return the same as a table in Markdown, each value with its standard error."""
    head, *rows = _rows(scores, _with_error)
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def language_columns(scores: Sequence[Score]) -> list[str]:
    """Return the languages or directions of some scores, the means over them behind all others."""
    every = dict.fromkeys(score.language for score in scores)
    return sorted(every, key=lambda name: name == "mean" or " " in name)


def _rows(scores: Sequence[Score], shown: Callable[[Score], str]) -> list[list[str]]:
    languages = language_columns(scores)
    values = {(score.task, score.metric, score.language): shown(score) for score in scores}
    names = dict.fromkeys((score.task, score.metric) for score in scores)
    rows = [[*name, *(values.get((*name, code), "") for code in languages)] for name in names]
    return [["task", "metric", *(code or "-" for code in languages)], *rows]


def _value(score: Score) -> str:
    return f"{score.value:.2f}"


def _with_error(score: Score) -> str:
    error = "" if score.standard_error is None else f" \u00b1 {score.standard_error:.2f}"
    return f"{score.value:.2f}{error}"
