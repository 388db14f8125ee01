"""Tables of a comparison: measures down, variants across; means, and differences from the first.

A mean has its deviation over seeds, a difference from the first variant its standard error and the
p of a paired t-test.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from statistics import fmean, stdev

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from unblank.comparing.differences import Difference, paired_difference
from unblank.figures import new_figure, save_figure

__all__ = [
    "Cell",
    "comparison_json",
    "comparison_tables",
    "draw_plot",
    "to_markdown",
]

_COLUMNS = 3
"""Plots in a row of the picture."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number: what was measured of which model."""

    measure: str
    variant: str
    seed: int
    value: float


def comparison_tables(title: str, cells: Sequence[Cell], first: str) -> list[Table]:
    """Return the numbers so far as a table, and another one of differences where there are any.

    Args:
        title: of the numbers.
        cells: the numbers.
        first: variant from which the others are said to differ.
    """
    return [_as_table(rows, name) for name, rows in _tables(title, cells, first)]


def to_markdown(cells: Sequence[Cell], first: str) -> str:
    """Return the same as markdown."""
    (_, numbers), *others = _tables("", cells, first)
    parts = [_as_markdown(numbers)]
    parts += [f"\n{name}\n\n{_as_markdown(rows)}" for name, rows in others]
    return "".join(parts)


def comparison_json(recipe: Path, cells: Sequence[Cell], first: str) -> str:
    """Return every number, means and deviations over seeds, and differences from `first`."""
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
    differences = {
        measure: {variant: asdict(found) for variant, found in row.items()}
        for measure, row in _differences(cells, first).items()
    }
    content = {
        "recipe": str(recipe),
        "table": table,
        "differences_from": first,
        "differences": differences,
        "values": [asdict(cell) for cell in cells],
    }
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
    save_figure(figure, path, dpi=110)


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


def _tables(
    title: str, cells: Sequence[Cell], first: str
) -> Iterator[tuple[str, list[Sequence[str]]]]:
    """Yield the title and the rows of each table, the row of names first."""
    measures, variants = _axes(cells)
    yield (
        title,
        [
            ("measure", *variants),
            *((one, *(_shown(cells, one, variant) for variant in variants)) for one in measures),
        ],
    )
    found = _differences(cells, first)
    others = [variant for variant in variants if any(variant in row for row in found.values())]
    if others:
        yield (
            f"difference from {first}, paired by seed, with its standard error and p",
            [
                ("measure", *others),
                *(
                    (one, *(_as_text(row.get(name)) for name in others))
                    for one, row in found.items()
                ),
            ],
        )


def _differences(cells: Sequence[Cell], first: str) -> dict[str, dict[str, Difference]]:
    """Return measure -> variant -> how it differs, where two seeds or more allow a test."""
    measures, variants = _axes(cells)
    found: dict[str, dict[str, Difference]] = {}
    for measure in measures:
        reference = _by_seed(cells, measure, first)
        for variant in variants:
            own = _by_seed(cells, measure, variant)
            seeds = sorted(own.keys() & reference.keys())
            if variant != first and len(seeds) > 1:
                found.setdefault(measure, {})[variant] = paired_difference(
                    [own[seed] for seed in seeds], [reference[seed] for seed in seeds]
                )
    return found


def _by_seed(cells: Sequence[Cell], measure: str, variant: str) -> dict[int, float]:
    return {
        cell.seed: cell.value
        for cell in cells
        if (cell.measure, cell.variant) == (measure, variant)
    }


def _as_text(found: Difference | None) -> str:
    if found is None:
        return "-"
    assert found.error is not None  # of two seeds or more
    assert found.probability is not None
    return f"{found.mean:+.2f} +- {found.error:.2f} (p {found.probability:.2g})"


def _as_table(rows: Sequence[Sequence[str]], title: str) -> Table:
    table = Table(title=Text(title), box=SIMPLE_HEAD, title_justify="left")
    measure, *variants = rows[0]
    table.add_column(measure, overflow="fold")
    for variant in variants:
        table.add_column(variant, justify="right", overflow="fold")
    for row in rows[1:]:
        table.add_row(*row)
    return table


def _as_markdown(rows: Sequence[Sequence[str]]) -> str:
    names, *rest = rows
    lines = [names, ("---", *["---:"] * (len(names) - 1)), *rest]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
