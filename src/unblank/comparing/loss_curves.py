"""The held-out losses of all runs of a comparison in one picture; needs the extra `plot`.

A colour a variant, a line a seed. Losses of different objectives are of different tokens: they show
when a run leaves a plateau, and are not to be compared with each other.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from unblank.engine.logging import VALIDATION_NAME, read_json_lines
from unblank.figures import new_figure, save_figure

__all__ = ["draw_loss_curves"]

_COLOURS = 10
"""Of matplotlib's cycle; lines of further variants are dashed, then dotted."""
_STYLES = ("-", "--", ":", "-.")


def draw_loss_curves(folders: Mapping[str, Sequence[Path]], path: Path) -> None:
    """Draw the held-out loss by step; without matplotlib or a measured loss there is no picture.

    Args:
        folders: variant -> folders of its runs, finished or not.
        path: of the picture.
    """
    curves = {
        variant: [points for folder in own if (points := _held_out(folder))]
        for variant, own in folders.items()
    }
    if not any(curves.values()):
        return
    figure = new_figure(8, 5)
    if figure is None:
        return
    axes = figure.add_subplot()
    for number, (variant, lines) in enumerate(curves.items()):
        for index, points in enumerate(lines):
            axes.plot(
                *zip(*points, strict=True),
                marker=".",
                color=f"C{number % _COLOURS}",
                linestyle=_STYLES[number // _COLOURS % len(_STYLES)],
                label=variant if index == 0 else None,
            )
    axes.set_xlabel("optimiser step")
    axes.set_ylabel("held-out loss of the own objective (nats a scored token)")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    save_figure(figure, path, dpi=110)


def _held_out(folder: Path) -> list[tuple[int, float]]:
    """Return step and loss of each validation of a run."""
    lines = read_json_lines(folder / VALIDATION_NAME)
    return [(line["step"], line["loss"]) for line in lines if line.get("loss") is not None]
