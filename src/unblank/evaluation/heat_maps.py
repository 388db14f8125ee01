"""Scores as heat maps: tasks by languages, and translation from each language into each.

They need the extra `plot`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from unblank.evaluation.language_tables import language_columns
from unblank.evaluation.results import Score
from unblank.figures import new_figure, save_figure

__all__ = ["direction_maps", "draw_heat_maps", "language_maps"]

_MARGIN = 2.0
_CELL = 0.5
"""Inches."""
_MOST_NUMBERS = 40
"""Columns up to which the values are written into the cells."""
_TWO_DIGITS = 10
"""From which value on, as the greatest of a map, decimals are left out."""
_NO_SHARE = ("perplexity", "bits")
"""Metrics that begin so are no percentages."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One map.

    Attributes:
        title: above it.
        rows: names, from above.
        columns: names, from the left.
        values: (row, column) -> value; what is missing stays empty.
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Mapping[tuple[str, str], float]


def language_maps(scores: Sequence[Score]) -> list[HeatMap]:
    """Return one map: a row for each task and metric in percent, a column for each language.

    None is returned where there are no such scores.
    """
    shown = [one for one in scores if one.language and not one.metric.startswith(_NO_SHARE)]
    if not shown:
        return []
    values = {(f"{one.task}, {one.metric}", one.language): one.value for one in shown}
    rows = list(dict.fromkeys(row for row, _ in values))
    return [HeatMap("", rows, language_columns(shown), values)]


def direction_maps(scores: Sequence[Score]) -> list[HeatMap]:
    """Return a map for each task and metric: sources as rows, targets as columns.

    Args:
        scores: their details have `source` and `target`; others, such as means, are left out.
    """
    maps: dict[str, dict[tuple[str, str], float]] = {}
    for score in scores:
        if "source" in score.details:
            cell = score.details["source"], score.details["target"]
            maps.setdefault(f"{score.task}, {score.metric}", {})[cell] = score.value
    found = []
    for title, values in maps.items():
        sources, targets = zip(*values, strict=True)
        in_one_order = list(dict.fromkeys((*sources, *targets)))
        rows = [code for code in in_one_order if code in sources]
        columns = [code for code in in_one_order if code in targets]
        found.append(HeatMap(title, rows, columns, values))
    return found


def draw_heat_maps(
    title: str, maps: Sequence[HeatMap], path: Path, *, rows: str = "", columns: str = ""
) -> bool:
    """Draw maps below each other, each with colours from its least to its greatest value.

    Args:
        title: of the picture.
        maps: at least one.
        path: of the picture, `.png`.
        rows: what the rows are.
        columns: what the columns are.

    Returns:
        False if matplotlib is not installed, so that there is no picture.
    """
    width = _MARGIN + 1.5 + _CELL * max(len(one.columns) for one in maps)
    height = sum(_MARGIN + 0.6 * _CELL * len(one.rows) for one in maps)
    figure = new_figure(max(6.0, width), height)
    if figure is None:
        return False
    figure.suptitle(title)
    grid = figure.subplots(len(maps), 1, squeeze=False)
    for one, axes in zip(maps, grid[:, 0], strict=True):
        _draw(axes, one)
        axes.set(ylabel=rows, xlabel=columns)
    save_figure(figure, path)
    return True


def _draw(axes: Any, one: HeatMap) -> None:
    nothing = float("nan")
    values = [
        [one.values.get((row, column), nothing) for column in one.columns] for row in one.rows
    ]
    axes.imshow(values, cmap="viridis", aspect="auto")
    axes.set_title(one.title)
    axes.set_yticks(range(len(one.rows)), one.rows)
    axes.set_xticks(range(len(one.columns)), one.columns, rotation=60, ha="right")
    known = [value for line in values for value in line if isfinite(value)]
    if len(one.columns) > _MOST_NUMBERS or not known:
        return
    middle = (min(known) + max(known)) / 2
    digits = 0 if max(known) >= _TWO_DIGITS else 1
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            if isfinite(value):
                color = "black" if value > middle else "white"
                axes.text(
                    x, y, f"{value:.{digits}f}", ha="center", va="center", color=color, fontsize=7
                )
