"""The end of a run: which weights become the model, and what was measured of them.

The rule: the last weights without a selection; else `final` names the last, the best or averaged
ones, where `better` takes an average if its score is better than that of the best, and the best
otherwise. Without any validation the moving average is taken if there is one, else the last.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from unblank.engine.checkpoint import step_name
from unblank.engine.finished import origin, published_model
from unblank.engine.logging import METRICS_NAME, VALIDATION_NAME, read_json_lines
from unblank.engine.recording import PREDICTIONS_NAME, score_text
from unblank.engine.results import write_results
from unblank.engine.saving import require_finite_state
from unblank.engine.selection import Selection, average_weights
from unblank.engine.shared_folders import folder_for_all
from unblank.engine.state import named_weights, put_weights
from unblank.engine.trainer import Trainer
from unblank.engine.validation import Validation, scores_of_line
from unblank.extras import install_command, is_installed
from unblank.integrity import find_damage

__all__ = ["finish_run"]

_Candidates = dict[str, dict[str, Any]]
"""Name of the weights that may become the model -> their `steps` and `scores`."""


def finish_run(
    trainer: Trainer,
    validation: Validation,
    *,
    command: str,
    final: str | None,
    settings: Mapping[str, Any],
    results: Mapping[str, Any],
) -> None:
    """Choose the weights, and put model, results and provenance into the run's folder.

    Args:
        trainer: at its last step; of 0 steps nothing was trained, and no model is written.
        validation: with the history of the run.
        command: for the provenance.
        final: which weights become the model; None takes the last, and writes no results.
        settings: of the run, for the provenance.
        results: what the run's results say beside scores.
    """
    output_dir, display = validation.saver.output_dir, validation.recorder.display
    validation.saver.settle()
    is_training = trainer.max_steps > 0
    found: dict[str, Any] = {}
    if final is not None and validation.selection is not None:
        candidates = _candidates(trainer, validation, validation.selection, is_training)
        chosen = _choose(final, validation.selection, candidates)
        if is_training:
            _load(candidates, chosen, trainer, validation)
        found = _results(results, trainer, validation.selection, candidates, chosen)
    if is_training:
        _publish(trainer, validation, command, settings, found)
    if trainer.world.is_main:
        if found:
            write_results(output_dir, found, _predictions(output_dir, found))
            _say_candidates(validation, found)
        if is_training:
            display.say(f"done: the model is in {output_dir}")
            display.say(_about_curves(output_dir))
            display.say(f"what to do with it: unblank info {quote(str(output_dir))}")
    trainer.world.wait()


def _about_curves(output_dir: Path) -> str:
    if is_installed("matplotlib"):
        return f"its losses: {output_dir / 'loss.png'}"
    return f"loss.png was not drawn; to draw it: {install_command('matplotlib')}"


def _predictions(output_dir: Path, results: Mapping[str, Any]) -> Path:
    """Return the file with what the chosen weights predicted; not every run has one."""
    chosen = results["chosen"]
    (*_, last) = results["candidates"][chosen]["steps"]
    name = chosen if chosen in ("average", "ema") else step_name(last)
    return output_dir / PREDICTIONS_NAME / f"{name}.jsonl"


def _candidates(
    trainer: Trainer, validation: Validation, selection: Selection, is_training: bool
) -> _Candidates:
    """Return all weights that may become the model, an average measured."""
    history = validation.history
    if not is_training:
        scores = _measured(trainer, validation, step_name(0))
        return {"last": {"steps": [0], "scores": scores}}
    last = trainer.progress.step
    by_step = {line["step"]: scores_of_line(line) for line in history}
    candidates = {"last": {"steps": [last], "scores": by_step.get(last, {})}}
    best = selection.best_step(history)
    if best is not None:
        candidates["best"] = {"steps": [best], "scores": by_step[best]}
    averaged = selection.averaged_steps(history)
    if len(averaged) > 1:
        put_weights(validation.saver.model, average_weights(_snapshots(validation, averaged)))
        scores = _measured(trainer, validation, "average")
        candidates["average"] = {"steps": averaged, "scores": scores}
    if trainer.average is not None:
        measured = history[-1] if history and history[-1]["step"] == last else {}
        scores = scores_of_line(measured, of_average=True)
        candidates["ema"] = {"steps": [last], "scores": scores}
    return candidates


def _measured(trainer: Trainer, validation: Validation, name: str) -> dict[str, float]:
    """Measure the model as it is, keep its predictions under a name, and return the scores."""
    evaluation = validation.measure(trainer)
    if trainer.world.is_main:
        validation.recorder.predictions(evaluation, name)
    return evaluation.scores


def _choose(final: str, selection: Selection, candidates: _Candidates) -> str:
    """Return the name of the weights that become the model."""
    if final != "better":
        return final if final in candidates else "best"
    if "best" not in candidates:
        return "ema" if "ema" in candidates else "last"
    chosen = "best"
    for name in ("average", "ema"):
        score = candidates.get(name, {}).get("scores", {}).get(selection.metric)
        if score is not None and selection.is_better(
            score, candidates[chosen]["scores"][selection.metric]
        ):
            chosen = name
    return chosen


def _load(candidates: _Candidates, chosen: str, trainer: Trainer, validation: Validation) -> None:
    """Put the chosen weights into the model."""
    if chosen == "ema":
        assert trainer.average is not None
        trainer.average.put_into_model()
        return
    steps = candidates[chosen]["steps"]
    if steps == [trainer.progress.step] and "average" not in candidates:
        return
    put_weights(validation.saver.model, average_weights(_snapshots(validation, steps)))


def _snapshots(validation: Validation, steps: Sequence[int]) -> list[Path]:
    """Return the folders with the weights of validated steps, as they were written."""
    paths = [validation.snapshot(step) for step in steps]
    for path in paths:
        if damage := find_damage(path):
            raise ValueError(
                f"{path} is damaged ({damage}): restore it from a copy, or take the last "
                "weights with --train.final last"
            )
    return paths


def _results(
    results: Mapping[str, Any],
    trainer: Trainer,
    selection: Selection,
    candidates: _Candidates,
    chosen: str,
) -> dict[str, Any]:
    return {
        **results,
        "seed": trainer.seed,
        "metric": selection.metric,
        "higher_is_better": selection.higher_is_better,
        "steps": trainer.progress.step,
        "chosen": chosen,
        "scores": candidates[chosen]["scores"],
        "candidates": candidates,
    }


def _publish(
    trainer: Trainer,
    validation: Validation,
    command: str,
    settings: Mapping[str, Any],
    results: Mapping[str, Any],
) -> None:
    saver, progress = validation.saver, trainer.progress
    require_finite_state(named_weights(saver.model), trainer)
    provenance = {
        **origin(command),
        "data": saver.content,
        "steps": progress.step,
        "samples": progress.samples,
        "tokens": progress.tokens,
        "skipped_steps": progress.skipped_steps,
        "loss": _last_loss(saver.output_dir / METRICS_NAME),
        "validation_loss": (
            results["scores"].get("loss")
            if results
            else _last_loss(saver.output_dir / VALIDATION_NAME)
        ),
        **results,
        "settings": settings,
    }
    world = trainer.world
    with folder_for_all(world, published_model(saver.output_dir, provenance)) as folder:
        saver.write_model(folder, world)


def _last_loss(path: Path) -> float | None:
    lines = read_json_lines(path)
    return lines[-1].get("loss") if lines else None


def _say_candidates(validation: Validation, results: Mapping[str, Any]) -> None:
    for name, candidate in results["candidates"].items():
        steps = ", ".join(map(str, candidate["steps"]))
        mark = "  <- the model" if name == results["chosen"] else ""
        validation.recorder.display.say(
            f"{name:8} step {steps}: {score_text(candidate['scores']) or '-'}{mark}"
        )
