"""Writing answers to sources, with every model here: batches of like length, results in order.

An encoder-decoder writes behind its encoder, a GLM in a blank behind the source. Each searches by
the rule of its published program (`unblank.generation.beam`), so that the same weights give the
same answers as there.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from unblank.generation.beam import FAIRSEQ_STOPPING, GLM_STOPPING, BeamDecoder
from unblank.generation.decoding import TokenRules
from unblank.generation.independent import IndependentDecoder
from unblank.generation.infill import control_ids, token_rules
from unblank.generation.options import DecodingOptions, GenerationOptions, SearchOptions
from unblank.generation.pieces import Filling
from unblank.generation.results import Generated, TokenEvent
from unblank.generation.rows import Prompt, Rows, RowsMaker
from unblank.generation.source_rows import SourceRows
from unblank.generation.sources import Source, read_sources
from unblank.progress_bars import progress_bar
from unblank.tokenization.source_layout import tag_token_id
from unblank.tokenization.special import special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["SourceAnswerer", "generate_from_ids", "generate_texts"]

DEFAULT_MAX_TOKENS = 200
DEFAULT_BATCH_SIZE = 32


def generate_texts(
    model: Any,
    tokenizer: "PreTrainedTokenizerFast",
    sources: Sequence[str],
    options: GenerationOptions | None = None,
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    show_progress: bool = False,
) -> list[Generated]:
    """Return what the model writes to each source, in the order of the sources.

    Args:
        model: a DeltaLM, GanLM or GLM with its head, in evaluation mode.
        tokenizer: its tokenizer.
        sources: plain texts; one for a GLM may hold the blank that is to be filled.
        options: how answers are written; None is greedy.
        batch_size: sources answered together; it does not change a result.
        show_progress: show a bar on the error stream.

    Raises:
        ValueError: options, sources and model that do not fit; sources that are too long, unless
            they may be cut (a warning then tells how many were).
    """
    answerer = SourceAnswerer(model, tokenizer, options or GenerationOptions())
    with progress_bar(show=show_progress) as progress:
        task = progress.add_task("generate", total=len(sources))
        answers = answerer.answer(
            sources, batch_size=batch_size, on_batch=lambda count: progress.advance(task, count)
        )
    if num_cut := sum(answer.is_source_cut for answer in answers):
        limit = model.config.max_position_embeddings
        warnings.warn(
            f"{num_cut} of {len(answers)} sources were cut at the model's {limit} positions",
            stacklevel=2,
        )
    return answers


def generate_from_ids(
    model: Any,
    tokenizer: "PreTrainedTokenizerFast",
    prompts: Sequence[Prompt],
    options: GenerationOptions | None = None,
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    show_progress: bool = False,
) -> list[Generated]:
    """Return what the model writes to sources that are already laid out as token ids.

    Args:
        model: as for `generate_texts`.
        tokenizer: its tokenizer.
        prompts: complete inputs of the encoder, or Part A of a GLM with the place of its blank.
        options: as for `generate_texts`; what lays out sources (tag, blank) is not used.
        batch_size: sources answered together.
        show_progress: show a bar on the error stream.

    Raises:
        ValueError: options and model do not fit.
    """
    answerer = SourceAnswerer(model, tokenizer, options or GenerationOptions())
    with progress_bar(show=show_progress) as progress:
        task = progress.add_task("generate", total=len(prompts))
        return answerer.answer_prompts(
            prompts, batch_size=batch_size, on_batch=lambda count: progress.advance(task, count)
        )


class SourceAnswerer:
    """Writes answers with one model, tokenizer and set of options.

    Args:
        model: a DeltaLM, GanLM or GLM with its head, in evaluation mode.
        tokenizer: its tokenizer.
        options: how answers are written.

    Raises:
        ValueError: options that the model cannot follow, or a model in training mode.
    """

    def __init__(
        self, model: Any, tokenizer: "PreTrainedTokenizerFast", options: GenerationOptions
    ) -> None:
        if model.training:
            raise ValueError("the model is in training mode, with dropout: call model.eval()")
        self._model = model
        self._tokenizer = tokenizer
        self._options = options
        self._is_glm = not model.config.is_encoder_decoder
        if self._is_glm and options.target_tag:
            raise ValueError("target_tag is for encoder-decoders: give a GLM source_tag")
        if not self._is_glm and options.blank is not None:
            raise ValueError(f"blank {options.blank} is for GLMs: an encoder-decoder has no blanks")
        first_ids = [tag_token_id(tokenizer, tag)] if (tag := options.target_tag) else []
        if self._is_glm:
            self._new_rows: RowsMaker = Rows
            self._start_id: int = special_ids(tokenizer).sop
        else:
            self._new_rows = partial(SourceRows, first_ids=first_ids)
            self._start_id = model.config.decoder_start_token_id
        self._most_tokens: int = model.config.max_position_embeddings - 1 - len(first_ids)
        self._decoding = _decoding_options(options, self._most_tokens)
        self._rules = _token_rules(tokenizer, model.config, self._decoding)

    def check(self, sources: Sequence[str]) -> None:
        """Raise what `answer` would raise for these sources."""
        read_sources(self._model.config, self._tokenizer, sources, self._options)

    def answer(
        self,
        sources: Sequence[str],
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> list[Generated]:
        """Return the answers in the order of the sources.

        Args:
            sources: as for `generate_texts`.
            batch_size: sources answered together.
            on_batch: called with the number of sources that were just answered.

        Raises:
            ValueError: as for `generate_texts`.
        """
        read = read_sources(self._model.config, self._tokenizer, sources, self._options)
        return self._answer(read, batch_size, on_batch)

    def answer_prompts(
        self,
        prompts: Sequence[Prompt],
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> list[Generated]:
        """Return the answers to token ids; arguments as for `generate_from_ids` and `answer`."""
        return self._answer([Source(prompt) for prompt in prompts], batch_size, on_batch)

    def stream(self, source: str) -> Iterator[TokenEvent | Generated]:
        """Yield every token of one answer as it is chosen, then the answer.

        Args:
            source: as for `generate_texts`.

        Raises:
            ValueError: also for beam search and several answers, which have no single next token.
        """
        if self._options.num_beams > 1 or self._options.num_return > 1:
            raise ValueError("only greedy decoding and sampling of one answer can be streamed")
        return self._stream(
            read_sources(self._model.config, self._tokenizer, [source], self._options)[0]
        )

    def _stream(self, source: Source) -> Iterator[TokenEvent | Generated]:
        decoder = self._independent([self._limited(source.prompt)])
        events = decoder.run()
        answer: list[int] = []
        while True:
            # The mode must not leak into the caller's code between two tokens.
            with torch.inference_mode():
                event = next(events, None)
            if event is None:
                break
            is_end = event.token_id in self._rules.end_ids
            answer += [] if is_end else [event.token_id]
            token = self._tokenizer.convert_ids_to_tokens(event.token_id)
            so_far = self._text(answer)
            yield TokenEvent(0, token, event.token_id, event.log_probability, so_far, is_end)
        yield self._result(source, decoder.fillings()[0])

    @torch.inference_mode()
    def _answer(
        self, sources: Sequence[Source], batch_size: int, on_batch: Callable[[int], None]
    ) -> list[Generated]:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: it must be at least 1")
        # Sources of like length need the least padding; the longest come first, to fail early.
        by_length = sorted(range(len(sources)), key=lambda i: -len(sources[i].prompt.token_ids))
        answers: dict[int, Generated] = {}
        for start in range(0, len(sources), batch_size):
            batch = by_length[start : start + batch_size]
            found = self._decode([self._limited(sources[index].prompt) for index in batch])
            for index, fillings in zip(batch, found, strict=True):
                answers[index] = self._result(sources[index], fillings)
            on_batch(len(batch))
        return [answers[index] for index in range(len(sources))]

    def _limited(self, prompt: Prompt) -> Prompt:
        """Return the prompt with the greatest length of its own answer."""
        if prompt.max_tokens is not None:
            return prompt
        more = int(self._options.max_tokens_ratio * len(prompt.token_ids))
        return replace(prompt, max_tokens=min(self._rules.max_tokens + more, self._most_tokens))

    def _independent(self, prompts: Sequence[Prompt]) -> IndependentDecoder:
        return IndependentDecoder(
            self._model,
            prompts,
            self._decoding,
            self._rules,
            self._start_id,
            new_rows=self._new_rows,
        )

    def _decode(self, prompts: Sequence[Prompt]) -> list[list[Filling]]:
        if self._options.num_beams > 1:
            return BeamDecoder(
                self._model,
                prompts,
                self._decoding,
                self._rules,
                self._start_id,
                stopping=GLM_STOPPING if self._is_glm else FAIRSEQ_STOPPING,
                new_rows=self._new_rows,
            ).run()
        decoder = self._independent(prompts)
        for _ in decoder.run():
            pass
        return [
            sorted(found, key=lambda filling: -filling.log_probability)
            for found in decoder.fillings()
        ]

    def _result(self, source: Source, fillings: Sequence[Filling]) -> Generated:
        first, *others = [self._one_result(source, filling) for filling in fillings]
        return replace(first, alternatives=tuple(others))

    def _one_result(self, source: Source, filling: Filling) -> Generated:
        (piece,) = filling.pieces
        # At the greatest length a beam is made to end.
        limit = self._limited(source.prompt).max_tokens
        return Generated(
            text=self._text(piece.token_ids),
            token_ids=tuple(piece.token_ids),
            log_probability=piece.log_probability,
            finished=piece.is_finished and len(piece.token_ids) != limit,
            is_source_cut=source.is_cut,
        )

    def _text(self, token_ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(
            list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text.lstrip(" ")


def _decoding_options(options: GenerationOptions, most_tokens: int) -> DecodingOptions:
    """Return the same options for the decoders; the penalty is of no use to a single row."""
    if max(options.max_tokens or 0, options.min_tokens) > most_tokens:
        raise ValueError(
            f"max_tokens is {options.max_tokens} and min_tokens {options.min_tokens}, but the "
            f"model has positions for {most_tokens} tokens of an answer"
        )
    shared = {field.name: getattr(options, field.name) for field in fields(SearchOptions)}
    usual = max(min(DEFAULT_MAX_TOKENS, most_tokens), options.min_tokens)
    return DecodingOptions(
        **shared,
        max_tokens=options.max_tokens or usual,
        length_penalty=options.length_penalty if options.num_beams > 1 else 0.0,
        num_alternatives=0,
    )


def _token_rules(
    tokenizer: "PreTrainedTokenizerFast", config: Any, options: DecodingOptions
) -> TokenRules:
    """Return what may be written: text, and the end; never special tokens or unused rows."""
    if not config.is_encoder_decoder:
        return token_rules(tokenizer, config, options)
    assert options.max_tokens is not None
    roles = (config.pad_token_id, config.bos_token_id, config.unk_token_id, config.mask_token_id)
    start = config.decoder_start_token_id
    never = {role for role in (*roles, start) if role is not None}
    return TokenRules(
        end_ids=(config.eos_token_id,),
        forbidden_ids=never | control_ids(tokenizer, config.vocab_size),
        vocab_size=config.vocab_size,
        max_tokens=options.max_tokens,
        min_tokens=options.min_tokens,
        no_repeat_ngram=options.no_repeat_ngram,
    )
