"""The accuracies on minimal pairs as a picture; needs the extra `plot`."""

from collections.abc import Sequence
from pathlib import Path

from unblank.evaluation.minimal_pairs import ACCURACY, BASELINE
from unblank.evaluation.results import Score
from unblank.figures import new_figure, save_figure

__all__ = ["draw_pairs"]


def draw_pairs(title: str, scores: Sequence[Score], path: Path) -> bool:
    """Draw a bar a group with its standard error, the baseline, and the line of chance.

    Args:
        title: of the picture.
        scores: the rows of the table.
        path: of the picture, `.png`.

    Returns:
        False if matplotlib is not installed, so that there is no picture.
    """
    rows = [score for score in scores if score.metric == ACCURACY]
    places = {row.task: place for place, row in enumerate(rows)}
    baseline = [score for score in scores if score.metric == BASELINE]
    figure = new_figure(8, 1.5 + 0.3 * len(rows))
    if figure is None:
        return False
    axes = figure.add_subplot(title=title, xlabel="accuracy (%)", xlim=(0, 100))
    axes.barh(
        range(len(rows)),
        [row.value for row in rows],
        xerr=[row.standard_error or 0.0 for row in rows],
        capsize=3,
        label="model",
    )
    if baseline:
        values, heights = [one.value for one in baseline], [places[one.task] for one in baseline]
        axes.plot(values, heights, "kD", label=BASELINE)
    axes.axvline(50, color="gray", linestyle="--", label="chance")
    axes.set_yticks(range(len(rows)), list(places))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    figure.legend(loc="outside lower center", ncols=3)
    axes.grid(axis="x", alpha=0.3)
    save_figure(figure, path)
    return True
