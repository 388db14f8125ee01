"""A figure of matplotlib that needs no screen; matplotlib is optional (extra `plot`)."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from unblank.integrity import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["new_figure", "save_figure"]


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


def save_figure(figure: "Figure", path: Path, *, dpi: int = 120) -> None:
    """Write a figure as a picture, whole or not at all.

    Args:
        figure: of `new_figure`.
        path: of the picture; its ending says the kind.
        dpi: dots an inch.
    """
    picture = BytesIO()
    figure.savefig(picture, format=path.suffix.removeprefix("."), dpi=dpi)
    write_atomically(path, picture.getvalue())
