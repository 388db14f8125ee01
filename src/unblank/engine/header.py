"""The header of a run: device, model, length, and what is written where."""

from datetime import UTC, datetime

import torch

from unblank.engine.hooks import Periods, RunHooks
from unblank.engine.resume import ResumePoint
from unblank.engine.run_spec import RunSpec
from unblank.engine.settings import TrainSettings
from unblank.engine.trainer import Trainer
from unblank.engine.training import Training
from unblank.plurals import counted
from unblank.process import MemoryArrangement
from unblank.wait_policy import describe_wait_policy

__all__ = ["header_facts"]


def header_facts(
    spec: RunSpec,
    training: Training,
    trainer: Trainer,
    hooks: RunHooks,
    point: ResumePoint | None,
    arithmetic: str,
    memory: MemoryArrangement,
) -> dict[str, str]:
    """Return the lines of the header by their names.

    Args:
        spec: the run.
        training: what is learned.
        trainer: before its first step.
        hooks: around its steps.
        point: the checkpoint that is continued; None for a new run.
        arithmetic: the precision, and why it was chosen.
        memory: how memory is allocated.
    """
    train, world = spec.settings.train, trainer.world
    processes = f", {world.size} processes ({train.parallel})" if world.size > 1 else ""
    threads = torch.get_num_threads()
    model = hooks.saver.model
    total = sum(one.numel() for one in model.parameters())
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    of_all = f" of {total:,}" if trained < total else ""
    start = f"step {trainer.progress.step}" if trainer.progress.step else spec.start
    every = hooks.periods.validate
    validated = "no validation during training"
    if every:
        is_inside = every < trainer.max_steps
        validated = f"validated every {every:,}" if is_inside else "validated at the end"
    rate = f"{spec.learning_rate:g}{spec.learning_rate_note}"
    weights = _kept_weights(spec)
    facts = dict(training.facts)
    estimate = facts.pop("memory", None)
    threads_of_each = f"{counted(threads, 'thread')}{describe_wait_policy()}"
    return {
        "device": f"{world.device}{processes}, {threads_of_each}",
        "precision": arithmetic,
        "memory": f"{estimate}; {memory.description}" if estimate else memory.description,
        "model": f"{trained:,}{of_all} parameters, from {start}",
        **facts,
        "learning rate": rate if spec.is_training else "none: evaluation only",
        "steps": f"{trainer.max_steps:,}{spec.steps_note} (seed {train.seed}), {validated}",
        **({"the model": weights} if weights and spec.is_training else {}),
        "writes to": str(spec.dry_run.output_dir if spec.dry_run else train.output_dir),
        **({"checkpoints": _checkpoints(train, hooks.periods, point)} if spec.is_training else {}),
    }


def _kept_weights(spec: RunSpec) -> str:
    """Say which weights become the model, if that is not the last ones in any case."""
    train = spec.settings.train
    names = {"best": "the best weights"}
    if train.ema_decay is not None:
        names["ema"] = f"ema, decay {train.ema_decay:g}"
    if spec.average_last:
        names["average"] = f"average of the last {spec.average_last}"
    averages = [name for final, name in names.items() if final != "best"]
    if spec.final in (None, "last") or (spec.final == "better" and not averages):
        return ""
    if spec.final == "better":
        return f"the best of: single weights; {'; '.join(averages)}"
    return names[spec.final]


def _checkpoints(train: TrainSettings, periods: Periods, point: ResumePoint | None) -> str:
    """Say how often they are made, and when the last one was."""
    every = f"every {counted(periods.save, 'step')}"
    if train.save_minutes is not None:
        every += f" and every {train.save_minutes:g} minute{'s' * (train.save_minutes != 1)}"
    if point is None:
        return f"{every}; none yet"
    made = point.saved_at.astimezone()
    hours, minutes = divmod(max(int((datetime.now(UTC) - made).total_seconds()), 0) // 60, 60)
    return f"{every}; the last one was made {made:%Y-%m-%d %H:%M} ({hours}:{minutes:02} hours ago)"
