"""Scores as heat maps: tasks by languages, and translation from each language into each.

They need the extra `plot`.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from unblank.evaluation.results import Score
from unblank.figures import new_figure

__all__ = ["direction_panels", "draw_heat_maps", "language_panel"]

Panel = Mapping[tuple[str, str], float]
"""(row, column) -> value."""

_MARGIN = 2.0
_CELL = 0.5
"""Inches."""
_MOST_NUMBERS = 40
"""Columns up to which the values are written into the cells."""


def language_panel(scores: Sequence[Score]) -> dict[str, Panel]:
    """Return one map: a row for each task and metric in percent, a column for each language."""
    cells = {
        (f"{score.task}, {score.metric}", score.language): score.value
        for score in scores
        if score.language and not score.metric.startswith(("perplexity", "bits"))
    }
    return {"": cells} if cells else {}


def direction_panels(scores: Sequence[Score]) -> dict[str, Panel]:
    """Return a map for each task and metric: sources as rows, targets as columns.

    Args:
        scores: their details have `source` and `target`; others, such as means, are left out.
    """
    panels: dict[str, dict[tuple[str, str], float]] = {}
    for score in scores:
        if "source" in score.details:
            cell = score.details["source"], score.details["target"]
            panels.setdefault(f"{score.task}, {score.metric}", {})[cell] = score.value
    return dict(panels)


def draw_heat_maps(
    title: str, panels: Mapping[str, Panel], path: Path, *, rows: str = "", columns: str = ""
) -> bool:
    """Draw maps below each other, each with colours from its least to its greatest value.

    Args:
        title: of the picture.
        panels: title of a map -> its cells; at least one.
        path: of the picture, `.png`.
        rows: what the rows are.
        columns: what the columns are.

    Returns:
        False if matplotlib is not installed, so that there is no picture.
    """
    sizes = [(len(_names(panel, 0)), len(_names(panel, 1))) for panel in panels.values()]
    width = _MARGIN + 1.5 + _CELL * max(columns for _, columns in sizes)
    height = sum(_MARGIN + 0.6 * _CELL * rows for rows, _ in sizes)
    figure = new_figure(max(6.0, width), height)
    if figure is None:
        return False
    figure.suptitle(title)
    grid = figure.subplots(len(panels), 1, squeeze=False)
    for (name, panel), axes in zip(panels.items(), grid[:, 0], strict=True):
        _draw(axes, name, panel)
        axes.set(ylabel=rows, xlabel=columns)
    figure.savefig(path, dpi=120)
    return True


def _draw(axes: Any, name: str, panel: Panel) -> None:
    row_names, column_names = _names(panel, 0), _names(panel, 1)
    values = [
        [panel.get((row, column), float("nan")) for column in column_names] for row in row_names
    ]
    axes.imshow(values, cmap="viridis", aspect="auto")
    axes.set_title(name)
    axes.set_yticks(range(len(row_names)), row_names)
    axes.set_xticks(range(len(column_names)), column_names, rotation=60, ha="right")
    if len(column_names) > _MOST_NUMBERS:
        return
    known = [value for line in values for value in line if isfinite(value)]
    middle = (min(known) + max(known)) / 2
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            if isfinite(value):
                color = "black" if value > middle else "white"
                axes.text(x, y, f"{value:.0f}", ha="center", va="center", color=color, fontsize=7)


def _names(panel: Panel, side: int) -> list[str]:
    return list(dict.fromkeys(cell[side] for cell in panel))
