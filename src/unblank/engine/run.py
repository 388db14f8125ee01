"""The one run, for pretraining and all fine-tuning: open the folder, resume or begin, loop, finish.

It puts the parts together and has no idea of its own: what is learned is a `Training`, which
weights change is a `TuningMethod`, the loop is `trainer`, what surrounds a step is `hooks`, and
which weights become the model is `finish`.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from rich.table import Table
from torch import nn
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel

from unblank.data.loader import DataState, StepBatches
from unblank.engine.averages import MovingAverage
from unblank.engine.checkpoint import remove_unfinished
from unblank.engine.dry_run import DryRun, measure_first_steps, plan_run
from unblank.engine.finish import finish_run
from unblank.engine.first_steps import NoHooks
from unblank.engine.folder_lock import lock_folder
from unblank.engine.hooks import Periods, RunHooks
from unblank.engine.logging import (
    VALIDATION_NAME,
    Display,
    read_json_lines,
)
from unblank.engine.memory_plan import ProcessLayout
from unblank.engine.minutes import fit_steps, with_recorded_steps, with_steps
from unblank.engine.optimizers import build_optimizers, layer_matrices
from unblank.engine.parallel import World
from unblank.engine.parameters import count_parameters
from unblank.engine.placed_model import place_model
from unblank.engine.precision import Precision, choose_precision
from unblank.engine.progress import Progress
from unblank.engine.recording import Recorder
from unblank.engine.resume import RUN_NAME, Identity, ResumePoint, find_start, require_same_text
from unblank.engine.saving import Saver
from unblank.engine.schedules import learning_rate_multiplier, stable_steps, wsd_identity
from unblank.engine.selection import Selection
from unblank.engine.settings import DECAY_RATIO, OptimSettings, TrainSettings
from unblank.engine.sharded_saving import ShardedSaving
from unblank.engine.state import fill_from, load_optimizers
from unblank.engine.trackers import open_trackers, require_trackers
from unblank.engine.trainer import Trainer, TrainerHooks
from unblank.engine.training import RunContext, Training, TrainingOpener, TuningMethod
from unblank.engine.units import TrainUnit
from unblank.engine.unplanned import Unplanned
from unblank.engine.validation import SNAPSHOTS_NAME, Validation
from unblank.engine.written_lines import cut_lines
from unblank.integrity import CHECKPOINTS_NAME, seal_text, write_at_once
from unblank.interruption import finish_first
from unblank.models.products import fast_fp32_products
from unblank.plurals import counted
from unblank.process import LEFT_ALONE, MemoryArrangement
from unblank.settings.identity import compared_settings, earlier_settings, layout_settings
from unblank.settings.recipes import read_settings, to_mapping, to_yaml
from unblank.waiting_threads import describe_waiting

__all__ = ["Run", "run"]

_PERIODS_OF_A_SHORT_RUN = 5


class RunSettings(Protocol):
    """What the engine reads of the settings of a whole run, a dataclass of sections."""

    @property
    def optim(self) -> OptimSettings:
        """The optimiser."""
        ...

    @property
    def train(self) -> TrainSettings:
        """Length, hardware, and what is written when."""
        ...


_Settings = TypeVar("_Settings", bound=RunSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Generic[_Settings]):
    """Everything that the engine is told of one run.

    Attributes:
        command: for the header and the provenance, such as `pretrain`.
        settings: whole, as they are written to `run.yaml`.
        open_training: opens what is learned.
        method: which weights change.
        start: where the first weights come from, for the header.
        effective: settings, checkpoint or None, number of processes -> the settings that stand for
            others, by dotted name, when two starts are compared.
        learning_rate: the peak.
        learning_rate_note: where it comes from, for the header.
        steps_note: where their number comes from, for the header.
        is_training: whether weights change; else the model is only measured.
        is_validated: whether there is something held out.
        epochs: passes over the examples, where `train.max_steps` is not given.
        most_usual_period: steps between two validations, and between two checkpoints, where the
            settings do not say; a fifth of a shorter run. None for an epoch, and for checkpoints
            where there are validations.
        fill_every: steps between two rounds of fills.
        patience: validations without a better one after which the run stops; None for never.
        average_last: how many of the last validated weights are averaged.
        final: which weights become the model; None for the last ones, and no others are kept.
        results: what `results.json` says of the run beside scores.
        dry_run: what the run stands for if only its first steps are done, and nothing is kept.
    """

    command: str
    settings: _Settings
    open_training: TrainingOpener
    method: TuningMethod
    start: str
    effective: Callable[[_Settings, Path | None, int], dict[str, Any]]
    learning_rate: float
    learning_rate_note: str = ""
    steps_note: str = ""
    is_training: bool = True
    is_validated: bool = True
    epochs: float = 1.0
    most_usual_period: int | None = None
    fill_every: int = 0
    patience: int | None = None
    average_last: int = 0
    final: str | None = None
    results: dict[str, Any] = field(default_factory=dict)
    dry_run: DryRun | None = None


def run(what: Run[Any], world: World, memory: MemoryArrangement = LEFT_ALONE) -> None:
    """Do a run to its end, or continue it, in `train.output_dir`.

    Args:
        what: the run.
        world: its processes.
        memory: what `unblank.process.arrange_memory` returned; a library call leaves it alone.

    Raises:
        ValueError: a setting, file or folder does not fit; the message says what to do.
        FileNotFoundError: a file that is named is not there.
        CheckpointError: a checkpoint could not be written.
        NonFiniteError: the loss stopped being a number.
        Interrupted: a signal asked for the end; the step was finished and a checkpoint written.
    """
    started = time.monotonic()
    train = what.settings.train
    require_trackers(train.track)
    with ExitStack() as stack:
        precision = choose_precision(train.precision, world.device)
        products = stack.enter_context(fast_fp32_products(precision.dtype, world.device))
        if world.is_main:
            # The main process alone writes, so it alone locks.
            stack.enter_context(lock_folder(train.output_dir))
        world.wait()
        what = replace(what, settings=with_recorded_steps(what.settings))
        point = _find_start(what, precision.name, world.size)
        talk = Display(total_steps=1, is_main=world.is_main, is_terminal=False)
        for notice in point.notices if point else ():
            talk.say(f"note: {notice}")
        training = what.open_training(
            RunContext(
                world=world,
                precision=precision,
                display=talk,
                checkpoint=point.folder if point and what.method.saves_whole_models else None,
            )
        )
        if point is not None:
            require_same_text(point, training.content)
        if what.dry_run is not None and (processes := what.dry_run.world) is not None:
            talk.show(_plan(what, what.dry_run, training, processes, precision, world.device))
            return
        folder = point.folder if point else None

        def build() -> tuple[PreTrainedModel, TrainUnit]:
            return what.method.prepare(training.build_model(), folder), training.unit

        model, module = place_model(
            build,
            world,
            parallel=train.parallel,
            shard_group=train.shard_group,
            checkpoint=folder if what.method.saves_whole_models else None,
        )
        parts = _Parts(training, model, module, world, precision)
        if what.is_training and train.minutes is not None:
            if what.settings.train.is_timed:
                memory.begin_steps()  # or the steps would be timed with another malloc
            what = _in_minutes(what, parts, started)
        trainer, hooks = _assemble(what, parts, point, stack)
        _open_folder(what, world, trainer.progress.step, point)
        arithmetic = f"{precision.name}: {precision.reason}{products}"
        display = hooks.recorder.display
        display.header(
            f"unblank {what.command}",
            _facts(what, training, trainer, hooks, point, arithmetic, memory),
        )
        # Only now: what reading and tokenizing took is given back first.
        memory.begin_steps()
        if what.dry_run is not None:
            epoch = training.steps_per_epoch
            saves_all = what.method.saves_whole_models
            display.show(
                measure_first_steps(
                    trainer, what.dry_run, steps_per_epoch=epoch, saves_all=saves_all
                )
            )
            return
        # A run that had stopped early stays stopped when it is started again.
        hooks.validation.stop_if_due(trainer)
        with display, finish_first(hooks.unplanned.request):
            if point is not None and point.owes_validation:
                hooks.catch_up(trainer)
            trainer.run()
        finish_run(
            trainer,
            hooks.validation,
            command=what.command,
            final=what.final,
            settings=to_mapping(what.settings),
            results=what.results,
        )


def _find_start(what: Run[Any], precision: str, num_processes: int) -> ResumePoint | None:
    settings = what.settings

    def identity(folder: Path | None, step: int) -> Identity:
        return Identity(
            settings=_compared(what, settings, folder, step, precision, num_processes),
            defaults=earlier_settings(type(settings)),
            layout={*layout_settings(settings), "processes"},
        )

    def recorded(path: Path) -> dict[str, Any] | None:
        try:
            before = read_settings(type(settings), path)
        except (ValueError, TypeError):
            return None
        text = path.read_text(encoding="utf-8")
        is_whole = all(f"{section}:" in text for section in to_mapping(settings))
        if not is_whole or not text.endswith("\n"):
            return None
        return _compared(what, before, None, 0, precision, num_processes)

    return find_start(settings.train.output_dir, settings.train.resume, identity, recorded)


def _compared(
    what: Run[Any],
    settings: Any,
    checkpoint: Path | None,
    step: int,
    precision: str,
    num_processes: int,
) -> dict[str, Any]:
    """Return what two starts of a run are compared by, after `step` steps."""
    return {
        **compared_settings(settings),
        **what.effective(settings, checkpoint, num_processes),
        **_compared_at(settings, step),
        "train.precision": precision,
        "processes": num_processes,
    }


def _compared_at(settings: RunSettings, step: int) -> dict[str, Any]:
    """Return the part of it that changes as the run goes on."""
    optim, max_steps = settings.optim, settings.train.max_steps
    if optim.schedule != "wsd" or max_steps is None:
        return {}
    return wsd_identity(optim, max_steps, step)


def _plan(
    what: Run[Any],
    dry_run: DryRun,
    training: Training,
    num_processes: int,
    precision: Precision,
    device: torch.device,
) -> Table:
    """Return what each of some processes would need; the model takes no memory meanwhile."""
    train, optim = what.settings.train, what.settings.optim
    with torch.device("meta"):
        model = what.method.prepare(training.build_model(), None)
    layout = ProcessLayout(train.parallel, num_processes, train.shard_group)
    with closing(training.steps(None)) as steps:
        step = next(steps)
    return plan_run(
        model,
        layer_matrices(model) if optim.name == "muon" else (),
        training.unit,
        step,
        layout,
        dry_run,
        activation_bytes=2 if precision.name == "bf16" else 4,
        saves_all=what.method.saves_whole_models,
        has_average=train.ema_decay is not None,
        on_cpu=device.type == "cpu",
    )


@dataclass(frozen=True, slots=True)
class _Parts:
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


def _in_minutes(what: Run[Any], parts: _Parts, started: float) -> Run[Any]:
    """Return the run with the number of steps that fit into `train.minutes`, and a note of it.

    Args:
        what: the run; its settings have that number already if it is continued.
        parts: of its trainer.
        started: when it began, in seconds of `time.monotonic`.
    """
    train = what.settings.train
    note = f", chosen for {train.minutes:g} min"
    if not train.is_timed:
        return replace(what, steps_note=note)
    with closing(parts.training.steps(None)) as steps:
        trainer = _trainer(what, parts, steps, NoHooks(), Progress(), max_steps=sys.maxsize)
        fitted = fit_steps(trainer, train.minutes, time.monotonic() - started)
    settings = with_steps(what.settings, fitted.count)
    return replace(what, settings=settings, steps_note=f"{note} by {fitted}")


def _trainer(
    what: Run[Any],
    parts: _Parts,
    steps: Iterator[StepBatches],
    hooks: TrainerHooks,
    progress: Progress,
    *,
    max_steps: int,
) -> Trainer:
    train, optim, precision = what.settings.train, what.settings.optim, parts.precision
    return Trainer(
        module=parts.module,
        unit=parts.training.unit,
        optimizers=build_optimizers(parts.model, optim, what.learning_rate, precision.dtype),
        learning_rate=partial(_learning_rate, optim, what.learning_rate, max_steps),
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


def _assemble(
    what: Run[Any], parts: _Parts, point: ResumePoint | None, stack: ExitStack
) -> tuple[Trainer, RunHooks]:
    train, optim = what.settings.train, what.settings.optim
    training, model, world, precision = parts.training, parts.model, parts.world, parts.precision
    max_steps = _max_steps(what, training)
    folder = point.folder if point else None
    progress = Progress.from_json(point.trainer["progress"]) if point else Progress()
    saved = point.trainer["data_state"] if point else None
    compared = _compared(what, what.settings, folder, 0, precision.name, world.size)
    shards = None
    if isinstance(model, FSDPModule):
        shards = ShardedSaving(train.output_dir / CHECKPOINTS_NAME, world)
        stack.callback(shards.close)
    saver = Saver(
        output_dir=train.output_dir,
        keep=train.keep_checkpoints,
        model=model,
        tokenizer=training.tokenizer,
        method=what.method,
        content=training.content,
        # Now, as the checkpoint that is continued may be gone when the next ones are written.
        compared=lambda step: {**compared, **_compared_at(what.settings, step)},
        kept_step=stable_steps(optim, max_steps),
        shards=shards,
    )
    steps = stack.enter_context(closing(training.steps(saved))) if max_steps else iter(())
    hooks = _hooks(what, training, saver, world, max_steps, point, stack)
    trainer = _trainer(what, parts, steps, hooks, progress, max_steps=max_steps)
    if train.ema_decay is not None:
        trainer.average = MovingAverage(model, train.ema_decay)
    if point is not None:
        if trainer.average is not None:
            fill_from(point.folder, "average", trainer.average.weights)
        load_optimizers(point.folder, model, trainer.optimizers)
    return trainer, hooks


def _hooks(
    what: Run[Any],
    training: Training,
    saver: Saver,
    world: World,
    max_steps: int,
    point: ResumePoint | None,
    stack: ExitStack,
) -> RunHooks:
    train = what.settings.train
    step = Progress.from_json(point.trainer["progress"]).step if point is not None else 0
    validated = step - (point is not None and point.owes_validation)
    trackers = open_trackers(
        train.track if world.is_main else (),
        train.output_dir,
        to_mapping(what.settings),
        step + 1,
    )
    recorder = Recorder(
        output_dir=train.output_dir,
        display=Display(total_steps=max_steps, is_main=world.is_main),
        trackers=stack.enter_context(trackers),
    )
    selection = None
    if what.final is not None:
        selection = Selection(
            training.metric, training.higher_is_better, what.patience, what.average_last
        )
    lines = read_json_lines(train.output_dir / VALIDATION_NAME) if step else []
    validation = Validation(
        training=training,
        selection=selection,
        history=[line for line in lines if line["step"] <= validated],
        recorder=recorder,
        saver=saver,
    )
    usual = _usual_period(what, training, max_steps)
    validate = _validate_every(what, usual)
    periods = Periods(
        log=train.log_every,
        validate=validate,
        fill=what.fill_every,
        save=train.save_every or (validate if what.most_usual_period is None else 0) or usual,
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


def _max_steps(what: Run[Any], training: Training) -> int:
    if not what.is_training:
        return 0
    in_epochs = max(1, math.ceil(what.epochs * training.steps_per_epoch))
    return what.settings.train.max_steps or in_epochs


def _validate_every(what: Run[Any], usual: int) -> int:
    if not what.is_validated or not what.is_training:
        return 0
    every = what.settings.train.validate_every
    return usual if every is None else every


def _usual_period(what: Run[Any], training: Training, max_steps: int) -> int:
    """Return the steps between two validations, or two checkpoints, where nothing is said."""
    if what.most_usual_period is None:
        return max(training.steps_per_epoch, 1)
    return max(min(what.most_usual_period, max_steps // _PERIODS_OF_A_SHORT_RUN), 1)


def _learning_rate(optim: OptimSettings, peak: float, max_steps: int, update: int) -> float:
    return peak * learning_rate_multiplier(
        update,
        schedule=optim.schedule,
        warmup_steps=optim.warmup(max_steps),
        decay_steps=optim.decay_steps or max(max_steps, 1),
        floor=optim.min_learning_rate_ratio,
        decay_ratio=optim.decay_ratio or DECAY_RATIO,
    )


def _open_folder(what: Run[Any], world: World, step: int, point: ResumePoint | None) -> None:
    """Make the folder say which run it holds, and undo what a killed run did after `step`.

    Called when all else is ready: a start that fails before must not claim the folder.
    """
    world.wait()  # every process has looked at the folder before the main one writes
    if not world.is_main:
        return
    output_dir = what.settings.train.output_dir
    for root in (output_dir, output_dir / CHECKPOINTS_NAME, output_dir / SNAPSHOTS_NAME):
        remove_unfinished(root)
    write_at_once(output_dir / RUN_NAME, seal_text(to_yaml(what.settings)))
    cut_lines(output_dir, point.trainer.get("lines", {}) if point else {}, step)


def _facts(
    what: Run[Any],
    training: Training,
    trainer: Trainer,
    hooks: RunHooks,
    point: ResumePoint | None,
    arithmetic: str,
    memory: MemoryArrangement,
) -> dict[str, str]:
    train, world = what.settings.train, trainer.world
    processes = f", {world.size} processes ({train.parallel})" if world.size > 1 else ""
    threads = torch.get_num_threads()
    trained, total = count_parameters(hooks.saver.model), _total(hooks.saver.model)
    of_all = f" of {total:,}" if trained < total else ""
    start = f"step {trainer.progress.step}" if trainer.progress.step else what.start
    every = hooks.periods.validate
    validated = f"validated every {every:,}" if every else "no validation during training"
    rate = f"{what.learning_rate:g}{what.learning_rate_note}"
    weights = _kept_weights(what)
    facts = dict(training.facts)
    estimate = facts.pop("memory", None)
    return {
        "device": f"{world.device}{processes}, {counted(threads, 'thread')}{describe_waiting()}",
        "precision": arithmetic,
        "memory": f"{estimate}; {memory.description}" if estimate else memory.description,
        "model": f"{trained:,}{of_all} parameters, from {start}",
        **facts,
        "learning rate": rate if what.is_training else "none: evaluation only",
        "steps": f"{trainer.max_steps:,}{what.steps_note} (seed {train.seed}), {validated}",
        **({"the model": weights} if weights and what.is_training else {}),
        "writes to": str(what.dry_run.output_dir if what.dry_run else train.output_dir),
        **({"checkpoints": _checkpoints(train, hooks.periods, point)} if what.is_training else {}),
    }


def _kept_weights(what: Run[Any]) -> str:
    """Say which weights become the model, if that is not the last ones in any case."""
    train = what.settings.train
    names = {"best": "the best weights"}
    if train.ema_decay is not None:
        names["ema"] = f"ema, decay {train.ema_decay:g}"
    if what.average_last:
        names["average"] = f"average of the last {what.average_last}"
    averages = [name for final, name in names.items() if final != "best"]
    if what.final in (None, "last") or (what.final == "better" and not averages):
        return ""
    if what.final == "better":
        return f"the best of: single weights; {'; '.join(averages)}"
    return names[what.final]


def _checkpoints(train: TrainSettings, periods: Periods, point: ResumePoint | None) -> str:
    """Say how often they are made, and when the last one was."""
    every = f"every {counted(periods.save, 'step')}"
    if train.save_minutes is not None:
        every += f" and every {train.save_minutes:g} minutes"
    if point is None:
        return f"{every}; none yet"
    made = point.saved_at.astimezone()
    hours, minutes = divmod(max(int((datetime.now(UTC) - made).total_seconds()), 0) // 60, 60)
    return f"{every}; the last one was made {made:%Y-%m-%d %H:%M} ({hours}:{minutes:02} hours ago)"


def _total(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
