"""How a model is set up to decode: what it may write, how much of it, and how it starts.

A family that writes blanks fills them after the text; one that writes targets answers after its
encoder. Each searches by the rule of its published program, so that the same weights give the same
answers as there.
"""

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from unblank.families.decoding import GLM_INTERACTIVE_STOPPING, GLM_STOPPING, StoppingRule
from unblank.families.table import family_of_model
from unblank.generation.decoding import TokenRules
from unblank.generation.options import DecodingOptions, GenerationOptions, SearchOptions
from unblank.generation.setup import DecoderSetup
from unblank.generation.source_rows import SourceRows
from unblank.tokenization.source_layout import tag_token_id
from unblank.tokenization.special import special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["answer_setup", "fill_setup", "longest_answer"]

_USUAL_FILL, _USUAL_ANSWER = 64, 200
"""Most tokens of a fill and of an answer, unless the model has fewer positions."""


def fill_setup(
    model: Any, tokenizer: "PreTrainedTokenizerFast", options: DecodingOptions
) -> DecoderSetup:
    """Return how a model fills blanks.

    Raises:
        ValueError: if a blank may have more tokens than the model has positions, or for a model
            that fills no blanks.
    """
    if family_of_model(model).writes != "blanks":
        raise ValueError(
            f"a {model.config.model_type} fills no blanks: use generate or score, or load a GLM"
        )
    is_interactive = options.decoder == "interactive"
    return DecoderSetup(
        model=model,
        options=options,
        rules=blank_rules(tokenizer, model.config, options),
        start_id=special_ids(tokenizer).sop,
        stopping=GLM_INTERACTIVE_STOPPING if is_interactive else GLM_STOPPING,
        feeds_cut_token=not is_interactive,
    )


def answer_setup(
    model: Any, tokenizer: "PreTrainedTokenizerFast", options: GenerationOptions
) -> DecoderSetup:
    """Return how a model answers sources.

    Raises:
        ValueError: options that the model cannot follow.
    """
    family = family_of_model(model)
    if family.stopping is None:
        raise ValueError(
            f"a {model.config.model_type} writes no text: load a GLM, DeltaLM or GanLM"
        )
    build = _answer_in_blank if family.writes == "blanks" else _answer_behind_encoder
    return build(model, tokenizer, options, family.stopping)


def longest_answer(config: Any, options: GenerationOptions) -> int:
    """Return for how many tokens of an answer the model has positions."""
    longest: int = config.max_position_embeddings - 1 - (options.target_tag is not None)
    return longest


def blank_rules(
    tokenizer: "PreTrainedTokenizerFast", config: Any, options: DecodingOptions
) -> TokenRules:
    """Return what may be written in a blank: text, and the two tokens that end it.

    Special tokens and the padded rows of the embedding table are never generated.

    Args:
        tokenizer: of the model.
        config: of the model: rows of its embedding table, and positions.
        options: decoding options.

    Raises:
        ValueError: if a blank may have more tokens than the model has positions.
    """
    longest = config.max_position_embeddings - 1
    _require_room(options, longest, "in a blank")
    special = special_ids(tokenizer)
    roles = {special.pad, special.eos, special.cls, special.sep, special.unk, special.sop}
    roles |= {special.eop, special.dblock, *special.blanks, *special.sentinels}
    return _rules(tokenizer, config, options, roles, (special.eop, special.eos), longest)


def _answer_in_blank(
    model: Any,
    tokenizer: "PreTrainedTokenizerFast",
    options: GenerationOptions,
    stopping: StoppingRule,
) -> DecoderSetup:
    if options.target_tag:
        raise ValueError("target_tag applies to an encoder-decoder only: use source_tag for a GLM")
    decoding = _decoding_options(options, longest_answer(model.config, options))
    return DecoderSetup(
        model=model,
        options=decoding,
        rules=blank_rules(tokenizer, model.config, decoding),
        start_id=special_ids(tokenizer).sop,
        stopping=stopping,
    )


def _answer_behind_encoder(
    model: Any,
    tokenizer: "PreTrainedTokenizerFast",
    options: GenerationOptions,
    stopping: StoppingRule,
) -> DecoderSetup:
    if options.blank is not None:
        raise ValueError(
            f"blank is {options.blank}, but an encoder-decoder has no blanks: leave it out"
        )
    first_ids = [tag_token_id(tokenizer, tag)] if (tag := options.target_tag) else []
    config, longest = model.config, longest_answer(model.config, options)
    decoding = _decoding_options(options, longest)
    start = config.decoder_start_token_id
    roles = (config.pad_token_id, config.bos_token_id, config.unk_token_id, config.mask_token_id)
    never = {role for role in (*roles, start) if role is not None}
    return DecoderSetup(
        model=model,
        options=decoding,
        rules=_rules(tokenizer, config, decoding, never, (config.eos_token_id,), longest),
        start_id=start,
        stopping=stopping,
        new_rows=partial(SourceRows, first_ids=first_ids),
    )


def _decoding_options(options: GenerationOptions, longest: int) -> DecodingOptions:
    """Return the same options for the decoders; the penalty is of no use to a single row."""
    _require_room(options, longest, "of an answer")
    shared = {field.name: getattr(options, field.name) for field in fields(SearchOptions)}
    usual = max(min(_USUAL_ANSWER, longest), options.min_tokens)
    return DecodingOptions(
        **shared,
        max_tokens=options.max_tokens or usual,
        length_penalty=options.length_penalty if options.num_beams > 1 else 0.0,
        num_alternatives=0,
    )


def _rules(
    tokenizer: "PreTrainedTokenizerFast",
    config: Any,
    options: DecodingOptions,
    roles: set[int],
    end_ids: tuple[int, ...],
    longest: int,
) -> TokenRules:
    """Return the rules that never write these roles, special tokens or rows without a token."""
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    unused = set(range(len(tokenizer), config.vocab_size))
    return TokenRules(
        end_ids=end_ids,
        forbidden_ids=roles | special | unused,
        vocab_size=config.vocab_size,
        max_tokens=options.max_tokens or max(min(_USUAL_FILL, longest), options.min_tokens),
        min_tokens=options.min_tokens,
        no_repeat_ngram=options.no_repeat_ngram,
    )


def _require_room(options: DecodingOptions | GenerationOptions, longest: int, where: str) -> None:
    if max(options.max_tokens or 0, options.min_tokens) > longest:
        raise ValueError(
            f"max_tokens is {options.max_tokens} and min_tokens is {options.min_tokens}, but the "
            f"model has positions for {longest} tokens {where}: lower them"
        )
