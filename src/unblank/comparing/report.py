"""The table of a comparison: measures down, variants across, mean and deviation over seeds."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from math import ceil
from pathlib import Path
from statistics import fmean, stdev

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from unblank.figures import new_figure
from unblank.integrity import write_at_once

__all__ = ["Cell", "comparison_json", "comparison_table", "draw_plot", "to_markdown"]

_COLUMNS = 3
"""Plots in a row of the picture."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number: what was measured of which model."""

    measure: str
    variant: str
    seed: int
    value: float


def comparison_table(title: str, cells: Sequence[Cell]) -> Table:
    """Return the numbers so far as a table."""
    measures, variants = _axes(cells)
    table = Table(title=Text(title), box=SIMPLE_HEAD, title_justify="left")
    table.add_column("measure", overflow="fold")
    for variant in variants:
        table.add_column(variant, justify="right", overflow="fold")
    for measure in measures:
        table.add_row(measure, *(_shown(cells, measure, variant) for variant in variants))
    return table


def to_markdown(cells: Sequence[Cell]) -> str:
    """Return the same as a markdown table."""
    measures, variants = _axes(cells)
    lines = [["measure", *variants], ["---", *["---:"] * len(variants)]]
    lines += [
        [measure, *(_shown(cells, measure, variant) for variant in variants)]
        for measure in measures
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def comparison_json(recipe: Path, cells: Sequence[Cell]) -> str:
    """Return every number, and means and deviations over seeds."""
    measures, variants = _axes(cells)
    table = {
        measure: {
            variant: {
                "mean": fmean(values),
                "deviation": stdev(values) if len(values) > 1 else None,
                "seeds": len(values),
            }
            for variant in variants
            if (values := _values(cells, measure, variant))
        }
        for measure in measures
    }
    content = {"recipe": str(recipe), "table": table, "values": [asdict(cell) for cell in cells]}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def draw_plot(cells: Sequence[Cell], path: Path) -> None:
    """Draw a picture for each measure: a point a seed, and the mean with its deviation.

    Without matplotlib (extra `plot`) or without numbers there is none.
    """
    measures, variants = _axes(cells)
    if not measures:
        return
    rows = ceil(len(measures) / _COLUMNS)
    height = 0.6 + 0.25 * len(variants)
    figure = new_figure(4.5 * _COLUMNS, rows * (height + 0.6))
    if figure is None:
        return
    for number, measure in enumerate(measures, start=1):
        axes = figure.add_subplot(rows, _COLUMNS, number)
        axes.set_title(measure, fontsize="small")
        for place, variant in enumerate(variants):
            values = _values(cells, measure, variant)
            if values:
                deviation = stdev(values) if len(values) > 1 else 0.0
                axes.plot(values, [place] * len(values), "k.", alpha=0.4)
                axes.errorbar(fmean(values), place, xerr=deviation, fmt="o", capsize=3)
        axes.set_yticks(range(len(variants)), variants, fontsize="small")
        axes.set_ylim(len(variants) - 0.5, -0.5)
        axes.grid(axis="x", alpha=0.3)
    picture = BytesIO()
    figure.savefig(picture, dpi=110)
    write_at_once(path, picture.getvalue())


def _axes(cells: Sequence[Cell]) -> tuple[list[str], list[str]]:
    """Return measures and variants in the order in which they come first."""
    measures = dict.fromkeys(cell.measure for cell in cells)
    return list(measures), list(dict.fromkeys(cell.variant for cell in cells))


def _values(cells: Sequence[Cell], measure: str, variant: str) -> list[float]:
    return [cell.value for cell in cells if (cell.measure, cell.variant) == (measure, variant)]


def _shown(cells: Sequence[Cell], measure: str, variant: str) -> str:
    values = _values(cells, measure, variant)
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{fmean(values):.2f} +- {stdev(values):.2f}"
