"""What the task `seq2seq` starts with: the tokenizer with all tags, and the model that fits it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.compatibility import enable_activation_checkpointing
from unblank.engine.task import TaskContext
from unblank.families.family import Family
from unblank.families.settings import FamilySections, GanLMSettings
from unblank.finetuning.methods import prepare_tokenizer
from unblank.finetuning.pairs.batches import SHORTEST_LENGTH
from unblank.finetuning.pairs.entries import RawEntry
from unblank.finetuning.pairs.vocabulary import extend_model, with_extra_tokens
from unblank.starting.model import build_model
from unblank.starting.tokenizer import TOKENIZER_NAME, open_tokenizer
from unblank.tokenization.special import encoder_decoder_ids

__all__ = ["open_pair_tokenizer", "start_model"]


def open_pair_tokenizer(
    context: TaskContext, family: Family, train: Sequence[RawEntry]
) -> PreTrainedTokenizerFast:
    """Return the tokenizer of the run, with the tokens that it adds to the model's.

    Args:
        context: the run; its main process must call this first.
        family: of the model.
        train: what a new tokenizer is trained on.

    Raises:
        FileNotFoundError: if a named folder holds no tokenizer.
        ValueError: if the method cannot train added tokens.
    """
    tokenizer = _of_the_start(context, family, train)
    if context.checkpoint is None:
        tokenizer = with_extra_tokens(tokenizer, context.config.tokenizer.extra_tokens)
    prepare_tokenizer(context.config, tokenizer)
    return tokenizer


def start_model(
    context: TaskContext, family: Family, tokenizer: PreTrainedTokenizerFast
) -> PreTrainedModel:
    """Return the model to start from, with embeddings for added tokens; float32, on the CPU.

    Args:
        context: the run.
        family: of the model.
        tokenizer: from `open_pair_tokenizer`.

    Raises:
        ValueError: if model, tokenizer and settings do not fit.
        FileNotFoundError: if a folder is not there.
    """
    config, settings = context.config, context.config.seq2seq
    is_new = context.checkpoint is None and config.model.init_from is None
    longest = max(settings.max_source_length, settings.max_target_length, SHORTEST_LENGTH)
    known = tokenizer
    if context.checkpoint is None and config.model.init_from is not None:
        known = _of_the_start(context, family, ())
    model = _build(context, family, known, longest if is_new else SHORTEST_LENGTH)
    extend_model(model, tokenizer, config.train.seed)
    _require_positions(context, model)
    if family.writes == "targets":
        _require_same_ends(model, tokenizer)
    return model


def _build(
    context: TaskContext, family: Family, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> PreTrainedModel:
    """Return the model, of a GanLM the branch that is tuned to write."""
    config, checkpoint = context.config, context.checkpoint
    ganlm = config.ganlm

    def build(ganlm: GanLMSettings) -> PreTrainedModel:
        return build_model(
            config.model,
            tokenizer,
            FamilySections(ganlm=ganlm),
            max_length=max_length,
            seed=config.train.seed,
            checkpoint=checkpoint,
        )

    if ganlm.branch == "both":
        return build(ganlm)
    # The checkpoint of a run has its branch as the generator.
    branch = ganlm.branch if checkpoint is None else "generator"
    needed = replace(
        ganlm,
        branch="both",
        discriminator_weight=float(branch == "discriminator"),
        denoising_weight=0.0,
    )
    writer = family.writer(build(needed), branch)
    if config.model.activation_checkpointing:
        enable_activation_checkpointing(writer)
    return writer


def _of_the_start(
    context: TaskContext, family: Family, train: Sequence[RawEntry]
) -> PreTrainedTokenizerFast:
    """Return the tokenizer as the model to start from knows it, without added tokens."""

    def texts() -> Iterable[str]:
        return [
            text for entry in train for pair in entry.pairs for text in (pair.source, *pair.targets)
        ]

    config = context.config
    return open_tokenizer(
        config.model,
        config.tokenizer,
        family,
        texts,
        folder=config.train.output_dir / TOKENIZER_NAME,
        world=context.world,
        checkpoint=context.checkpoint,
        display=context.display,
    )


def _require_positions(context: TaskContext, model: PreTrainedModel) -> None:
    limit = model.config.max_position_embeddings
    for name in ("max_source_length", "max_target_length"):
        value = getattr(context.config.seq2seq, name)
        if value > limit:
            raise ValueError(
                f"seq2seq.{name} is {value}, the model has {limit} positions: set "
                f"--seq2seq.{name} {limit} or less"
            )


def _require_same_ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Refuse a model that would generate from another start, or to another end, than it learns."""
    ids, config = encoder_decoder_ids(tokenizer), model.config
    for name, value in (("decoder_start_token_id", ids.sop), ("eos_token_id", ids.eos)):
        if getattr(config, name) != value:
            raise ValueError(
                f"the model's {name} is {getattr(config, name)}, its tokenizer says {value}: give "
                "the tokenizer that belongs to the model, or correct config.json"
            )
