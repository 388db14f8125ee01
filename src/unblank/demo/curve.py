"""Curves as lines of characters, for a terminal."""

from collections.abc import Mapping, Sequence

__all__ = ["text_plot"]


def text_plot(
    curves: Mapping[str, Sequence[tuple[float, float]]], *, width: int = 60, height: int = 12
) -> list[str]:
    """Return the lines of a plot of points, with numbers at the ends of both axes.

    Args:
        curves: the character that draws a curve -> its points (x, y); later ones lie on top.
        width: of the plot itself, in characters.
        height: of the plot itself, in lines.

    Returns:
        Nothing if there are no points.

    Example:
        >>> for line in text_plot({".": [(1, 3), (2, 2), (5, 1)]}, width=5, height=3):
        ...     print(line)
        3.00 |.
             | .
        1.00 |    .
             +-----
              1   5
    """
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return []
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    cells = [[" "] * width for _ in range(height)]
    for sign, curve in curves.items():
        for x, y in curve:
            column = round((x - left) / ((right - left) or 1) * (width - 1))
            line = round((high - y) / ((high - low) or 1) * (height - 1))
            cells[line][column] = sign
    labels = {0: f"{high:.2f}", height - 1: f"{low:.2f}"}
    margin = max(map(len, labels.values()))
    ends = f"{left:g}", f"{right:g}"
    return [
        *(
            f"{labels.get(line, ''):>{margin}} |{''.join(row)}".rstrip()
            for line, row in enumerate(cells)
        ),
        f"{'':{margin}} +{'-' * width}",
        f"{'':{margin}}  {ends[0]}{ends[1]:>{width - len(ends[0])}}",
    ]
