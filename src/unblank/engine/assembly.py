"""A run put together: the trainer, and the hooks around its steps."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial

from torch import nn
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel

from unblank.data.loader import DataState, StepBatches
from unblank.engine.averages import MovingAverage
from unblank.engine.hooks import Periods, RunHooks
from unblank.engine.logging import (
    VALIDATION_NAME,
    Display,
    read_json_lines,
)
from unblank.engine.optimizers import build_optimizers
from unblank.engine.parallel import World
from unblank.engine.precision import Precision
from unblank.engine.progress import Progress
from unblank.engine.recording import Recorder
from unblank.engine.resume import ResumePoint
from unblank.engine.run_spec import RunSpec, identity_at_step, identity_of
from unblank.engine.saving import Saver
from unblank.engine.schedules import learning_rate_multiplier, stable_steps
from unblank.engine.selection import Selection
from unblank.engine.settings import DECAY_RATIO, OptimSettings
from unblank.engine.sharded_saving import ShardedSaving
from unblank.engine.state import fill_from, load_optimizers
from unblank.engine.trackers import open_trackers
from unblank.engine.trainer import Trainer, TrainerHooks
from unblank.engine.training import Training
from unblank.engine.unplanned import Unplanned
from unblank.engine.validation import Validation
from unblank.integrity import CHECKPOINTS_NAME
from unblank.settings.recipes import to_mapping

__all__ = ["TrainerParts", "assemble", "new_trainer"]

_PERIODS_OF_A_SHORT_RUN = 5


@dataclass(frozen=True, slots=True)
class TrainerParts:
    """What a trainer is made of.

    Attributes:
        training: what is learned.
        model: the bare model, on its device.
        module: what the trainer calls, perhaps replicated or sharded.
        world: the processes of the run.
        precision: the arithmetic.
    """

    training: Training
    model: PreTrainedModel
    module: nn.Module
    world: World
    precision: Precision


def new_trainer(
    spec: RunSpec,
    parts: TrainerParts,
    steps: Iterator[StepBatches],
    hooks: TrainerHooks,
    progress: Progress,
    *,
    max_steps: int,
) -> Trainer:
    """Return a trainer with new optimisers.

    Args:
        spec: the run.
        parts: of the trainer.
        steps: the batches of each step.
        hooks: called after every step.
        progress: of the run so far.
        max_steps: number of the last step.
    """
    train, optim, precision = spec.settings.train, spec.settings.optim, parts.precision
    return Trainer(
        module=parts.module,
        unit=parts.training.unit,
        optimizers=build_optimizers(parts.model, optim, spec.learning_rate, precision.dtype),
        learning_rate=partial(_learning_rate, optim, spec.learning_rate, max_steps),
        steps=steps,
        world=parts.world,
        precision=precision,
        seed=train.seed,
        max_steps=max_steps,
        clip_norm=optim.clip_norm,
        max_nonfinite_steps=train.max_nonfinite_steps,
        hooks=hooks,
        progress=progress,
        data_state=DataState(),
    )


def assemble(
    spec: RunSpec, parts: TrainerParts, point: ResumePoint | None, stack: ExitStack
) -> tuple[Trainer, RunHooks]:
    """Return the trainer and the hooks around its steps, in the state that a checkpoint has saved.

    Args:
        spec: the run.
        parts: of the trainer.
        point: the checkpoint that is continued; None for a new run.
        stack: closes at the end of the run what is opened here.
    """
    train, optim = spec.settings.train, spec.settings.optim
    training, model, world, precision = parts.training, parts.model, parts.world, parts.precision
    max_steps = _max_steps(spec, training)
    folder = point.folder if point else None
    progress = Progress.from_json(point.trainer["progress"]) if point else Progress()
    saved = point.trainer["data_state"] if point else None
    compared = identity_of(spec, spec.settings, folder, 0, precision.name, world.size)
    shards = None
    if isinstance(model, FSDPModule):
        shards = ShardedSaving(train.output_dir / CHECKPOINTS_NAME, world)
        stack.callback(shards.close)
    saver = Saver(
        output_dir=train.output_dir,
        keep=train.keep_checkpoints,
        model=model,
        tokenizer=training.tokenizer,
        method=spec.method,
        content=training.content,
        # Now, as the checkpoint that is continued may be gone when the next ones are written.
        compared=lambda step: {**compared, **identity_at_step(spec.settings, step)},
        kept_step=stable_steps(optim, max_steps),
        shards=shards,
    )
    steps = stack.enter_context(closing(training.steps(saved))) if max_steps else iter(())
    hooks = _hooks(spec, training, saver, world, max_steps, point, stack)
    trainer = new_trainer(spec, parts, steps, hooks, progress, max_steps=max_steps)
    if train.ema_decay is not None:
        trainer.average = MovingAverage(model, train.ema_decay)
    if point is not None:
        if trainer.average is not None:
            fill_from(point.folder, "average", trainer.average.weights)
        load_optimizers(point.folder, model, trainer.optimizers)
    return trainer, hooks


def _hooks(
    spec: RunSpec,
    training: Training,
    saver: Saver,
    world: World,
    max_steps: int,
    point: ResumePoint | None,
    stack: ExitStack,
) -> RunHooks:
    train = spec.settings.train
    step = Progress.from_json(point.trainer["progress"]).step if point is not None else 0
    validated = step - (point is not None and point.owes_validation)
    trackers = open_trackers(
        train.track if world.is_main else (),
        train.output_dir,
        to_mapping(spec.settings),
        step + 1,
    )
    recorder = Recorder(
        output_dir=train.output_dir,
        display=Display(total_steps=max_steps, is_main=world.is_main),
        trackers=stack.enter_context(trackers),
    )
    selection = None
    if spec.final is not None:
        selection = Selection(
            training.metric, training.higher_is_better, spec.patience, spec.average_last
        )
    lines = read_json_lines(train.output_dir / VALIDATION_NAME) if step else []
    validation = Validation(
        training=training,
        selection=selection,
        history=[line for line in lines if line["step"] <= validated],
        recorder=recorder,
        saver=saver,
    )
    usual = _usual_period(spec, training, max_steps)
    validate = _validate_every(spec, usual)
    periods = Periods(
        log=train.log_every,
        validate=validate,
        fill=spec.fill_every,
        save=train.save_every or (validate if spec.most_usual_period is None else 0) or usual,
        last=max(max_steps, 1),
    )
    return RunHooks(
        periods=periods,
        training=training,
        recorder=recorder,
        validation=validation,
        saver=saver,
        unplanned=Unplanned(save_minutes=train.save_minutes),
    )


def _max_steps(spec: RunSpec, training: Training) -> int:
    if not spec.is_training:
        return 0
    in_epochs = max(1, math.ceil(spec.epochs * training.steps_per_epoch))
    return spec.settings.train.max_steps or in_epochs


def _validate_every(spec: RunSpec, usual: int) -> int:
    if not spec.is_validated or not spec.is_training:
        return 0
    every = spec.settings.train.validate_every
    return usual if every is None else every


def _usual_period(spec: RunSpec, training: Training, max_steps: int) -> int:
    """Return the steps between two validations, or two checkpoints, where nothing is said."""
    if spec.most_usual_period is None:
        return max(training.steps_per_epoch, 1)
    return max(min(spec.most_usual_period, max_steps // _PERIODS_OF_A_SHORT_RUN), 1)


def _learning_rate(optim: OptimSettings, peak: float, max_steps: int, update: int) -> float:
    return peak * learning_rate_multiplier(
        update,
        schedule=optim.schedule,
        warmup_steps=optim.warmup(max_steps),
        decay_steps=optim.decay_steps or max(max_steps, 1),
        floor=optim.min_learning_rate_ratio,
        decay_ratio=optim.decay_ratio or DECAY_RATIO,
    )
