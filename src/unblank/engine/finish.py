"""The end of a fine-tuning run: which weights become the model, and what was measured of them.

The rule: `train.final` names the last, the best or the averaged weights; `better` takes the average
if its score is better than that of the best, and the best otherwise. Without validation the last
weights are taken.
"""

import json
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from unblank.engine.finished import origin, publish_model
from unblank.engine.selection import average_weights
from unblank.engine.state import gather_state, load_weights
from unblank.engine.task import FinetuneTask, TuningMethod
from unblank.engine.trainer import Trainer
from unblank.engine.validation import (
    PREDICTIONS_NAME,
    FinetuneHooks,
    prediction_name,
    score_text,
)
from unblank.finetuning.settings import FinetuneSettings
from unblank.integrity import write_at_once
from unblank.models.ganlm import GanLMForConditionalGeneration, GanLMForPreTraining
from unblank.settings.recipes import to_mapping

__all__ = ["RESULTS_NAME", "chosen_predictions", "finish_run"]

RESULTS_NAME = "results.json"


def finish_run(
    config: FinetuneSettings,
    task: FinetuneTask,
    method: TuningMethod,
    trainer: Trainer,
    hooks: FinetuneHooks,
) -> None:
    """Choose the weights, and put model, results and provenance into the run's folder.

    Args:
        config: the run.
        task: measures an average.
        method: writes the model.
        trainer: at its last step.
        hooks: with the history of the run.
    """
    candidates = _candidates(config, trainer, hooks)
    chosen = _choose(config, hooks, candidates)
    results = {
        "task": config.task,
        "method": config.method,
        "seed": config.train.seed,
        "metric": task.metric,
        "higher_is_better": task.higher_is_better,
        "steps": trainer.progress.step,
        "chosen": chosen,
        "scores": candidates[chosen]["scores"],
        "candidates": candidates,
    }
    if config.method != "none":
        _load(chosen, candidates, trainer, hooks)
        weights, _ = gather_state(hooks.inner.model, trainer.optimizer)
        if trainer.world.is_main:
            _publish(config, task, method, hooks, weights, results)
    if trainer.world.is_main:
        write_at_once(config.train.output_dir / RESULTS_NAME, json.dumps(results, indent=1))
        _say(hooks, results, config)
    trainer.world.wait()


def chosen_predictions(folder: Path) -> Path:
    """Return the file with what the chosen weights of a finished run predicted."""
    results = json.loads((folder / RESULTS_NAME).read_text(encoding="utf-8"))
    chosen = results["chosen"]
    (*_, last) = results["candidates"][chosen]["steps"]
    name = "average" if chosen == "average" else prediction_name(last)
    return folder / PREDICTIONS_NAME / f"{name}.jsonl"


def _candidates(
    config: FinetuneSettings, trainer: Trainer, hooks: FinetuneHooks
) -> dict[str, dict[str, Any]]:
    """Return name -> steps and scores of all weights that may become the model."""
    history, selection = hooks.history, hooks.selection
    if config.method == "none":
        return {"last": {"steps": [0], "scores": _measured(trainer, hooks, prediction_name(0))}}
    last = trainer.progress.step
    by_step = {line["step"]: _scores(line) for line in history}
    candidates = {"last": {"steps": [last], "scores": by_step.get(last, {})}}
    best = selection.best_step(history)
    if best is not None:
        candidates["best"] = {"steps": [best], "scores": by_step[best]}
    averaged = selection.averaged_steps(history)
    if len(averaged) > 1:
        weights: dict[str, Tensor] = {}
        if trainer.world.is_main:
            weights = average_weights([hooks.snapshot(step) for step in averaged])
        load_weights(hooks.inner.model, weights, trainer.world)
        scores = _measured(trainer, hooks, "average")
        candidates["average"] = {"steps": averaged, "scores": scores}
    return candidates


def _measured(trainer: Trainer, hooks: FinetuneHooks, name: str) -> dict[str, float]:
    """Measure the model as it is, keep its predictions under a name, and return the scores."""
    evaluation = hooks.measure(trainer)
    if trainer.world.is_main:
        hooks.keep_predictions(evaluation, name)
    return evaluation.scores


def _scores(line: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in line.items() if name not in ("step", "epoch")}


def _choose(
    config: FinetuneSettings, hooks: FinetuneHooks, candidates: dict[str, dict[str, Any]]
) -> str:
    """Return the name of the weights that become the model."""
    wanted, metric = config.train.final, hooks.selection.metric
    if wanted != "better":
        return wanted if wanted in candidates else "best"
    if "best" not in candidates:
        return "last"
    if "average" not in candidates:
        return "best"
    average, best = (candidates[name]["scores"][metric] for name in ("average", "best"))
    return "average" if hooks.selection.is_better(average, best) else "best"


def _load(
    chosen: str, candidates: dict[str, dict[str, Any]], trainer: Trainer, hooks: FinetuneHooks
) -> None:
    """Put the chosen weights into the model."""
    steps = candidates[chosen]["steps"]
    if steps == [trainer.progress.step] and "average" not in candidates:
        return
    paths = [hooks.snapshot(step) for step in steps]
    weights = average_weights(paths) if trainer.world.is_main else {}
    load_weights(hooks.inner.model, weights, trainer.world)


def _publish(
    config: FinetuneSettings,
    task: FinetuneTask,
    method: TuningMethod,
    hooks: FinetuneHooks,
    weights: dict[str, Tensor],
    results: dict[str, Any],
) -> None:
    model = hooks.inner.model
    if isinstance(model, GanLMForPreTraining) and not config.ganlm.keep_discriminator:
        model, weights = _without_discriminator(model, weights)

    def write_files(folder: Path) -> None:
        method.save(folder, model, weights, task.tokenizer)

    provenance = {
        **origin("finetune"),
        "data": task.content,
        **results,
        "settings": to_mapping(config),
    }
    publish_model(config.train.output_dir, write_files, provenance)


def _without_discriminator(
    model: GanLMForPreTraining, weights: dict[str, Tensor]
) -> tuple[PreTrainedModel, dict[str, Tensor]]:
    """Return what is needed to generate."""
    generator = GanLMForConditionalGeneration(model.config)
    kept = {k: v for k, v in weights.items() if not k.startswith("discriminator.")}
    return generator, kept


def _say(hooks: FinetuneHooks, results: dict[str, Any], config: FinetuneSettings) -> None:
    display = hooks.inner.display
    for name, candidate in results["candidates"].items():
        steps = ", ".join(map(str, candidate["steps"]))
        mark = "  <- the model" if name == results["chosen"] else ""
        display.say(f"{name:8} step {steps}: {score_text(candidate['scores']) or '-'}{mark}")
    if config.method != "none":
        display.say(f"done: the model is in {config.train.output_dir}")
