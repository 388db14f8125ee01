"""`run_finetune`: from `FinetuneSettings` to the folder of the chosen model, one or many seeds.

It puts the parts together: the loop is pretraining's, the task gives examples and scores, the
method says what changes, `finish` chooses among the validated weights.
"""

import json
import math
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch

from unblank.data.loader import DataState
from unblank.engine.checkpoint import remove_unfinished
from unblank.engine.finish import RESULTS_NAME, finish_run
from unblank.engine.folder_lock import lock_folder
from unblank.engine.hooks import RunHooks
from unblank.engine.logging import (
    METRICS_NAME,
    SKIPPED_NAME,
    VALIDATION_NAME,
    Display,
    drop_lines_after,
    read_lines,
)
from unblank.engine.optimizers import build_optimizer
from unblank.engine.parallel import World, join_world, share_model
from unblank.engine.parameters import count_parameters
from unblank.engine.precision import choose_precision
from unblank.engine.progress import Progress
from unblank.engine.resume import RUN_NAME, ResumePoint, require_same_text
from unblank.engine.schedules import learning_rate_multiplier
from unblank.engine.selection import Selection
from unblank.engine.settings import OptimSettings, TrainSettings
from unblank.engine.state import load_optimizer
from unblank.engine.task import FinetuneTask, TaskContext, TuningMethod
from unblank.engine.trackers import open_trackers
from unblank.engine.trainer import Trainer
from unblank.engine.units import UnitModule
from unblank.engine.validation import FinetuneHooks
from unblank.finetuning.identity import find_finetune_start, settings_of
from unblank.finetuning.methods import METHODS, require_possible
from unblank.finetuning.settings import FinetuneSettings
from unblank.finetuning.sweeps.seeds import seed_config, show_summary, summarise
from unblank.finetuning.tasks import open_task
from unblank.integrity import CHECKPOINTS_NAME, write_at_once
from unblank.models.products import fast_fp32_products
from unblank.process import LEFT_ALONE, MemoryArrangement
from unblank.settings.recipes import to_mapping, to_yaml

__all__ = ["run_finetune"]


def run_finetune(config: FinetuneSettings, *, memory: MemoryArrangement = LEFT_ALONE) -> Path:
    """Fine-tune, or continue to, and return the folder of the chosen model.

    Args:
        config: the run; with several `train.seeds` one run each, and their summary.
        memory: what `unblank.process.arrange_memory` returned; a library call leaves it alone.

    Returns:
        `config.train.output_dir`: model, tokenizer, metrics, results.json and provenance.

    Raises:
        ValueError: a setting, file or folder does not fit; the message says what to do.
        FileNotFoundError: a file that is named is not there.
        CheckpointError: a checkpoint could not be written.
        NonFiniteError: the loss stopped being a number.
    """
    _refuse_early(config)
    output_dir = config.train.output_dir
    with join_world(config.train.device) as world, ExitStack() as stack:
        if not config.train.seeds:
            _run_one(config, world, memory)
            return output_dir
        if world.is_main:
            stack.enter_context(lock_folder(output_dir))
        results = []
        for seed in config.train.seeds:
            one = seed_config(config, seed)
            _run_one(one, world, memory)
            results.append(json.loads((one.train.output_dir / RESULTS_NAME).read_text("utf-8")))
        if world.is_main:
            summary = summarise(results)
            write_at_once(output_dir / RESULTS_NAME, json.dumps(summary, indent=1))
            show_summary(summary, output_dir)
        world.wait()
    return output_dir


def _refuse_early(config: FinetuneSettings) -> None:
    """Raise what can be known from the settings alone."""
    data, model = config.data, config.model
    require_possible(config)
    if not data.train and config.method != "none":
        raise ValueError("no training examples: give --data.train FILE [...]")
    if config.method == "none" and not data.is_validated:
        raise ValueError("nothing to measure: --method none needs --data.validation FILE [...]")
    if model.init_from is None and model.init_from_encoder is None and not model.preset:
        raise ValueError(
            "no model to start from: give --model.init_from FOLDER, --model.init_from_encoder "
            "FOLDER, or --model.preset NAME to train from random weights"
        )
    train = config.train
    asks = train.patience or train.average_last or train.final in ("best", "average")
    if not data.is_validated and (asks or train.metric is not None):
        raise ValueError(
            "train.metric, patience, average_last and final need held-out examples: give "
            "--data.validation FILE [...]"
        )


