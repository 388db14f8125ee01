"""A grid of settings: one run for each combination, then the best by the task's score."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import product
from operator import attrgetter
from pathlib import Path

from rich.table import Table

from unblank.consoles import TextConsole
from unblank.engine.results import read_results, write_results
from unblank.finetuning.labels.settings import GridSettings
from unblank.finetuning.requirements import require_possible_method
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import FinetuneSettings
from unblank.finetuning.sweeps.ensemble import run_ensemble
from unblank.finetuning.sweeps.seeds import seed_settings
from unblank.process import LEFT_ALONE, MemoryArrangement, process_count

__all__ = ["run_finetune_command"]


@dataclass(frozen=True, slots=True)
class _Point:
    """A finished run of the grid."""

    settings: FinetuneSettings
    metric: str
    higher_is_better: bool
    scores: dict[str, float]

    @property
    def badness(self) -> float:
        """The score that chooses, turned so that less is better."""
        score = self.scores[self.metric]
        return -score if self.higher_is_better else score


def run_finetune_command(
    settings: FinetuneSettings,
    *,
    given: Collection[str] | None = None,
    memory: MemoryArrangement = LEFT_ALONE,
) -> Path:
    """Fine-tune, once or for every combination of `settings.grid`, and return the output folder.

    Args:
        settings: the run; with a grid, OUTPUT_DIR gets a folder for each combination and a
            results.json that names the best.
        given: as for `run_finetune`.
        memory: what `unblank.process.arrange_memory` returned.

    Raises:
        ValueError: a setting does not fit; or a grid without held-out examples.
        FileNotFoundError: a file that is named is not there.
    """
    if settings.grid == GridSettings():
        return _run(settings, given, memory)
    if not settings.data.is_validated:
        raise ValueError("a grid needs held-out examples to choose by: give --data.validation FILE")
    if process_count() > 1:
        raise ValueError("a grid runs in one process: start each combination with torchrun instead")
    require_possible_method(settings, given)
    points = []
    for one in _grid_settings(settings):
        _run(one, given, memory)
        points.append(_finished(one))
    best = min(points, key=attrgetter("badness"))
    _write(settings, points, best)
    _show(points, best)
    return settings.train.output_dir


def _grid_settings(settings: FinetuneSettings) -> list[FinetuneSettings]:
    """Return the run of every combination, each in a folder of its own."""
    rates = settings.grid.learning_rates or (settings.learning_rate,)
    sizes = settings.grid.batch_sizes or (settings.train.batch_size,)
    return [
        replace(
            settings,
            grid=GridSettings(),
            optim=replace(settings.optim, learning_rate=rate),
            train=replace(
                settings.train,
                batch_size=size,
                output_dir=settings.train.output_dir / f"rate-{rate:g}-batch-{size}",
            ),
        )
        for rate, size in product(rates, sizes)
    ]


def _run(
    settings: FinetuneSettings, given: Collection[str] | None, memory: MemoryArrangement
) -> Path:
    start = run_ensemble if settings.cloze.ensemble else run_finetune
    return start(settings, given=given, memory=memory)


def _finished(settings: FinetuneSettings) -> _Point:
    results = first = read_results(settings.train.output_dir)
    if "scores" not in results:  # of several seeds, whose summary has means
        first = read_results(seed_settings(settings, settings.train.seeds[0]).train.output_dir)
    scores = results.get("mean") or results["scores"]
    return _Point(settings, first["metric"], first["higher_is_better"], scores)


def _write(settings: FinetuneSettings, points: list[_Point], best: _Point) -> None:
    lines = [
        {
            "learning_rate": point.settings.learning_rate,
            "batch_size": point.settings.train.batch_size,
            "folder": point.settings.train.output_dir.name,
            "scores": point.scores,
        }
        for point in points
    ]
    results = {"metric": best.metric, "best": best.settings.train.output_dir.name, "runs": lines}
    write_results(settings.train.output_dir, results)


def _show(points: list[_Point], best: _Point) -> None:
    table = Table(title=f"{len(points)} combinations, by {best.metric}", title_justify="left")
    table.add_column("learning rate", justify="right")
    table.add_column("batch", justify="right")
    for name in best.scores:
        table.add_column(name, justify="right")
    table.add_column("")
    for point in points:
        settings = point.settings
        scores = [f"{point.scores[name]:.4f}" for name in best.scores]
        mark = "best" if point is best else ""
        table.add_row(f"{settings.learning_rate:g}", str(settings.train.batch_size), *scores, mark)
    console = TextConsole(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"done: the best model is in {best.settings.train.output_dir}", markup=False)
