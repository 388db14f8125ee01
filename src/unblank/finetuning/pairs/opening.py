"""Opens the training on pairs: files read, encoded and dealt to batches."""

import warnings
from collections.abc import Callable, Collection, Sequence
from typing import get_args

from transformers import PreTrainedTokenizerFast

from unblank.data.sampling import Sampler
from unblank.data.shards import SHARDS_NAME
from unblank.engine.parallel import World
from unblank.engine.training import RunContext
from unblank.examples import Seq2SeqExample
from unblank.families.family import Family
from unblank.families.settings import FamilySections, ModelSettings, TokenizerSettings
from unblank.families.table import family_of_run
from unblank.finetuning.pairs.answers import Answering
from unblank.finetuning.pairs.batches import SHORTEST_LENGTH, PairBatches
from unblank.finetuning.pairs.encoded import EncodedPairs
from unblank.finetuning.pairs.encoding import PairEncoder
from unblank.finetuning.pairs.entries import (
    RawEntry,
    encode_entries,
    pairs_table,
    read_entries,
    read_training_entries,
    sampling_settings,
    unused_of_entries,
)
from unblank.finetuning.pairs.start import PairStart
from unblank.finetuning.pairs.training import HeldOutPairs, PairTraining, TrainingPairs
from unblank.finetuning.pairs.transfer import plain_text_sampler
from unblank.finetuning.settings import (
    FinetuneDataSettings,
    FinetuneGanLMSettings,
    FinetuneTrainSettings,
    GenerationSettings,
    MetricName,
    PairSettings,
)
from unblank.settings.given import refuse_unused

__all__ = [
    "metric_of",
    "open_pairs",
    "pair_start",
    "pair_training",
    "require_writing",
    "unused_of_family",
]


def open_pairs(
    context: RunContext,
    *,
    model: ModelSettings,
    tokenizer: TokenizerSettings,
    data: FinetuneDataSettings,
    pairs: PairSettings,
    ganlm: FinetuneGanLMSettings,
    train: FinetuneTrainSettings,
    generation: GenerationSettings,
    given: Collection[str],
    prepare_tokenizer: Callable[[PreTrainedTokenizerFast], None] | None,
) -> PairTraining:
    """Return the training with its data read and encoded.

    The sections of the settings are given one by one, and `pairs` is `seq2seq`. `given` has the
    names of the settings that were given; `prepare_tokenizer` is called once there is a tokenizer.

    Raises:
        ValueError: data, model and settings do not fit; the message names file and line.
        FileNotFoundError: a file or folder is not there.
    """
    world = context.world
    family = family_of_run(model, context.checkpoint)
    require_writing(family, "seq2seq")
    refuse_unused(given, unused_of_family(family))
    for name, why in unused_of_entries(data).items():
        if name in given and world.is_main:
            warnings.warn(f"{name} is ignored: {why}", stacklevel=2)
    metric = metric_of(train, world, "seq2seq", get_args(MetricName), "loss")
    entries = read_training_entries(data)
    held_out = read_entries(data, data.validation, data.validation_languages)
    start = pair_start(context, family, model, tokenizer, pairs, ganlm, train)
    with world.main_first():
        known = start.open_tokenizer(entries)
    if prepare_tokenizer is not None:
        prepare_tokenizer(known)
    encoder = PairEncoder(
        known, family.special_ids(known), pairs, family.writes == "blanks", world.is_main
    )
    encoded, measured = encode_entries(entries, encoder), encode_entries(held_out, encoder)
    _show(context, entries, held_out, [*encoded, *measured])
    return pair_training(
        context,
        start,
        known,
        encoder,
        encoded,
        HeldOutPairs(
            entries=measured,
            names=_names(data.validation_languages, held_out),
            measured=train.validation_samples,
            # Shards compute in step: with them every process measures everything.
            is_shared=train.parallel == "ddp",
            precision=context.precision,
        ),
        data=data,
        pairs=pairs,
        train=train,
        answering=Answering.of(generation, pairs.max_target_length),
        metric=metric,
    )


