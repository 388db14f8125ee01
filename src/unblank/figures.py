"""A figure of matplotlib that needs no screen; matplotlib is optional (extra `plot`)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["new_figure"]


def new_figure(width: float, height: float) -> "Figure | None":
    """Return an empty figure, or None if matplotlib is not installed.

    Args:
        width: in inches.
        height: in inches.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
