"""Bits a byte of each language over the steps of a run, a small picture each; extra `plot`."""

import math
from pathlib import Path

from unblank.engine.logging import VALIDATION_NAME, read_json_lines
from unblank.figures import new_figure, save_figure

__all__ = ["LANGUAGE_SCORE", "draw_language_losses"]

LANGUAGE_SCORE = "bits_a_byte_on_"
"""Before the code of a language, in `validation.jsonl`."""

_COLUMNS = 8


def draw_language_losses(output_dir: Path) -> Path | None:
    """Draw `languages.png` in the run's folder and return its path.

    The panels share their axes, and stand in the order of the last values, the best one first; the
    grey line is the mean over languages.

    Returns:
        None if matplotlib is not installed, or no language was measured yet.
    """
    lines = read_json_lines(output_dir / VALIDATION_NAME)
    names = [name for name in (lines[-1] if lines else ()) if name.startswith(LANGUAGE_SCORE)]
    if not names:
        return None
    names.sort(key=lambda name: lines[-1][name])
    rows = math.ceil(len(names) / _COLUMNS)
    figure = new_figure(1.6 * _COLUMNS, 0.8 + 1.3 * rows)
    if figure is None:
        return None
    panels = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False).flat
    mean = [(line["step"], line["bits_a_byte"]) for line in lines if "bits_a_byte" in line]
    for name, axes in zip(names, panels, strict=False):
        points = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
        axes.plot(*zip(*mean, strict=True), color="0.75")
        axes.plot(*zip(*points, strict=True))
        axes.set_title(name.removeprefix(LANGUAGE_SCORE), fontsize="small", pad=2)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize="x-small")
    for axes in panels:  # those that are left over
        axes.set_visible(False)
    figure.supxlabel("optimiser step", fontsize="small")
    figure.supylabel("held-out bits a byte", fontsize="small")
    path = output_dir / "languages.png"
    save_figure(figure, path, dpi=110)
    return path
