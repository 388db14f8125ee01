"""`run_finetune`: from `FinetuneSettings` to the folder of the chosen model, for one or many seeds.

The settings are taken apart here: engine, training and method get what they need.
"""

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from unblank.data.settings import MIXTURE
from unblank.data.shards import SHARDS_NAME
from unblank.engine.dry_run import DryRun, thrown_away
from unblank.engine.folder_lock import lock_folder
from unblank.engine.parallel import World, join_world
from unblank.engine.results import read_results, write_results
from unblank.engine.resume import ROWS_OF_A_STEP
from unblank.engine.run import run
from unblank.engine.run_spec import RunSpec
from unblank.engine.training import RunContext, Training
from unblank.families.table import family_of_run
from unblank.finetuning.labels.cloze import Words
from unblank.finetuning.labels.opening import open_labelled
from unblank.finetuning.labels.settings import GridSettings
from unblank.finetuning.methods import build_method, prompt_for_tokenizer
from unblank.finetuning.pairs.batches import PairBatches
from unblank.finetuning.pairs.opening import open_pairs
from unblank.finetuning.questions.opening import open_questions
from unblank.finetuning.requirements import (
    PAIRS,
    QUESTIONS,
    WRITING_TASKS,
    require_possible_method,
)
from unblank.finetuning.settings import FinetuneModelSettings, FinetuneSettings
from unblank.finetuning.sweeps.seeds import seed_settings, show_summary, summarise
from unblank.process import LEFT_ALONE, MemoryArrangement
from unblank.prompting.task_files import load_task
from unblank.settings.given import changed_names
from unblank.starting.model import describe_start
from unblank.starting.tokenizer import TOKENIZER_NAME
from unblank.untrusted.opening import config_in

__all__ = ["dry_run_finetune", "run_finetune"]


def run_finetune(
    settings: FinetuneSettings,
    *,
    given: Collection[str] | None = None,
    memory: MemoryArrangement = LEFT_ALONE,
) -> Path:
    """Fine-tune, or continue to, and return the folder of the chosen model.

    Args:
        settings: of the run; with several `train.seeds` one run each, and their summary.
        given: dotted names of the settings that were given, which the run must use; None takes
            those that are not as they are by default.
        memory: what `unblank.process.arrange_memory` returned; a library call leaves it alone.

    Returns:
        `settings.train.output_dir`: model, tokenizer, metrics, results.json and provenance.

    Raises:
        ValueError: a setting, file or folder does not fit; the message says what to do.
        FileNotFoundError: a file that is named is not there.
        CheckpointError: a checkpoint could not be written.
        NonFiniteError: the loss stopped being a number.
    """
    given = changed_names(settings) if given is None else given
    require_possible_method(settings, given)
    output_dir = settings.train.output_dir
    with (
        join_world(settings.train.device, settings.train.lost_after) as world,
        ExitStack() as stack,
    ):
        if not settings.train.seeds:
            run(_run_spec(settings, given), world, memory)
            return output_dir
        if world.is_main:
            stack.enter_context(lock_folder(output_dir))
        results = []
        for seed in settings.train.seeds:
            one = seed_settings(settings, seed)
            run(_run_spec(one, given), world, memory)
            results.append(read_results(one.train.output_dir))
        _summarise(results, output_dir, world)
    return output_dir


def dry_run_finetune(
    settings: FinetuneSettings,
    *,
    given: Collection[str] | None = None,
    memory: MemoryArrangement = LEFT_ALONE,
    world: int | None = None,
) -> None:
    """Say what a run would take, from its first steps; arguments and errors as `run_finetune`.

    Nothing is left of it. Of several seeds the first is measured.

    With `world` memory is planned by formulas for that many processes, without a step.

    Raises:
        ValueError: also for a grid or an ensemble, which are runs of several kinds.
    """
    given = changed_names(settings) if given is None else given
    if settings.grid != GridSettings() or settings.cloze.ensemble:
        raise ValueError("--dry-run measures one run: leave out the grid and cloze.ensemble")
    require_possible_method(settings, given)
    train = settings.train
    num_runs = max(len(train.seeds), 1)
    one = seed_settings(settings, train.seeds[0]) if train.seeds else settings
    output_dir = one.train.output_dir
    cache_dir = output_dir.parent / SHARDS_NAME
    passes = family_of_run(settings.model).memory_factor
    with (
        join_world(train.device, train.lost_after) as processes,
        thrown_away(output_dir, cache_dir, [TOKENIZER_NAME]) as folder,
    ):
        measured = replace(one, train=replace(one.train, output_dir=folder, track=()))
        stands_for = DryRun(output_dir=output_dir, num_runs=num_runs, world=world, passes=passes)
        run(replace(_run_spec(measured, given), dry_run=stands_for), processes, memory)


def _summarise(results: list[dict[str, Any]], output_dir: Path, world: World) -> None:
    if world.is_main:
        summary = summarise(results)
        write_results(output_dir, summary)
        show_summary(summary, output_dir)
    world.wait()


