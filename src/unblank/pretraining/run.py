"""`run_pretrain`: from a `PretrainSettings` to a folder that `unblank.load` and transformers open.

It puts the parts together and owns no idea of its own: the loop is `trainer`, what surrounds a step
is `hooks`, what a run starts from is `materials` and `modeling`.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from unblank.data.loader import DataState, RowStream, validation_batches
from unblank.engine.checkpoint import remove_unfinished
from unblank.engine.finished import origin, publish_model
from unblank.engine.folder_lock import lock_folder
from unblank.engine.hooks import RunHooks
from unblank.engine.logging import (
    FILLS_NAME,
    METRICS_NAME,
    SKIPPED_NAME,
    VALIDATION_NAME,
    Display,
    drop_lines_after,
    read_lines,
)
from unblank.engine.optimizers import build_optimizer
from unblank.engine.parallel import World, join_world, share_model
from unblank.engine.parameters import count_parameters, estimate_memory
from unblank.engine.precision import Precision, choose_precision
from unblank.engine.progress import Progress
from unblank.engine.resume import (
    RUN_NAME,
    ResumePoint,
    choose_start,
    comparable_settings,
    require_same_text,
)
from unblank.engine.schedules import learning_rate_multiplier
from unblank.engine.state import gather_state, load_optimizer, save_model_folder
from unblank.engine.trackers import open_trackers
from unblank.engine.trainer import Trainer
from unblank.engine.units import UnitModule
from unblank.examples import TrainBatch
from unblank.families.building import require_possible
from unblank.families.family import Family
from unblank.families.table import family_of_run
from unblank.integrity import CHECKPOINTS_NAME, write_at_once
from unblank.models.products import fast_fp32_products
from unblank.objectives.mixture import only
from unblank.pretraining.fills import fill_function, held_out_blanks
from unblank.pretraining.foreign_settings import refuse_foreign_settings
from unblank.pretraining.materials import Materials, gather_materials, held_out_sampler
from unblank.pretraining.settings import PretrainSettings
from unblank.pretraining.target_fills import held_out_targets, target_function
from unblank.process import LEFT_ALONE, MemoryArrangement
from unblank.settings.recipes import to_mapping, to_yaml
from unblank.starting.model import build_model

__all__ = ["run_pretrain"]


def run_pretrain(config: PretrainSettings, *, memory: MemoryArrangement = LEFT_ALONE) -> Path:
    """Pretrain, or continue to, and return the folder of the finished model.

    Args:
        config: the run.
        memory: what `unblank.process.arrange_memory` returned; a library call leaves it alone.

    Returns:
        `config.train.output_dir`, holding model, tokenizer, metrics and provenance.

    Raises:
        ValueError: a setting, file or folder does not fit; the message says what to do.
        FileNotFoundError: a file that is named is not there.
        CheckpointError: a checkpoint could not be written.
        NonFiniteError: the loss stopped being a number.
    """
    with ExitStack() as stack:
        world = stack.enter_context(join_world(config.train.device))
        precision = choose_precision(config.train.precision, world.device)
        products = stack.enter_context(fast_fp32_products(precision.dtype, world.device))
        _refuse_early(config, world)
        if world.is_main:
            stack.enter_context(lock_folder(config.train.output_dir))
        point = choose_start(config, precision.name, world.size)
        display = Display(total_steps=config.train.max_steps, is_main=world.is_main)
        for notice in point.notices if point else ():
            display.say(f"note: {notice}")
        folder = point.folder if point else None
        family = family_of_run(config.model, folder)
        refuse_foreign_settings(config, family)
        if point is None:
            require_possible(family, config.model)
        materials = gather_materials(config, family, world, folder, display)
        if point is not None:
            require_same_text(point, materials.content)
        trainer, hooks = _assemble(
            config, family, world, precision, point, materials, display, stack
        )
        arithmetic = f"{precision.name}: {precision.reason}{products}"
        _open_folder(config, world, point)
        display.header(
            "unblank pretrain",
            _facts(config, family, trainer, hooks, materials, arithmetic, memory.description),
        )
        memory.begin_steps()
        with display:
            trainer.run()
        _finish(config, trainer, hooks, materials)
    return config.train.output_dir


def _refuse_early(config: PretrainSettings, world: World) -> None:
    """Raise what can be known before text is read, which may take hours."""
    if not config.data.train and not config.data.pairs:
        raise ValueError("no training text: give --data.train FILE_OR_FOLDER [...]")
    held_out = config.data.validation or config.data.validation_pairs
    if config.train.sample_every and not held_out:
        raise ValueError("train.sample_every needs held-out text: give data.validation")
    if config.train.batch_size % world.size:
        raise ValueError(
            f"train.batch_size {config.train.batch_size} rows cannot be shared equally by "
            f"{world.size} processes: make it a multiple of {world.size}"
        )


def _open_folder(config: PretrainSettings, world: World, point: ResumePoint | None) -> None:
    """Make the folder say which run it holds, and undo what a killed run did after `point`.

    Called when all else is ready: a start that fails before must not claim the folder.
    """
    world.wait()  # every process has looked at the folder before the main one writes
    if not world.is_main:
        return
    output_dir = config.train.output_dir
    output_dir.mkdir(parents=True, exist_ok=True)
    remove_unfinished(output_dir / CHECKPOINTS_NAME)
    write_at_once(output_dir / RUN_NAME, to_yaml(config))
    step = Progress.from_json(point.trainer["progress"]).step if point else 0
    for name in (METRICS_NAME, VALIDATION_NAME, FILLS_NAME, SKIPPED_NAME):
        drop_lines_after(output_dir / name, step)


def _assemble(
    config: PretrainSettings,
    family: Family,
    world: World,
    precision: Precision,
    point: ResumePoint | None,
    materials: Materials,
    display: Display,
    stack: ExitStack,
) -> tuple[Trainer, RunHooks]:
    train = config.train
    model = build_model(
        config.model,
        materials.tokenizer,
        config.sections,
        max_length=config.data.max_length,
        seed=train.seed,
        checkpoint=point.folder if point else None,
    )
    model = model.to(world.device)
    if train.compile:
        model.model.compile(dynamic=False)
    unit = family.unit(
        model, config.sections, seed=train.seed, sampled_softmax=train.sampled_softmax
    )
    module = share_model(UnitModule(model, unit, world.device), world, train.parallel)
    optimizer = build_optimizer(model, config.optim)
    progress, data_state = Progress(), DataState()
    if point is not None:
        load_optimizer(point.folder, model, optimizer, world)
        progress = Progress.from_json(point.trainer["progress"])
        data_state = DataState(**point.trainer["data_state"])
    stream = stack.enter_context(
        RowStream(
            materials.sampler,
            row_length=materials.row_length,
            num_workers=config.data.num_workers,
            window_size=family.rows.window_size(
                materials.sampler.mean_text_length, materials.row_length
            ),
            state=data_state,
        )
    )
    rows_per_batch = family.rows.rows_per_pass(train.micro_batch_size)
    hooks = RunHooks(
        settings=train,
        model=model,
        tokenizer=materials.tokenizer,
        display=display,
        trackers=stack.enter_context(
            open_trackers(
                train.track if world.is_main else (),
                train.output_dir,
                to_mapping(config),
                progress.step + 1,
            )
        ),
        validation=_validation(config, family, materials, world),
        fill=_fill(config, family, materials, model, world, display),
        identity={
            "content": materials.content,
            "settings": comparable_settings(config, family, precision.name, world.size),
        },
    )
    trainer = Trainer(
        module=module,
        unit=unit,
        optimizer=optimizer,
        learning_rate=partial(_learning_rate, config),
        steps=stream.micro_batches(
            batch_size=train.batch_size * rows_per_batch // train.micro_batch_size,
            micro_batch_size=rows_per_batch,
            rank=world.rank,
            world_size=world.size,
        ),
        world=world,
        precision=precision,
        seed=train.seed,
        max_steps=train.max_steps,
        clip_norm=config.optim.clip_norm,
        max_nonfinite_steps=train.max_nonfinite_steps,
        hooks=hooks,
        progress=progress,
        data_state=data_state,
    )
    return trainer, hooks


def _validation(
    config: PretrainSettings, family: Family, materials: Materials, world: World
) -> list[TrainBatch] | None:
    sampler = held_out_sampler(config, family, materials)
    if sampler is None or config.train.validate_every == 0:
        return None
    # Shards compute in step: with them every process measures everything.
    is_shared = config.train.parallel == "ddp"
    return validation_batches(
        sampler,
        row_length=materials.row_length,
        batch_size=family.rows.rows_per_pass(config.train.micro_batch_size),
        max_samples=config.train.validation_samples,
        rank=world.rank if is_shared else 0,
        world_size=world.size if is_shared else 1,
    )


def _fill(
    config: PretrainSettings,
    family: Family,
    materials: Materials,
    model: PreTrainedModel,
    world: World,
    display: Display,
) -> Callable[[], list[dict[str, str]]] | None:
    """Return what fills held-out blanks now and then, or None if that is off."""
    if config.train.sample_every == 0:
        return None
    if config.train.parallel == "fsdp" and world.size > 1:
        display.say("note: no blanks are filled during the run, as the model lies in shards")
        return None
    tokenizer = materials.tokenizer
    if family.writes == "targets":
        sampler = held_out_sampler(config, family, materials)
        assert sampler is not None
        return target_function(model, tokenizer, held_out_targets(sampler, tokenizer))
    one_blank = only("single_span", config.objective)
    sampler = held_out_sampler(config, family, materials, one_blank)
    assert sampler is not None
    return fill_function(model, tokenizer, held_out_blanks(sampler, tokenizer))


def _learning_rate(config: PretrainSettings, update: int) -> float:
    optim = config.optim
    return optim.learning_rate * learning_rate_multiplier(
        update,
        schedule=optim.schedule,
        warmup_steps=optim.warmup_steps,
        decay_steps=optim.decay_steps or config.train.max_steps,
        floor=optim.min_learning_rate_ratio,
    )


def _facts(
    config: PretrainSettings,
    family: Family,
    trainer: Trainer,
    hooks: RunHooks,
    materials: Materials,
    arithmetic: str,
    memory: str,
) -> dict[str, str]:
    train, world = config.train, trainer.world
    processes = f", {world.size} processes ({train.parallel})" if world.size > 1 else ""
    estimate = estimate_memory(
        hooks.model,
        positions=family.rows.rows_per_pass(train.micro_batch_size) * materials.row_length,
        bytes_per_activation=2 if trainer.precision.name == "bf16" else 4,
        activation_checkpointing=config.model.activation_checkpointing,
        passes=family.memory_factor,
    )
    micro_batches = train.batch_size // (train.micro_batch_size * world.size)
    start = f"step {trainer.progress.step}" if trainer.progress.step else "new weights"
    if config.model.init_from is not None and not trainer.progress.step:
        start = f"the weights in {config.model.init_from}"
    elif config.model.init_from_encoder is not None and not trainer.progress.step:
        encoder = config.model.init_from_encoder
        start = f"the encoder in {encoder} ({config.model.decoder_start} decoder)"
    row_length = config.data.row_length or config.data.max_length
    return {
        "device": f"{world.device}{processes}, {torch.get_num_threads()} threads",
        "precision": arithmetic,
        "memory": f"about {estimate / 2**30:.1f} GiB a process at the peak; {memory}",
        "model": f"{count_parameters(hooks.model):,} parameters, from {start}",
        "text": materials.description,
        "step": f"{train.batch_size} rows of {row_length} positions in "
        f"{max(micro_batches, 1)} micro-batches",
        "objective": _objective(config, family),
        "writes to": str(train.output_dir),
    }


def _objective(config: PretrainSettings, family: Family) -> str:
    """Return every objective that is drawn with its share of the texts' samples."""
    shares = family.objective_shares(config.sections) if config.data.train else {}
    names = [f"{name} {share:.3g}" for name, share in shares.items() if share]
    return ", ".join(names + ["translation_span_corruption of pairs"] * bool(config.data.pairs))


