"""`run_pretrain`: from `PretrainSettings` to a folder that `unblank.load` and transformers open."""

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from unblank.data.settings import MIXTURE
from unblank.data.shards import SHARDS_NAME
from unblank.engine.dry_run import DryRun, thrown_away
from unblank.engine.parallel import join_world, require_equal_shares
from unblank.engine.run import run
from unblank.engine.run_spec import RunSpec
from unblank.engine.training import AllWeights
from unblank.families.table import family_of_run
from unblank.pretraining.prepared_text import cache_folder, find_hold_out, open_cache
from unblank.pretraining.settings import PretrainSettings, PretrainTrainSettings
from unblank.pretraining.standard_input import keep_standard_input
from unblank.pretraining.training import open_pretraining
from unblank.process import LEFT_ALONE, MemoryArrangement
from unblank.settings.given import changed_names
from unblank.starting.model import describe_start
from unblank.starting.tokenizer import TOKENIZER_NAME

__all__ = ["dry_run_pretrain", "refuse_without_text", "run_pretrain"]

_USUAL_STEPS = 1000
"""Steps of a run whose length is not given."""
_USUAL_PERIOD = 500
"""Most steps between two validations, and between two checkpoints, where nothing is said."""


def run_pretrain(
    settings: PretrainSettings,
    *,
    given: Collection[str] | None = None,
    memory: MemoryArrangement = LEFT_ALONE,
    dry_run: DryRun | None = None,
) -> Path:
    """Pretrain, or continue to, and return the folder of the finished model.

    Args:
        settings: of the run.
        given: dotted names of the settings that were given, which the model's family must use; None
            takes those that are not as they are by default.
        memory: what `unblank.process.arrange_memory` returned; a library call leaves it alone.
        dry_run: what the run stands for if only its first steps are to be measured.

    Returns:
        `settings.train.output_dir`, holding model, tokenizer, metrics and provenance.

    Raises:
        ValueError: a setting, file or folder does not fit; the message says what to do.
        FileNotFoundError: a file that is named is not there.
        CheckpointError: a checkpoint could not be written.
        NonFiniteError: the loss stopped being a number.
    """
    _refuse_early(settings)
    given = changed_names(settings) if given is None else given
    settings = _with_length(settings)
    data, train = settings.data, settings.train
    folder = cache_folder(data.cache_dir, train.output_dir)
    with (
        join_world(train.device, train.lost_after) as world,
        open_cache(folder, world, verify=data.verify) as cache,
    ):
        data = replace(data, train=keep_standard_input(data.train, folder, world))
        settings = replace(settings, data=data)
        hold_out = find_hold_out(data, cache, world)
        _require_held_out(train, is_there=data.has_held_out_files or any(hold_out))
        run(
            RunSpec(
                command="pretrain",
                settings=settings,
                open_training=partial(
                    open_pretraining,
                    cache=cache,
                    model=settings.model,
                    tokenizer=settings.tokenizer,
                    data=data,
                    sections=settings.sections,
                    train=train,
                    given=given,
                    hold_out=hold_out,
                ),
                method=AllWeights(),
                start=_describe_start(settings),
                effective=_effective_pretrain_settings,
                learning_rate=settings.optim.learning_rate,
                is_validated=data.has_held_out_files or any(hold_out),
                most_usual_period=_USUAL_PERIOD,
                fill_every=train.sample_every,
                average_last=train.average_last,
                final=train.chosen_weights,
                dry_run=dry_run,
            ),
            world,
            memory,
        )
    return settings.train.output_dir


def dry_run_pretrain(
    settings: PretrainSettings,
    *,
    given: Collection[str] | None = None,
    memory: MemoryArrangement = LEFT_ALONE,
    world: int | None = None,
) -> None:
    """Say what a run would take, from its first steps; arguments and errors as `run_pretrain`.

    Nothing is left of it; text that earlier runs have prepared is not tokenized again.

    With `world` memory is planned by formulas for that many processes, without a step.
    """
    given = changed_names(settings) if given is None else given
    train, data = settings.train, settings.data
    if world is not None:
        rows = family_of_run(settings.model, None).rows
        require_equal_shares(train.batch_size, world, rows.group_size(train.rows_per_pass))
    cache_dir = cache_folder(data.cache_dir, train.output_dir)
    with thrown_away(train.output_dir, cache_dir, [TOKENIZER_NAME]) as folder:
        measured = replace(
            settings,
            train=replace(train, output_dir=folder, track=()),
            data=replace(data, cache_dir=folder.parent / SHARDS_NAME),
        )
        passes = family_of_run(settings.model, None).memory_factor
        stands_for = DryRun(output_dir=train.output_dir, world=world, passes=passes)
        run_pretrain(measured, given=given, memory=memory, dry_run=stands_for)


def refuse_without_text(settings: PretrainSettings) -> None:
    """Raise ValueError if no text is named."""
    if not settings.data.train and not settings.data.pairs:
        raise ValueError("no training text: give --data.train FILE_OR_FOLDER [...]")


def _describe_start(settings: PretrainSettings) -> str:
    start, train = describe_start(settings.model), settings.train
    if train.first_embeddings == "cooccurrence":
        start = f"{start}, embeddings from the co-occurrence of tokens"
    if train.first_attention == "neighbours":
        start = f"{start}, first heads that look at neighbours"
    return start


def _with_length(settings: PretrainSettings) -> PretrainSettings:
    """Return settings that say how long the run is: in steps, or in minutes."""
    train = settings.train
    if train.max_steps is not None or train.minutes is not None:
        return settings
    return replace(settings, train=replace(train, max_steps=_USUAL_STEPS))


def _refuse_early(settings: PretrainSettings) -> None:
    """Raise what can be found before text is read, which may take hours."""
    refuse_without_text(settings)
    has_weights = settings.model.init_from or settings.model.init_from_encoder
    train = settings.train
    wanted = {"first_embeddings": train.first_embeddings, "first_attention": train.first_attention}
    for name, value in wanted.items():
        if value != "drawn" and has_weights:
            raise ValueError(
                f"train.{name} is {value}, but the weights come from {has_weights}: leave it out"
            )


def _require_held_out(train: PretrainTrainSettings, *, is_there: bool) -> None:
    """Raise ValueError for a setting that means nothing without held-out text."""
    wanted = {
        "train.sample_every": train.sample_every > 0,
        "train.average_last": train.average_last > 0,
        "train.final best": train.final == "best",
    }
    for name, is_wanted in wanted.items():
        if is_wanted and not is_there:
            raise ValueError(
                f"{name} needs held-out text: give --data.validation FILE_OR_FOLDER [...], or "
                "--data.hold-out SHARE"
            )


def _effective_pretrain_settings(
    settings: PretrainSettings, checkpoint: Path | None, num_processes: int
) -> dict[str, Any]:
    """Return the settings that stand for others when two starts are compared."""
    optim, train, objective = settings.optim, settings.train, settings.objective
    # Not given means the end of the run: a longer run then has another schedule.
    has_end = optim.schedule in ("cosine", "linear")
    found: dict[str, Any] = {
        "optim.decay_steps": (optim.decay_steps or train.max_steps) if has_end else None,
        # It has no effect without sentence spans.
        "objective.sentence_limit": objective.sentence_limit if objective.sentence else 0.0,
        "train.micro_batch_size": train.rows_per_pass,
        MIXTURE: settings.data.mixture,
    }
    if family_of_run(settings.model, checkpoint).rows.is_forward_pass:
        # Then it decides which samples share a batch.
        found["train.micro_batch_size (of an encoder-decoder)"] = train.rows_per_pass
    return found
