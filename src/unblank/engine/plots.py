"""The loss curve of a run as a picture, from its own files; needs the extra `plot`."""

from io import BytesIO
from pathlib import Path

from unblank.engine.logging import METRICS_NAME, VALIDATION_NAME, read_json_lines
from unblank.integrity import write_at_once

__all__ = ["draw_losses"]


def draw_losses(output_dir: Path) -> Path | None:
    """Draw `loss.png` in the run's folder and return its path.

    Returns:
        None if matplotlib is not installed, or nothing has been logged yet.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    training = [
        line for line in read_json_lines(output_dir / METRICS_NAME) if line["loss"] is not None
    ]
    held_out = [line for line in read_json_lines(output_dir / VALIDATION_NAME) if "loss" in line]
    if not training:
        return None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(
        xlabel="optimiser step", ylabel="loss per scored token (nats)", title=output_dir.name
    )
    axes.plot([line["step"] for line in training], [line["loss"] for line in training])
    if held_out:
        axes.plot(
            [line["step"] for line in held_out], [line["loss"] for line in held_out], marker="o"
        )
    axes.legend(["training", "held-out"][: 1 + bool(held_out)])
    axes.grid(alpha=0.3)
    path = output_dir / "loss.png"
    picture = BytesIO()
    figure.savefig(picture, dpi=120)
    write_at_once(path, picture.getvalue())
    return path
