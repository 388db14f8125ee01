"""The curves of a run as a picture, from its own files; needs the extra `plot`.

The first panel has the loss; where a run logs them, a second one has its parts (by loss, objective
and source) and a third one the shares that its losses measure, such as replaced tokens.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unblank.engine.logging import METRICS_NAME, VALIDATION_NAME, read_json_lines
from unblank.figures import new_figure, save_figure

__all__ = ["draw_losses"]

_OF_A_RUN = frozenset(
    (
        *("step", "loss", "learning_rate", "gradient_norm", "samples", "tokens"),
        *("packing_efficiency", "skipped_steps", "tokens_per_second"),
    )
)
"""Names in a line of metrics that every run has; what else there is, is a loss or a share."""

_Lines = Sequence[Mapping[str, Any]]
_Curve = tuple[str, str, _Lines]
"""What the legend says, the name in the lines, and the lines."""


def draw_losses(output_dir: Path) -> Path | None:
    """Draw `loss.png` in the run's folder and return its path.

    Returns:
        None if matplotlib is not installed, or nothing has been logged yet.
    """
    training = read_json_lines(output_dir / METRICS_NAME)
    panels = _panels(training, read_json_lines(output_dir / VALIDATION_NAME))
    if not any(line["loss"] is not None for line in training):
        return None
    figure = new_figure(8, 1.5 + 3 * len(panels))
    if figure is None:
        return None
    all_axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (label, curves) in zip(all_axes, panels.items(), strict=True):
        for legend, name, lines in curves:
            points = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
            marker = "o" if legend.startswith("held-out") else None
            axes.plot(*zip(*points, strict=True), marker=marker, label=legend)
        axes.set_ylabel(label)
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3)
    all_axes[0].set_title(output_dir.name)
    all_axes[-1].set_xlabel("optimiser step")
    path = output_dir / "loss.png"
    save_figure(figure, path)
    return path


def _panels(training: _Lines, held_out: _Lines) -> dict[str, list[_Curve]]:
    """Return the label of each panel -> its curves, each with a point at least."""
    measured, learned = _names(held_out), _names(training)
    parts: list[_Curve] = [
        (f"{legend} {name.removeprefix('loss_').replace('_', ' ')}", name, lines)
        for legend, names, lines in (
            ("training", learned, training),
            ("held-out", measured, held_out),
        )
        for name in names
        if name.startswith("loss_")
    ]
    shares: list[_Curve] = [
        (name.replace("_", " "), name, training)
        for name in learned
        if name not in _OF_A_RUN and not name.startswith("loss_")
    ]
    whole: list[_Curve] = [("training", "loss", training)]
    legends = {"loss": "held-out", "ema_loss": "held-out, moving average"}
    whole += [(legend, name, held_out) for name, legend in legends.items() if name in measured]
    panels = {"loss per scored token (nats)": whole, "parts of the loss": parts, "shares": shares}
    return {label: curves for label, curves in panels.items() if curves}


def _names(lines: _Lines) -> list[str]:
    """Return the names that have a number in some line, in their order."""
    return list(dict.fromkeys(key for line in lines for key in line if line[key] is not None))
