"""Rows of strings printed one below the other in aligned, coloured columns that wrap together."""

from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

__all__ = ["NOTHING", "print_columns"]

NOTHING = "-"
"""An empty cell, printed faintly."""

_GAP = 2


def print_columns(
    console: Console, rows: Mapping[str, Sequence[str]], styles: Sequence[str]
) -> None:
    """Print rows of equal length, in as many blocks as the console's width needs.

    Args:
        console: where to.
        rows: title -> cells.
        styles: rich's style of each column.
    """
    margin = max(map(len, rows)) + _GAP
    widths = [max(map(cell_len, column)) for column in zip(*rows.values(), strict=True)]
    start, stop = 0, len(styles)
    while start < stop:
        end, used = start, margin
        while end < stop and (end == start or used + widths[end] <= console.width):
            used += widths[end] + _GAP
            end += 1
        for name, row in rows.items():
            line = Text(name.ljust(margin), style="dim")
            for place in range(start, end):
                cell = set_cell_size(row[place], widths[place])
                line.append(cell, style="dim" if row[place] == NOTHING else styles[place])
                line.append(" " * _GAP)
            line.rstrip()
            console.print(line, no_wrap=True, overflow="ignore", crop=False)
        start = end
        if start < stop:
            console.print()
