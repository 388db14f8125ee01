"""`results.json` of a run: what was measured of it, for people, sweeps and comparisons.

It has a checksum of its own, as its scores choose the best run of a grid or go into a table.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unblank.engine.checkpoint import step_name
from unblank.integrity import digest_damage, file_facts, read_record, seal, write_atomically

__all__ = ["RESULTS_NAME", "chosen_predictions", "read_results", "write_results"]

RESULTS_NAME = "results.json"
_PREDICTIONS = "predictions_of_the_chosen"
"""Key under which results have name, size and hash of the file of predictions."""
_ADVICE = (
    "restore it from a copy, or remove that folder and run the same command again to make it anew"
)


def write_results(
    folder: Path, results: Mapping[str, Any], predictions: Path | None = None
) -> None:
    """Write the results of a run or of several.

    Args:
        folder: of the run.
        results: what JSON can hold.
        predictions: file in the folder with what the chosen weights predicted, if there is one.
    """
    facts = {}
    if predictions is not None and predictions.is_file():
        name = predictions.relative_to(folder).as_posix()
        facts[_PREDICTIONS] = {"name": name, **file_facts(predictions)}
    write_atomically(folder / RESULTS_NAME, seal({**results, **facts}))


def read_results(folder: Path) -> dict[str, Any]:
    """Return the results in a folder; those of older versions have no checksum.

    Raises:
        ValueError: they are damaged.
        FileNotFoundError: there are none.
    """
    path = folder / RESULTS_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {RESULTS_NAME}: finish its run first")
    try:
        return read_record(path)
    except ValueError as error:
        raise ValueError(f"{folder} is damaged: {error}; {_ADVICE}") from error


def chosen_predictions(folder: Path) -> Path:
    """Return the file with what the chosen weights of a finished run predicted.

    Raises:
        ValueError: it, or the results, are damaged.
        FileNotFoundError: it is not there, or there are no results.
    """
    results = read_results(folder)
    facts = results.get(_PREDICTIONS)
    if facts is None:  # older versions did not record it
        steps = results["candidates"][results["chosen"]]["steps"]
        average = results["chosen"] == "average"
        name = "average" if average else step_name(steps[-1])
        return folder / "predictions" / f"{name}.jsonl"
    path: Path = folder / facts["name"]
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {_ADVICE}")
    if damage := digest_damage(path, facts):
        raise ValueError(f"{path} is damaged ({damage}): {_ADVICE}")
    return path
