"""What the commands as Python calls return: a finished training, the scores of a model."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unblank.engine.logging import METRICS_NAME, VALIDATION_NAME, read_json_lines
from unblank.engine.results import RESULTS_NAME, read_results
from unblank.html_text import html_table

if TYPE_CHECKING:
    from unblank.api import Unblank
    from unblank.evaluation.results import Score

__all__ = ["ModelScores", "TrainedRun"]


@dataclass(frozen=True)
class TrainedRun:
    """A finished training.

    Attributes:
        folder: of the run: model, tokenizer, metrics.
    """

    folder: Path

    @cached_property
    def model(self) -> "Unblank":
        """The trained model, opened when it is first asked for."""
        from unblank.api import load

        return load(self.folder)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """What was logged, one dict a line of metrics.jsonl."""
        return read_json_lines(self.folder / METRICS_NAME)

    @property
    def validation(self) -> list[dict[str, Any]]:
        """The held-out scores of the run, in the order of steps; none without held-out data."""
        return read_json_lines(self.folder / VALIDATION_NAME)

    @property
    def results(self) -> dict[str, Any]:
        """The scores of the chosen model as results.json holds them; empty if there are none."""
        return read_results(self.folder) if (self.folder / RESULTS_NAME).is_file() else {}

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self._facts().items())
        return f"TrainedRun({str(self.folder)!r}{', ' if facts else ''}{facts})"

    def _repr_html_(self) -> str:
        return html_table(str(self.folder), (), self._facts().items())

    def _facts(self) -> dict[str, Any]:
        lines = self.metrics
        return {name: lines[-1][name] for name in ("step", "loss") if lines and name in lines[-1]}


@dataclass(frozen=True)
class ModelScores:
    """The scores of a model.

    Attributes:
        scores: each with name, value and spread.
        path: JSON file that holds them and every prediction.
    """

    scores: "tuple[Score, ...]"
    path: Path

    def __repr__(self) -> str:
        from unblank.consoles import TextConsole
        from unblank.evaluation.language_tables import scores_table

        console = TextConsole(width=100, color_system=None)
        with console.capture() as captured:
            console.print(scores_table(str(self.path), list(self.scores)))
        return captured.get()

    def _repr_html_(self) -> str:
        rows = [
            (f"{one.task} {one.language}".strip(), one.metric, f"{one.value:.2f}", one.count)
            for one in self.scores
        ]
        return html_table(str(self.path), ("task", "metric", "value", "count"), rows)
