"""The one run, for pretraining and all fine-tuning: open the folder, resume or begin, loop, finish.

It only puts the parts together: what is learned is a `Training`, which
weights change is a `TuningMethod`, the loop is `trainer`, what surrounds a step is `hooks`, and
which weights become the model is `finish`.
"""

import sys
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from transformers import PreTrainedModel

from unblank.engine.assembly import TrainerParts, assemble, new_trainer
from unblank.engine.checkpoint import remove_unfinished
from unblank.engine.dry_run import DryRun, measure_first_steps, plan_run
from unblank.engine.finish import finish_run
from unblank.engine.first_steps import NoHooks
from unblank.engine.folder_lock import lock_folder
from unblank.engine.header import header_facts
from unblank.engine.logging import Display
from unblank.engine.memory_plan import ProcessLayout
from unblank.engine.minutes import fit_steps, with_recorded_steps, with_steps
from unblank.engine.optimizers import layer_matrices
from unblank.engine.parallel import World, require_whole_groups
from unblank.engine.placed_model import place_model
from unblank.engine.precision import Precision, choose_precision
from unblank.engine.progress import Progress
from unblank.engine.resume import RUN_NAME, Identity, ResumePoint, find_start, require_same_text
from unblank.engine.run_spec import RunSpec, identity_of
from unblank.engine.trackers import require_trackers
from unblank.engine.training import RunContext, Training
from unblank.engine.units import TrainUnit
from unblank.engine.validation import SNAPSHOTS_NAME
from unblank.engine.written_lines import cut_lines
from unblank.integrity import CHECKPOINTS_NAME, seal_text, write_atomically
from unblank.interruption import defer_signals
from unblank.models.products import fast_fp32_products
from unblank.process import LEFT_ALONE, MemoryArrangement
from unblank.settings.identity import earlier_settings, layout_settings
from unblank.settings.recipes import read_settings, to_mapping, to_yaml

__all__ = ["run"]


def run(spec: RunSpec, world: World, memory: MemoryArrangement = LEFT_ALONE) -> None:
    """Do a run to its end, or continue it, in `train.output_dir`.

    Args:
        spec: the run.
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
    train = spec.settings.train
    require_trackers(train.track)
    with ExitStack() as stack:
        precision = choose_precision(train.precision, world.device)
        products = stack.enter_context(fast_fp32_products(precision.dtype, world.device))
        if world.is_main:
            # The main process alone writes, so it alone locks.
            stack.enter_context(lock_folder(train.output_dir))
        world.wait()
        spec = replace(spec, settings=with_recorded_steps(spec.settings))
        point = _find_start(spec, precision.name, world.size)
        talk = Display(total_steps=1, is_main=world.is_main, is_terminal=False)
        for notice in point.notices if point else ():
            talk.say(f"note: {notice}")
        training = spec.open_training(
            RunContext(
                world=world,
                precision=precision,
                display=talk,
                checkpoint=point.folder if point and spec.method.saves_whole_models else None,
            )
        )
        if point is not None:
            require_same_text(point, training.content)
        if spec.dry_run is not None and (processes := spec.dry_run.world) is not None:
            talk.show(_plan(spec, spec.dry_run, training, processes, precision, world.device))
            return
        folder = point.folder if point else None

        def build() -> tuple[PreTrainedModel, TrainUnit]:
            return spec.method.prepare(training.build_model(), folder), training.unit

        model, module = place_model(
            build,
            world,
            parallel=train.parallel,
            shard_group=train.shard_group,
            checkpoint=folder if spec.method.saves_whole_models else None,
        )
        parts = TrainerParts(training, model, module, world, precision)
        if spec.is_training and train.minutes is not None:
            if spec.settings.train.is_timed:
                memory.begin_steps()  # or the steps would be timed with another malloc
            spec = _in_minutes(spec, train.minutes, parts, started)
        trainer, hooks = assemble(spec, parts, point, stack)
        _open_folder(spec, world, trainer.progress.step, point)
        arithmetic = f"{precision.name}: {precision.reason}{products}"
        display = hooks.recorder.display
        display.header(
            f"unblank {spec.command}",
            header_facts(spec, training, trainer, hooks, point, arithmetic, memory),
        )
        # Only now: what reading and tokenizing took is given back first.
        memory.begin_steps()
        if spec.dry_run is not None:
            epoch = training.steps_per_epoch
            saves_all = spec.method.saves_whole_models
            display.show(
                measure_first_steps(
                    trainer, spec.dry_run, steps_per_epoch=epoch, saves_all=saves_all
                )
            )
            return
        # A run that had stopped early stays stopped when it is started again.
        hooks.validation.stop_if_due(trainer)
        with display, defer_signals(hooks.unplanned.request):
            if point is not None and point.owes_validation:
                hooks.catch_up(trainer)
            trainer.run()
        finish_run(
            trainer,
            hooks.validation,
            command=spec.command,
            final=spec.final,
            settings=to_mapping(spec.settings),
            results=spec.results,
        )


def _find_start(spec: RunSpec, precision: str, num_processes: int) -> ResumePoint | None:
    settings = spec.settings

    def identity(folder: Path | None, step: int) -> Identity:
        return Identity(
            settings=identity_of(spec, settings, folder, step, precision, num_processes),
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
        return identity_of(spec, before, None, 0, precision, num_processes)

    return find_start(settings.train.output_dir, settings.train.resume, identity, recorded)


def _plan(
    spec: RunSpec,
    dry_run: DryRun,
    training: Training,
    num_processes: int,
    precision: Precision,
    device: torch.device,
) -> Table:
    """Return what each of some processes would need; the model takes no memory meanwhile."""
    train, optim = spec.settings.train, spec.settings.optim
    require_whole_groups(train.shard_group, num_processes)
    with torch.device("meta"):
        model = spec.method.prepare(training.build_model(), None)
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
        saves_all=spec.method.saves_whole_models,
        has_average=train.ema_decay is not None,
        on_cpu=device.type == "cpu",
    )


def _in_minutes(spec: RunSpec, minutes: float, parts: TrainerParts, started: float) -> RunSpec:
    """Return the run with the number of steps that fit into a time, and a note of it."""
    note = f", chosen for {minutes:g} min"
    if not spec.settings.train.is_timed:
        return replace(spec, steps_note=note)
    with closing(parts.training.steps(None)) as steps:
        trainer = new_trainer(spec, parts, steps, NoHooks(), Progress(), max_steps=sys.maxsize)
        fitted = fit_steps(trainer, minutes, time.monotonic() - started)
    settings = with_steps(spec.settings, fitted.count)
    return replace(spec, settings=settings, steps_note=f"{note} by {fitted}")


def _open_folder(spec: RunSpec, world: World, step: int, point: ResumePoint | None) -> None:
    """Record in the folder which run it holds, and undo what a killed run did after `step`.

    Called when all else is ready: a start that fails before must not claim the folder.
    """
    world.wait()  # every process has looked at the folder before the main one writes
    if not world.is_main:
        return
    output_dir = spec.settings.train.output_dir
    for root in (output_dir, output_dir / CHECKPOINTS_NAME, output_dir / SNAPSHOTS_NAME):
        remove_unfinished(root)
    write_atomically(output_dir / RUN_NAME, seal_text(to_yaml(spec.settings)))
    cut_lines(output_dir, point.trainer.get("lines", {}) if point else {}, step)