def _run_one(config: FinetuneSettings, world: World, memory: MemoryArrangement) -> None:
    """Run one seed to its end."""
    train = config.train
    with ExitStack() as stack:
        precision = choose_precision(train.precision, world.device)
        products = stack.enter_context(fast_fp32_products(precision.dtype, world.device))
        if world.is_main:
            stack.enter_context(lock_folder(train.output_dir))
        world.wait()
        point = find_finetune_start(config, precision.name, world.size)
        talk = Display(total_steps=1, is_main=world.is_main, is_terminal=False)
        for notice in point.notices if point else ():
            talk.say(f"note: {notice}")
        method = METHODS[config.method](config)
        folder = point.folder if point else None
        context = TaskContext(
            config=config,
            world=world,
            precision=precision,
            display=talk,
            checkpoint=folder if method.saves_whole_models else None,
        )
        task = open_task(context)
        if point is not None:
            require_same_text(point, task.content)
        display = Display(total_steps=_max_steps(config, task), is_main=world.is_main)
        trainer, hooks = _assemble(context, task, method, point, display, stack)
        _open_folder(config, world, trainer.progress.step)
        arithmetic = f"{precision.name}: {precision.reason}{products}"
        facts = _facts(config, task, trainer, hooks, arithmetic, memory.description)
        display.header("unblank finetune", facts)
        memory.begin_steps()
        hooks.stop_if_due(trainer)
        with display:
            trainer.run()
        finish_run(config, task, method, trainer, hooks)


def _assemble(
    context: TaskContext,
    task: FinetuneTask,
    method: TuningMethod,
    point: ResumePoint | None,
    display: Display,
    stack: ExitStack,
) -> tuple[Trainer, FinetuneHooks]:
    config, world = context.config, context.world
    train, max_steps = config.train, _max_steps(config, task)
    model = method.prepare(task.build_model(), point.folder if point else None).to(world.device)
    module = share_model(UnitModule(model, task.unit, world.device), world, train.parallel)
    optim = _optim_settings(config, max_steps)
    optimizer = build_optimizer(model, optim)
    progress, saved = Progress(), None
    if point is not None:
        load_optimizer(point.folder, model, optimizer, world)
        progress = Progress.from_json(point.trainer["progress"])
        saved = point.trainer["data_state"]
    validate_every = _validate_every(config, task)
    inner = RunHooks(
        settings=_train_settings(config, max_steps, validate_every or task.steps_per_epoch),
        model=model,
        tokenizer=task.tokenizer,
        display=display,
        trackers=stack.enter_context(
            open_trackers(
                train.track if world.is_main else (),
                train.output_dir,
                to_mapping(config),
                progress.step + 1,
            )
        ),
        validation=None,
        fill=None,
        identity={
            "content": task.content,
            "settings": settings_of(config, context.precision.name, world.size),
        },
        write_model=partial(method.save, to_continue=True),
    )
    hooks = FinetuneHooks(
        inner=inner,
        task=task,
        selection=Selection(task.metric, task.higher_is_better, train.patience, train.average_last),
        validate_every=validate_every,
        history=_history(config, progress.step),
        steps_per_epoch=task.steps_per_epoch,
    )
    trainer = Trainer(
        module=module,
        unit=task.unit,
        optimizer=optimizer,
        learning_rate=partial(_learning_rate, optim),
        steps=iter(()) if config.method == "none" else task.steps(saved),
        world=world,
        precision=context.precision,
        seed=train.seed,
        max_steps=max_steps,
        clip_norm=optim.clip_norm,
        max_nonfinite_steps=train.max_nonfinite_steps,
        hooks=hooks,
        progress=progress,
        data_state=DataState(),
    )
    return trainer, hooks


def _max_steps(config: FinetuneSettings, task: FinetuneTask) -> int:
    if config.method == "none":
        return 0
    return config.train.max_steps or max(1, math.ceil(config.train.epochs * task.steps_per_epoch))