def _run_spec(settings: FinetuneSettings, given: Collection[str]) -> RunSpec:
    """Return the run of one seed as the engine knows it."""
    settings = _with_room(settings, given)
    train = settings.train
    return RunSpec(
        command="finetune",
        settings=settings,
        open_training=partial(_open_training, settings, given),
        method=build_method(
            settings.method,
            base=_base(settings.model),
            seed=train.seed,
            described=_adapter_facts(settings),
            lora=settings.lora,
            prompt=settings.prompt,
            finish=_finish(settings),
        ),
        start=describe_start(settings.model),
        effective=effective_finetune_settings,
        learning_rate=settings.learning_rate,
        learning_rate_note=_rate_note(settings),
        is_training=settings.method != "none",
        is_validated=settings.data.is_validated,
        epochs=train.epochs,
        patience=train.patience,
        average_last=train.average_last,
        final=train.final,
        results={"task": settings.task, "method": settings.method},
    )


def _open_training(
    settings: FinetuneSettings, given: Collection[str], context: RunContext
) -> Training:
    prepare = None
    base = _base(settings.model)
    if settings.method == "prompt" and base is not None:
        prepare = prompt_for_tokenizer(base, settings.prompt.length)
    if settings.task == PAIRS:
        return open_pairs(
            context,
            model=settings.model,
            tokenizer=settings.tokenizer,
            data=settings.data,
            pairs=settings.seq2seq,
            ganlm=settings.ganlm,
            train=settings.train,
            generation=settings.generation,
            given=given,
            prepare_tokenizer=prepare,
        )
    if settings.task == QUESTIONS:
        return open_questions(
            context,
            model=settings.model,
            tokenizer=settings.tokenizer,
            data=settings.data,
            pairs=settings.seq2seq,
            questions=settings.qa,
            ganlm=settings.ganlm,
            train=settings.train,
            generation=settings.generation,
            given=given,
            prepare_tokenizer=prepare,
        )
    return open_labelled(
        context,
        settings.task,
        model=settings.model,
        tokenizer=settings.tokenizer,
        data=settings.data,
        cloze=settings.cloze,
        train=settings.train,
        is_classifier=settings.method == "classifier" or settings.cloze.classifier,
        prepare_tokenizer=prepare,
    )


def effective_finetune_settings(
    settings: FinetuneSettings, checkpoint: Path | None, num_processes: int
) -> dict[str, Any]:
    """Return the settings that stand for others when two starts are compared."""
    train = settings.train
    found: dict[str, Any] = {
        "optim.learning_rate": settings.learning_rate,
        MIXTURE: settings.data.mixture,
    }
    schedule = settings.optim.schedule
    # A longer run has another schedule; of wsd with a number of steps, the engine knows since when.
    if schedule in ("cosine", "linear") or (schedule == "wsd" and train.max_steps is None):
        found["the length of the run"] = [train.epochs, train.max_steps]
    if settings.task in WRITING_TASKS:  # it decides which pairs share a batch
        share = max(train.batch_tokens // num_processes, 1)
        found["train.micro_batch_tokens"] = train.micro_batch_tokens or share
        batches = PairBatches.of(
            family_of_run(settings.model).rows,
            batch_tokens=train.batch_tokens,
            micro_batch_tokens=train.micro_batch_tokens,
            longest=settings.seq2seq.max_source_length + settings.seq2seq.max_target_length,
            num_workers=0,
            world=World(0, num_processes, torch.device("cpu")),
        )
        found[ROWS_OF_A_STEP] = batches.rows_per_step
    return found


def _with_room(settings: FinetuneSettings, given: Collection[str]) -> FinetuneSettings:
    """Return the settings with lengths of texts, where none were given, that the model has."""
    base = _base(settings.model)
    if settings.task not in WRITING_TASKS or base is None or not (base / "config.json").is_file():
        return settings
    positions, pairs = int(config_in(base).max_position_embeddings), settings.seq2seq
    source, target = pairs.max_source_length, pairs.max_target_length
    if "seq2seq.max_source_length" not in given:
        source = min(source, positions)
    if "seq2seq.max_target_length" not in given:
        target = min(target, positions)
    shorter = replace(pairs, max_source_length=source, max_target_length=target)
    return replace(settings, seq2seq=shorter)


def _base(model: FinetuneModelSettings) -> Path | None:
    folder = model.init_from
    return None if folder is None else Path(folder).resolve()


def _finish(settings: FinetuneSettings) -> Any:
    """Return what takes the parts that only training needs from a finished model."""
    if settings.task not in WRITING_TASKS or settings.ganlm.keep_discriminator:
        return None
    return family_of_run(settings.model).published


def _adapter_facts(settings: FinetuneSettings) -> dict[str, str | int | float]:
    """Return what the record of an adapter says of its training."""
    facts: dict[str, str | int | float] = {"task": settings.task, "seed": settings.train.seed}
    if settings.task not in WRITING_TASKS and not settings.cloze.classifier:
        task, asking = load_task(settings.task), Words.of(settings.cloze, 0).training
        usual = task.default_pattern if asking.prompts is None else 0
        if task.patterns:
            facts["patterns"] = " | ".join(asking.texts(task, settings.cloze.patterns or (usual,)))
    return facts


def _rate_note(settings: FinetuneSettings) -> str:
    is_given = settings.optim.learning_rate is not None
    return " (set)" if is_given else f" (default for --method {settings.method})"
