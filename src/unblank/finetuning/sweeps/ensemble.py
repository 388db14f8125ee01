"""Ensembles as in PET: a model of its own for each pattern and seed, probabilities averaged.

Each member is a run in a folder of its own, and is resumed like any other. The average is taken of
the predictions that the members saved; no model is needed for it. PET's last step, which teaches
one classifier by an ensemble's answers to unlabelled text, is not here.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, tensor

from unblank.consoles import TextConsole
from unblank.data.language_files import find_language_files
from unblank.engine.logging import read_json_lines
from unblank.engine.results import chosen_predictions, read_results, write_results
from unblank.finetuning.labels.cloze import Words
from unblank.finetuning.labels.held_out import measured_examples
from unblank.finetuning.labels.scores import evaluation_of
from unblank.finetuning.requirements import WRITING_TASKS
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import FinetuneSettings
from unblank.finetuning.sweeps.score_table import score_table
from unblank.integrity import write_atomically
from unblank.plurals import counted
from unblank.process import LEFT_ALONE, MemoryArrangement, process_count
from unblank.prompting.examples import TaskExample, read_examples
from unblank.prompting.task_files import load_task

__all__ = ["run_ensemble"]

_ENSEMBLE_NAME = "predictions.jsonl"


def run_ensemble(
    settings: FinetuneSettings,
    *,
    given: Collection[str] | None = None,
    memory: MemoryArrangement = LEFT_ALONE,
) -> Path:
    """Run the members, average what they predict, and return the output folder.

    Args:
        settings: the run; it gets a folder for each member, a results.json with the scores of all,
            and the averaged predictions.
        given: as for `run_finetune`.
        memory: what `unblank.process.arrange_memory` returned.

    Raises:
        ValueError: a setting does not fit, or there is nothing to average.
        FileNotFoundError: a file that is named is not there.
    """
    members = _ensemble_members(settings)
    for member in members:
        run_finetune(member, given=given, memory=memory)
    task = load_task(settings.task)
    held_out = read_examples(task, find_language_files(settings.data.validation)).examples
    examples = measured_examples(held_out, settings.train.validation_samples)
    folders = [member.train.output_dir for member in members]
    evaluation = evaluation_of(task, examples, _average_predictions(folders, examples))
    runs = [read_results(folder) for folder in folders]
    results = {
        **{name: runs[0][name] for name in ("task", "method", "metric", "higher_is_better")},
        "scores": evaluation.scores,
        "members": {folder.name: run["scores"] for folder, run in zip(folders, runs, strict=True)},
    }
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in evaluation.predictions)
    write_atomically(settings.train.output_dir / _ENSEMBLE_NAME, lines)
    write_results(settings.train.output_dir, results)
    _show(results, settings.train.output_dir)
    return settings.train.output_dir


def _ensemble_members(settings: FinetuneSettings) -> list[FinetuneSettings]:
    """Return the run of each pattern and seed, in a folder of its own.

    With `--method none` a member starts from the folder of the same name in `model.init_from`, if
    that is an ensemble: so one is measured on other data.

    Raises:
        ValueError: fewer than two members, nothing held out or validated, or not a cloze task.
    """
    is_classifier = settings.method == "classifier" or settings.cloze.classifier
    if settings.task in WRITING_TASKS or is_classifier:
        raise ValueError(
            "cloze.ensemble applies to cloze questions only: a classifier has no patterns"
        )
    if not settings.data.validation:
        raise ValueError("an ensemble averages predictions: give --data.validation FILE")
    if settings.method != "none" and settings.train.validate_every == 0:
        raise ValueError(
            "an ensemble averages the predictions of validations, and train.validate_every is 0: "
            "leave it out, or give a number of steps"
        )
    if process_count() > 1:
        raise ValueError(
            "an ensemble runs in one process: start each pattern with torchrun instead"
        )
    asking = Words.of(settings.cloze, 0).training
    patterns = settings.cloze.patterns or tuple(asking.numbers(load_task(settings.task)))
    pairs = [(p, seed) for p in patterns for seed in settings.train.seeds or (settings.train.seed,)]
    if len(pairs) < 2:
        raise ValueError(
            f"an ensemble needs at least two models, but {settings.task} has one pattern and one "
            "seed: give --cloze.patterns or --train.seeds"
        )
    return [_member(settings, *pair) for pair in pairs]


def _average_predictions(folders: Sequence[Path], examples: Sequence[TaskExample]) -> list[Tensor]:
    """Return the mean of what finished runs give each label of each example.

    Raises:
        ValueError: a run was measured on other examples.
    """
    of_runs = []
    for folder in folders:
        lines = read_json_lines(chosen_predictions(folder))
        if [line["place"] for line in lines] != [example.place for example in examples]:
            raise ValueError(
                f"{folder} was measured on other examples: run it again in an empty folder, or "
                "measure finished models with --method none"
            )
        of_runs.append([tensor(line["probabilities"]) for line in lines])
    return [sum(shares, start=0 * shares[0]) / len(shares) for shares in zip(*of_runs, strict=True)]


def _member(settings: FinetuneSettings, pattern: int, seed: int) -> FinetuneSettings:
    name = f"pattern-{pattern}" + (f"-seed-{seed}" if settings.train.seeds else "")
    start = settings.model.init_from
    if settings.method == "none" and start is not None and (start / name).is_dir():
        start = start / name
    folder = settings.train.output_dir / name
    return replace(
        settings,
        model=replace(settings.model, init_from=start),
        cloze=replace(settings.cloze, ensemble=False, patterns=(pattern,)),
        train=replace(settings.train, output_dir=folder, seed=seed, seeds=()),
    )


def _show(results: dict[str, Any], output_dir: Path) -> None:
    names = list(results["scores"])
    lines = [
        (member, {name: scores[name] for name in names})
        for member, scores in results["members"].items()
    ]
    table = score_table(counted(len(lines), "model"), "", lines)
    table.add_row("averaged", *(f"{results['scores'][name]:.4f}" for name in names))
    console = TextConsole(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        f"done: the averaged predictions are in {output_dir / _ENSEMBLE_NAME}", markup=False
    )
