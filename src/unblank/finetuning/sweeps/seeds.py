"""Several seeds: one run each, then mean and standard deviation of their scores."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from unblank.consoles import TextConsole
from unblank.finetuning.settings import FinetuneSettings
from unblank.finetuning.sweeps.score_table import score_table
from unblank.plurals import counted

__all__ = ["seed_settings", "show_summary", "summarise"]


def seed_settings(settings: FinetuneSettings, seed: int) -> FinetuneSettings:
    """Return the run of one seed, in a folder of its own."""
    folder = settings.train.output_dir / f"seed-{seed}"
    return replace(settings, train=replace(settings.train, output_dir=folder, seed=seed, seeds=()))


def summarise(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the scores of all seeds, their means and sample standard deviations.

    Args:
        results: the `results.json` of each seed; at least one.
    """
    names = list(results[0]["scores"])
    by_name = {name: [result["scores"][name] for result in results] for name in names}
    return {
        "metric": results[0]["metric"],
        "seeds": [
            {name: result[name] for name in ("seed", "chosen", "steps", "scores")}
            for result in results
        ],
        "mean": {name: mean(values) for name, values in by_name.items()},
        "standard_deviation": {
            name: stdev(values) if len(values) > 1 else None for name, values in by_name.items()
        },
    }


def show_summary(summary: dict[str, Any], output_dir: Path) -> None:
    """Print the scores of all seeds as a table."""
    names = list(summary["mean"])
    lines = [
        (str(line["seed"]), {name: line["scores"][name] for name in names})
        for line in summary["seeds"]
    ]
    table = score_table(counted(len(lines), "seed"), "seed", lines)
    table.add_row("mean", *(f"{summary['mean'][name]:.4f}" for name in names))
    deviations = (summary["standard_deviation"][name] for name in names)
    table.add_row("std", *("-" if value is None else f"{value:.4f}" for value in deviations))
    console = TextConsole(highlight=False)
    console.print(table)
    console.print(f"done: a model for each seed is in {output_dir}", markup=False)