def _validate_every(config: FinetuneSettings, task: FinetuneTask) -> int:
    if not config.data.is_validated or config.method == "none":
        return 0
    every = config.train.validate_every
    return task.steps_per_epoch if every is None else every


def _optim_settings(config: FinetuneSettings, max_steps: int) -> OptimSettings:
    """Return the settings with the warm-up in steps."""
    optim = config.optim
    warmup = optim.warmup_steps
    return OptimSettings(
        learning_rate=config.learning_rate,
        betas=optim.betas,
        eps=optim.eps,
        weight_decay=optim.weight_decay,
        warmup_steps=round(optim.warmup_ratio * max_steps) if warmup is None else warmup,
        schedule=optim.schedule,
        min_learning_rate_ratio=optim.min_learning_rate_ratio,
        decay_steps=max(max_steps, 1),
        clip_norm=optim.clip_norm,
    )


def _learning_rate(optim: OptimSettings, update: int) -> float:
    assert optim.decay_steps is not None
    return optim.learning_rate * learning_rate_multiplier(
        update,
        schedule=optim.schedule,
        warmup_steps=optim.warmup_steps,
        decay_steps=optim.decay_steps,
        floor=optim.min_learning_rate_ratio,
    )


def _train_settings(config: FinetuneSettings, max_steps: int, period: int) -> TrainSettings:
    """Return what the shared hooks go by; they validate and fill nothing themselves."""
    train = config.train
    return TrainSettings(
        output_dir=train.output_dir,
        max_steps=max(max_steps, 1),
        log_every=train.log_every,
        save_every=train.save_every or max(period, 1),
        keep_checkpoints=train.keep_checkpoints,
        validate_every=0,
    )


def _history(config: FinetuneSettings, step: int) -> list[dict[str, Any]]:
    """Return the validations up to the step from which the run goes on."""
    lines = read_lines(config.train.output_dir / VALIDATION_NAME) if step else []
    return [line for line in lines if line["step"] <= step]


def _open_folder(config: FinetuneSettings, world: World, step: int) -> None:
    """Make the folder say which run it holds, and undo what a killed run did after `step`."""
    world.wait()  # every process has looked at the folder before the main one writes
    if not world.is_main:
        return
    output_dir = config.train.output_dir
    remove_unfinished(output_dir / CHECKPOINTS_NAME)
    write_at_once(output_dir / RUN_NAME, to_yaml(config))
    for name in (METRICS_NAME, VALIDATION_NAME, SKIPPED_NAME):
        drop_lines_after(output_dir / name, step)


def _facts(
    config: FinetuneSettings,
    task: FinetuneTask,
    trainer: Trainer,
    hooks: FinetuneHooks,
    arithmetic: str,
    memory: str,
) -> dict[str, str]:
    train, model, world = config.train, config.model, trainer.world
    processes = f", {world.size} processes ({train.parallel})" if world.size > 1 else ""
    start = f"random weights ({model.preset})"
    if trainer.progress.step:
        start = f"step {trainer.progress.step}"
    elif model.init_from is not None:
        start = f"the weights in {model.init_from}"
    elif model.init_from_encoder is not None:
        start = f"the encoder in {model.init_from_encoder} ({model.decoder_start} decoder)"
    every = hooks.validate_every
    validated = f"validated every {every:,}" if every else "not validated on the way"
    trained = count_parameters(hooks.inner.model)
    total = sum(parameter.numel() for parameter in hooks.inner.model.parameters())
    return {
        "device": f"{world.device}{processes}, {torch.get_num_threads()} threads",
        "precision": arithmetic,
        "memory": memory,
        "model": f"{trained:,} of {total:,} parameters ({config.method}), from {start}",
        **task.facts,
        "learning rate": _rate_text(config),
        "steps": f"{trainer.max_steps:,} (seed {train.seed}), {validated}",
        "writes to": str(train.output_dir),
    }


def _rate_text(config: FinetuneSettings) -> str:
    """Return the peak learning rate, and where it comes from."""
    if config.method == "none":
        return "none: nothing is trained"
    source = f"usual for --method {config.method}" if config.optim.learning_rate is None else "set"
    return f"{config.learning_rate:g} ({source})"
