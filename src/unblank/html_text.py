"""Results as HTML for notebooks: tables, and texts with marked places; everything is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["html_table", "marked_html"]


def html_table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; all of it is text, not HTML.

    Args:
        caption: above the table; none if empty.
        header: names of the columns; none if empty.
        rows: of cells.
    """
    head = f"<tr>{_cells('th', header)}</tr>" if header else ""
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}{head}{body}</table>"


def marked_html(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Return a text, on lines as it has them, with places marked.

    Args:
        text: plain.
        spans: first character of each place and the one after its last, in ascending order.
    """
    pieces, done = [], 0
    for start, end in spans:
        pieces += [escape(text[done:start]), f"<mark>{escape(text[start:end])}</mark>"]
        done = end
    pieces.append(escape(text[done:]))
    return f'<div style="white-space: pre-wrap">{"".join(pieces)}</div>'


def _cells(tag: str, values: Iterable[object]) -> str:
    return "".join(f"<{tag}>{escape(str(value))}</{tag}>" for value in values)
