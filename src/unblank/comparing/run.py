"""A comparison: trains and measures what is missing; plots and writes one table."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblank.atomic_folders import put_into_folder
from unblank.comparing.loss_curves import draw_loss_curves
from unblank.comparing.recipe import ComparedRun, Measurement, Recipe
from unblank.comparing.recipe_files import load_comparison
from unblank.comparing.report import Cell, comparison_json, draw_plot, to_markdown
from unblank.engine.results import RESULTS_NAME, read_results
from unblank.engine.resume import RUN_NAME
from unblank.evaluation.options import LambadaOptions, PerplexityOptions
from unblank.evaluation.results import plain
from unblank.evaluation.run import evaluate, require_suite_packages
from unblank.finetuning.requirements import require_tuning_packages
from unblank.finetuning.run import run_finetune
from unblank.integrity import (
    PROVENANCE_NAME,
    read_record,
    require_sealed_text,
    seal_text,
    write_atomically,
)
from unblank.pretraining.run import run_pretrain
from unblank.process import LEFT_ALONE, MemoryArrangement
from unblank.settings.recipes import to_mapping, to_yaml
from unblank.starting.trained_vocabulary import open_vocabulary_text, train_vocabulary
from unblank.untrusted.yaml_text import read_yaml

__all__ = ["cells", "compare"]


@dataclass(frozen=True, slots=True)
class _Step:
    """Something to do, what to call it, and whether it is done."""

    name: str
    is_done: Callable[[], bool]
    do: Callable[[], object]


def compare(
    path: Path,
    *,
    plan: bool = False,
    variants: Sequence[str] = (),
    seeds: Sequence[int] = (),
    log: Callable[[str], None],
    memory: MemoryArrangement = LEFT_ALONE,
) -> Recipe:
    """Do what is not done yet; the table is written after each model that is ready.

    Args:
        path: the recipe.
        plan: only say what there is to do, and what is done.
        variants: only these; none are all.
        seeds: only these; none are all.
        log: called with a line before each step.
        memory: what `unblank.process.arrange_memory` returned; a library call leaves it alone.

    Raises:
        ValueError: a recipe that does not fit, or results of another recipe in its folder.
        FileNotFoundError: a file that is named is not there.
    """
    recipe = load_comparison(path)
    runs = recipe.runs(variants, seeds)
    if not plan:
        for run in runs:
            _require_packages(recipe, run)
    steps = [] if recipe.model else [_tokenizer_step(recipe)]
    pretrained: set[Path] = set()
    for run in runs:
        if recipe.model is None and run.model_folder not in pretrained:
            pretrained.add(run.model_folder)
            steps.append(_pretrain_step(recipe, run, memory))
        steps += [_measure_step(recipe, run, one, memory) for one in recipe.measured(run)]
    for number, step in enumerate(steps, start=1):
        is_done = step.is_done()
        log(f"[{number}/{len(steps)}] {step.name}: {'done' if is_done else 'to do'}")
        if not plan and not is_done:
            step.do()
            memory.end_steps()
            _report(recipe)
    if not plan:
        _report(recipe)
        for lost in _without_number(recipe):
            log(f"not in the table, as it is not a finite number: {lost}")
    return recipe


def _require_packages(recipe: Recipe, run: ComparedRun) -> None:
    """Raise ImportError for a package that a measurement will want after hours of training."""
    for measurement in recipe.measured(run):
        if measurement.kind == "evaluate":
            require_suite_packages(recipe.evaluation_options(run, measurement))
        else:
            require_tuning_packages(recipe.finetune_settings(run, measurement))


def _tokenizer_step(recipe: Recipe) -> _Step:
    """Return the step that trains the vocabulary, unless the recipe brings one that is there.

    Its settings are written first, so that it is never used by a recipe that asks for another.
    """
    folder, wanted = recipe.tokenizer_folder, recipe.vocabulary_settings()
    settings = folder / "vocabulary.yaml"

    def is_done() -> bool:
        if not (folder / "tokenizer.json").is_file():
            return False
        return not settings.is_file() or _has_settings(settings, to_mapping(wanted))

    def train() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(settings, seal_text(to_yaml(wanted)))
        unit = wanted.text_unit
        with open_vocabulary_text(wanted) as sources:
            texts = [one.texts(text_field=wanted.text_field, text_unit=unit) for one in sources]
            tokenizer = train_vocabulary(wanted, texts)
        with put_into_folder(folder) as staging:
            tokenizer.save_pretrained(staging)

    return _Step("the shared vocabulary", is_done, train)


def _pretrain_step(recipe: Recipe, run: ComparedRun, memory: MemoryArrangement) -> _Step:
    pretrain = recipe.pretrain_settings(run)
    return _Step(
        f"{run.variant.name}, seed {run.seed}: pretrain",
        lambda: _has_settings(run.model_folder / PROVENANCE_NAME, to_mapping(pretrain)),
        lambda: run_pretrain(pretrain, memory=memory),
    )


def _measure_step(
    recipe: Recipe, run: ComparedRun, measurement: Measurement, memory: MemoryArrangement
) -> _Step:
    name = f"{run.variant.name}, seed {run.seed}: {measurement.name}"
    if measurement.kind == "evaluate":
        evaluation = recipe.evaluation_options(run, measurement)

        def measure_anew() -> None:
            if evaluation.output is not None:  # what other settings left in the recipe's folder
                evaluation.output.unlink(missing_ok=True)
            evaluate(evaluation)

        return _Step(
            name,
            lambda: _is_evaluated(evaluation.output, plain(evaluation)),
            measure_anew,
        )
    tuning = recipe.finetune_settings(run, measurement)
    return _Step(
        name,
        lambda: (
            (tuning.train.output_dir / RESULTS_NAME).is_file()
            and _has_settings(tuning.train.output_dir / RUN_NAME, to_mapping(tuning))
        ),
        lambda: run_finetune(tuning, memory=memory),
    )


def _has_settings(path: Path, settings: dict[str, Any]) -> bool:
    """Return whether a run is finished; refuse what other settings have made."""
    if not path.is_file():
        return False
    if path.name == PROVENANCE_NAME:
        try:
            found = read_record(path)["settings"]
        except (ValueError, KeyError) as error:
            raise ValueError(
                f"{path.parent} is damaged ({error}): remove that folder to make it again"
            ) from error
    else:
        require_sealed_text(path, f"remove {path.parent} to make it again")
        found = read_yaml(path)
    if changed := _changed(found, settings):
        raise ValueError(
            f"{path.parent} was made with other settings (changed: {', '.join(changed)}): give the "
            "recipe another output_dir, or remove that folder"
        )
    return True


def _changed(found: dict[str, Any], settings: dict[str, Any], section: str = "") -> list[str]:
    """Return the settings whose values differ; one that an older version did not have is left."""
    changed = []
    for key in settings.keys() & found.keys():
        old, new = found[key], settings[key]
        if isinstance(old, dict) and isinstance(new, dict):
            changed += _changed(old, new, f"{section}{key}.")
        elif old != new:
            changed.append(section + key)
    return sorted(changed)


def _is_evaluated(path: Path | None, settings: dict[str, Any]) -> bool:
    """Return whether all parts were measured with these settings; others are measured again."""
    assert path is not None
    if not path.is_file():
        return False
    content = _evaluation(path)
    found = content["config"]  # an older version also named what the suite did not use
    asked = json.loads(json.dumps(settings))
    same = all(name in found and found[name] == value for name, value in asked.items())
    return bool(same and content["complete"])


def _evaluation(path: Path) -> dict[str, Any]:
    try:
        return read_record(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): remove it to measure again") from error


def cells(recipe: Recipe) -> list[Cell]:
    """Return every number that there is so far."""
    return [
        Cell(measure, run.variant.name, run.seed, value)
        for run, measure, value in _values(recipe)
        if value is not None
    ]


def _without_number(recipe: Recipe) -> list[str]:
    """Return what was measured without a number, as of a model whose training went wrong."""
    return [
        f"{run.variant.name}, seed {run.seed}: {measure}"
        for run, measure, value in _values(recipe)
        if value is None
    ]


def _values(recipe: Recipe) -> Iterator[tuple[ComparedRun, str, float | None]]:
    """Yield what was measured so far; None stands for what is not finite."""
    for run in recipe.runs():
        for measurement in recipe.measured(run):
            values = (
                _evaluated(recipe, run, measurement)
                if measurement.kind == "evaluate"
                else _finetuned(recipe, run, measurement)
            )
            for measure, value in values.items():
                yield run, measure, value


def _evaluated(
    recipe: Recipe, run: ComparedRun, measurement: Measurement
) -> dict[str, float | None]:
    options = recipe.evaluation_options(run, measurement)
    if not _is_evaluated(options.output, plain(options)):
        return {}
    assert options.output is not None
    content = _evaluation(options.output)
    _require_metrics(recipe, measurement, [score["metric"] for score in content["scores"]])
    values = {}
    for score in content["scores"]:
        if measurement.metrics and score["metric"] not in measurement.metrics:
            continue
        task = score["task"]
        if isinstance(options, LambadaOptions | PerplexityOptions):
            task = task.removesuffix(f" ({options.context[0]})")
        # Variants are scored as each was pretrained, and compared with each other.
        task = task.removesuffix(f" ({score['details'].get('way')})")
        label = measurement.name if task == options.suite else f"{measurement.name}: {task}"
        parts = (label, score["metric"], score["language"])
        values[", ".join(part for part in parts if part)] = score["value"]
    return values


def _finetuned(
    recipe: Recipe, run: ComparedRun, measurement: Measurement
) -> dict[str, float | None]:
    folder = recipe.finetune_settings(run, measurement).train.output_dir
    if not (folder / RESULTS_NAME).is_file():
        return {}
    results = read_results(folder)
    _require_metrics(recipe, measurement, list(results["scores"]))
    names = measurement.metrics or (results["metric"],)
    return {f"{measurement.name}, {name}": results["scores"][name] for name in names}


def _require_metrics(recipe: Recipe, measurement: Measurement, known: list[str]) -> None:
    for name in measurement.metrics:
        if name not in known:
            raise ValueError(
                f"{recipe.path}: {measurement.name!r} has no metric {name!r}, only "
                f"{', '.join(dict.fromkeys(known))}: correct it and run again, finished work is "
                "kept"
            )


def _report(recipe: Recipe) -> None:
    """Write the table as it is now, as JSON, markdown and picture."""
    found, first = cells(recipe), recipe.variants[0].name
    recipe.output_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(recipe.output_dir / "table.json", comparison_json(recipe.path, found, first))
    write_atomically(recipe.output_dir / "table.md", to_markdown(found, first))
    draw_plot(found, recipe.output_dir / "table.png")
    folders: dict[str, list[Path]] = {}
    known: set[Path] = set()
    for run in recipe.runs():
        if run.model_folder not in known:  # one curve a model
            known.add(run.model_folder)
            folders.setdefault(run.variant.name, []).append(run.model_folder)
    draw_loss_curves(folders, recipe.output_dir / "losses.png")
