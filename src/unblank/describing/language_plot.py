"""The report on a tokenizer as a picture: a bar a language, by script; needs the extra `plot`."""

from collections.abc import Sequence
from pathlib import Path

from unblank.describing.languages import LanguageRow
from unblank.figures import new_figure, save_figure

__all__ = ["draw_languages"]

_PANELS = ("tokens a byte", "fallback %", "tax")


def draw_languages(title: str, rows: Sequence[LanguageRow], path: Path) -> bool:
    """Draw tokens a byte, the share of fallback and, where there is one, the tax of each language.

    Args:
        title: of the picture.
        rows: of the report.
        path: of the picture, `.png`.

    Returns:
        False if matplotlib is not installed, so that there is no picture.
    """
    ordered = sorted(rows, key=lambda row: (row.script, row.language))
    scripts = list(dict.fromkeys(row.script for row in ordered))
    names = [name for name in _PANELS if any(name in row.ratios for row in ordered)]
    figure = new_figure(3 + 0.2 * len(ordered), 1 + 2.6 * len(names))
    if figure is None:
        return False
    from matplotlib import colormaps

    colours = {script: colormaps["tab20"](number % 20) for number, script in enumerate(scripts)}
    panels = figure.subplots(len(names), 1, squeeze=False, sharex=True)[:, 0]
    for axes, name in zip(panels, names, strict=True):
        for place, row in enumerate(ordered):
            if name in row.ratios:
                axes.bar(place, row.ratios[name], color=colours[row.script])
        axes.set_ylabel(name)
        axes.grid(axis="y", alpha=0.3)
    panels[0].set_title(title)
    panels[-1].set_xticks(range(len(ordered)), [row.language for row in ordered], rotation=90)
    panels[-1].set_xlim(-0.6, len(ordered) - 0.4)
    firsts = {row.script: place for place, row in reversed(list(enumerate(ordered)))}
    for script, place in firsts.items():
        panels[0].annotate(
            script or "?", (place, 1), xycoords=("data", "axes fraction"), fontsize="x-small"
        )
    save_figure(figure, path)
    return True