def pair_training(
    context: RunContext,
    start: PairStart,
    tokenizer: PreTrainedTokenizerFast,
    encoder: PairEncoder,
    encoded: Sequence[EncodedPairs],
    held_out: HeldOutPairs,
    *,
    data: FinetuneDataSettings,
    pairs: PairSettings,
    train: FinetuneTrainSettings,
    answering: Answering,
    metric: str,
) -> PairTraining:
    """Return the training on pairs, wherever they come from."""
    plain_text, plain_content = _plain_text_of(data, tokenizer, pairs, train, context.world)
    return PairTraining(
        start=start,
        tokenizer=tokenizer,
        encoder=encoder,
        metric=metric,
        batches=PairBatches.of(
            start.family.rows,
            batch_tokens=train.batch_tokens,
            micro_batch_tokens=train.micro_batch_tokens,
            longest=pairs.max_source_length + pairs.max_target_length,
            num_workers=data.num_workers,
            world=context.world,
        ),
        training=TrainingPairs(
            entries=encoded,
            sampling=sampling_settings(data, train.seed),
            label_smoothing=pairs.label_smoothing,
            plain_text=plain_text,
            content=[*(entry.content for entry in encoded), *plain_content],
        ),
        held_out=held_out,
        answering=answering,
    )


def pair_start(
    context: RunContext,
    family: Family,
    model: ModelSettings,
    tokenizer: TokenizerSettings,
    pairs: PairSettings,
    ganlm: FinetuneGanLMSettings,
    train: FinetuneTrainSettings,
) -> PairStart:
    """Return what a run on pairs starts from, out of its sections."""
    return PairStart(
        family=family,
        model=model,
        tokenizer=tokenizer,
        sections=FamilySections(ganlm=ganlm.of_any_run),
        branch=ganlm.branch,
        limits={
            "max_source_length": pairs.max_source_length,
            "max_target_length": pairs.max_target_length,
        },
        seed=train.seed,
        output_dir=train.output_dir,
        context=context,
    )


def require_writing(family: Family, task: str) -> None:
    """Raise ValueError if a model of the family writes no text, as the task wants."""
    if family.pair_example is None:
        raise ValueError(
            f"a model of the family {family.name} writes no text: --task {task} needs a GLM, a "
            "DeltaLM or a GanLM"
        )


def unused_of_family(family: Family) -> dict[str, str]:
    """Return the settings that a model of the family does not use: dotted name -> why."""
    unused: dict[str, str] = {}
    if "ganlm" not in family.applies:
        unused["ganlm"] = f"a model of the family {family.name} has no discriminator"
    if family.writes == "blanks":
        unused["data.monolingual"] = "only an encoder-decoder learns from spans of plain text"
    else:
        unused["seq2seq.blank"] = f"a model of the family {family.name} fills no blanks"
    return unused


def metric_of(
    train: FinetuneTrainSettings, world: World, task: str, known: Sequence[str], usual: str
) -> str:
    """Return the score that chooses the best checkpoint.

    Args:
        train: the `train` section.
        world: the processes of the run.
        task: as `--task` names it.
        known: the scores of the task, "loss" among them.
        usual: where none is given.

    Raises:
        ValueError: the task has no such score, or it cannot be had in these processes.
    """
    metric = train.metric or usual
    if metric not in known:
        raise ValueError(
            f"train.metric is {metric!r}: for --task {task} choose one of {', '.join(known)}"
        )
    if metric != "loss" and train.parallel == "fsdp" and world.size > 1:
        raise ValueError(
            f"train.metric {metric} needs the whole model in each process: use --train.parallel "
            "ddp, or --train.metric loss"
        )
    return metric


def _plain_text_of(
    data: FinetuneDataSettings,
    tokenizer: PreTrainedTokenizerFast,
    pairs: PairSettings,
    train: FinetuneTrainSettings,
    world: World,
) -> tuple[Sampler[Seq2SeqExample] | None, list[str]]:
    """Return the samples of `data.monolingual`, if there are any, and a hash of each source."""
    if not data.monolingual:
        return None, []
    with world.main_first():
        return plain_text_sampler(
            data.monolingual,
            tokenizer,
            text_field=data.text_field,
            text_unit=data.text_unit,
            mask_ratio=pairs.mask_ratio,
            max_length=max(pairs.max_source_length, SHORTEST_LENGTH),
            seed=train.seed,
            cache_dir=train.output_dir.parent / SHARDS_NAME,
            show_progress=world.is_main,
        )


def _names(languages: Sequence[str] | None, held_out: Sequence[RawEntry]) -> list[str]:
    """Return a name for the scores of each held-out entry."""
    names = languages or [entry.languages or entry.name.rpartition("/")[2] for entry in held_out]
    return [
        name if names.count(name) == 1 else f"{name} ({number})"
        for number, name in enumerate(names, start=1)
    ]


def _show(
    context: RunContext,
    train: Sequence[RawEntry],
    held_out: Sequence[RawEntry],
    encoded: Sequence[EncodedPairs],
) -> None:
    names = [entry.name for entry in train]
    names += [f"{entry.name} (held out)" for entry in held_out]
    context.display.show(pairs_table(list(zip(names, encoded, strict=True))))