def _finish(
    config: PretrainSettings, trainer: Trainer, hooks: RunHooks, materials: Materials
) -> None:
    """Put the finished model into the run's folder."""
    weights, _ = gather_state(hooks.model, trainer.optimizer)
    if trainer.world.is_main:
        output_dir = config.train.output_dir

        def write_files(folder: Path) -> None:
            save_model_folder(folder, hooks.model, weights, materials.tokenizer)

        publish_model(output_dir, write_files, _provenance(config, trainer, materials))
        if find_spec("matplotlib") is None:
            hooks.display.say("no loss.png was drawn: pip install 'unblank[plot]' for it")
        hooks.display.say(f"done: the model is in {output_dir}")
    trainer.world.wait()


def _last_loss(path: Path) -> float | None:
    lines = read_lines(path)
    return lines[-1]["loss"] if lines else None


def _provenance(config: PretrainSettings, trainer: Trainer, materials: Materials) -> dict[str, Any]:
    progress = trainer.progress
    return {
        **origin("pretrain"),
        "data": materials.content,
        "steps": progress.step,
        "samples": progress.samples,
        "tokens": progress.tokens,
        "skipped_steps": progress.skipped_steps,
        "loss": _last_loss(config.train.output_dir / METRICS_NAME),
        "validation_loss": _last_loss(config.train.output_dir / VALIDATION_NAME),
        "settings": to_mapping(config),
    }
