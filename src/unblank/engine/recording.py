"""What a run writes down as it goes, on disk, on the console and to trackers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblank.engine.logging import (
    FILLS_NAME,
    METRICS_NAME,
    SKIPPED_NAME,
    VALIDATION_NAME,
    Display,
    append_line,
    write_lines,
)
from unblank.engine.trackers import Tracker
from unblank.engine.trainer import Trainer
from unblank.engine.training import Evaluation

__all__ = ["PREDICTIONS_NAME", "Recorder", "score_text"]

PREDICTIONS_NAME = "predictions"
"""Folder of the predictions of each validation, inside the folder of the run."""

_OF_A_PART = "_on_"
"""In the names of scores of one source, objective or language."""
_MOST_SHOWN = 16
"""Scores that are shown in a line."""
_SHOWN_PREDICTIONS = 2
_LONGEST_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """The files, the console and the trackers of a run; only the main process has any to write.

    Attributes:
        output_dir: folder of the run.
        display: the console.
        trackers: further places for the numbers.
    """

    output_dir: Path
    display: Display
    trackers: Sequence[Tracker]

    def metrics(self, trainer: Trainer) -> None:
        """Write a line of metrics over the steps since the last one; every process calls this."""
        progress, window = trainer.progress, trainer.take_window()
        if not trainer.world.is_main:
            return
        means, norms, weights = window.means(), window.gradient_norms, trainer.unit.weights
        values: dict[str, Any] = {
            "step": progress.step,
            "loss": sum(weights[name] * mean for name, mean in means.items()) if means else None,
            **({f"loss_{name}": mean for name, mean in means.items()} if len(means) > 1 else {}),
            **window.mean_shares(),
            "learning_rate": trainer.learning_rate(progress.step),
            "gradient_norm": sum(norms) / len(norms) if norms else None,
            "samples": progress.samples,
            "tokens": progress.tokens,
            "packing_efficiency": window.used_positions / window.total_positions,
            "skipped_steps": progress.skipped_steps,
            "tokens_per_second": window.used_positions / window.seconds,
        }
        append_line(self.output_dir / METRICS_NAME, values)
        self._track("train", values, progress.step)
        per_step = window.seconds / window.steps
        self.display.show_metrics(values, per_step * (trainer.max_steps - progress.step))

    def validation(self, line: dict[str, Any], *, is_best: bool) -> None:
        """Write the scores of a validated step.

        Args:
            line: the scores with their `step`.
            is_best: whether no step was better so far.
        """
        append_line(self.output_dir / VALIDATION_NAME, line)
        mark = "  (best so far)" if is_best else ""
        scores = {name: line[name] for name in line if name not in ("step", "epoch")}
        self.display.say(f"step {line['step']}  held out: {score_text(scores)}{mark}")
        self._track("validation", line, line["step"])

    def predictions(self, evaluation: Evaluation, name: str, *, is_shown: bool = True) -> None:
        """Write the predictions of a measurement, if it has any, and show the first."""
        if not evaluation.predictions:
            return
        folder = self.output_dir / PREDICTIONS_NAME
        folder.mkdir(exist_ok=True)
        write_lines(folder / f"{name}.jsonl", evaluation.predictions)
        for line in evaluation.predictions[: _SHOWN_PREDICTIONS * is_shown]:
            for field, value in line.items():
                self.display.say(f"  {field:10}  {_shortened(value)}")

    def fills(self, lines: Sequence[dict[str, str]], step: int) -> None:
        """Write what the model puts into a few held-out blanks."""
        for line in lines:
            append_line(self.output_dir / FILLS_NAME, {"step": step, **line})
            self.display.say(f"  {_around_blank(line['text'])}")
            self.display.say(f"    filled with {line['fill']!r}, original {line['answer']!r}")

    def skipped(self, step: int, sample_numbers: Sequence[int]) -> None:
        """Say which samples had no finite loss, on the console and in `skipped.jsonl`."""
        line = {"step": step, "samples": list(sample_numbers)}
        append_line(self.output_dir / SKIPPED_NAME, line)
        self.display.say(
            f"step {step} skipped: loss or gradient not finite, samples {min(sample_numbers)} to "
            f"{max(sample_numbers)} (all of them in {SKIPPED_NAME})"
        )

    def _track(self, group: str, values: dict[str, Any], step: int) -> None:
        """Send the numbers among `values` to the trackers, named `group/name`."""
        numbers = {
            f"{group}/{name}": value
            for name, value in values.items()
            if name != "step" and value is not None
        }
        for tracker in self.trackers:
            tracker.log(numbers, step)


def score_text(scores: dict[str, float]) -> str:
    """Return scores as one line; of many, those that are of a part alone are counted."""
    shown = {name: value for name, value in scores.items() if _OF_A_PART not in name}
    if len(scores) <= _MOST_SHOWN or not shown:
        shown = scores
    text = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
    num_hidden = len(scores) - len(shown)
    return f"{text}  ({num_hidden} more in {VALIDATION_NAME})" if num_hidden else text


def _shortened(value: object) -> str:
    shown = " | ".join(map(_short, value)) if isinstance(value, list) else _short(value)
    text = " ".join(shown.split())
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _around_blank(text: str) -> str:
    """Return one line of the text around its first blank."""
    before, blank, after = text.partition("[MASK]")
    return " ".join(f"{before[-40:]}{blank}{after[:40]}".split())
