"""The table of several models' scores: a line for each, what sums them up below."""

from collections.abc import Iterable, Mapping

from rich.table import Table

__all__ = ["score_table"]


def score_table(
    title: str, heading: str, lines: Iterable[tuple[str, Mapping[str, float]]]
) -> Table:
    """Return a table that ends in a section of its own, still empty.

    Args:
        title: what the table shows.
        heading: of the first column.
        lines: name of each model, and its scores; all have the same ones.
    """
    table = Table(title=title, title_justify="left")
    table.add_column(heading)
    for number, (name, scores) in enumerate(lines):
        for score in scores if number == 0 else ():
            table.add_column(score, justify="right")
        table.add_row(name, *(f"{value:.4f}" for value in scores.values()))
    table.add_section()
    return table
