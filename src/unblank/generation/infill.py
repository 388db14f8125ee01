"""Filling the blanks of texts: from strings to results, over either decoder."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from unblank.generation.beam import BeamDecoder
from unblank.generation.decoding import TokenRules
from unblank.generation.independent import IndependentDecoder
from unblank.generation.options import DecodingOptions
from unblank.generation.pieces import Filling
from unblank.generation.prompts import BlankedText, decode_after, read_text, splice
from unblank.generation.results import BlankFill, FillResult, TokenEvent
from unblank.generation.rows import Prompt
from unblank.tokenization.special import SpecialIds, special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Filler", "control_ids", "token_rules"]

DEFAULT_MAX_TOKENS = 64


def token_rules(
    tokenizer: "PreTrainedTokenizerFast", config: Any, options: DecodingOptions
) -> TokenRules:
    """Return what a model may write: text, and the two tokens that end a blank.

    Special tokens and the padded rows of the embedding table are never generated.

    Args:
        tokenizer: of the model.
        config: of the model: rows of its embedding table, and positions.
        options: decoding options.

    Raises:
        ValueError: if a blank may have more tokens than the model has positions.
    """
    longest = config.max_position_embeddings - 1
    if max(options.max_tokens or 0, options.min_tokens) > longest:
        raise ValueError(
            f"max_tokens is {options.max_tokens} and min_tokens {options.min_tokens}, but the "
            f"model has positions for {longest} tokens in a blank"
        )
    special = special_ids(tokenizer)
    roles = {special.pad, special.eos, special.cls, special.sep, special.unk, special.sop}
    roles |= {special.eop, special.dblock, *special.blanks, *special.sentinels}
    return TokenRules(
        end_ids=(special.eop, special.eos),
        forbidden_ids=roles | control_ids(tokenizer, config.vocab_size),
        vocab_size=config.vocab_size,
        max_tokens=options.max_tokens or max(min(DEFAULT_MAX_TOKENS, longest), options.min_tokens),
        min_tokens=options.min_tokens,
        no_repeat_ngram=options.no_repeat_ngram,
    )


def control_ids(tokenizer: "PreTrainedTokenizerFast", vocab_size: int) -> set[int]:
    """Return the ids that are no text: special tokens, and rows of the table without a token."""
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return special | set(range(len(tokenizer), vocab_size))


class Filler:
    """Fills texts with one model, tokenizer and set of options.

    Args:
        model: a `GlmInfillForConditionalGeneration`.
        tokenizer: its tokenizer.
        options: decoding options.

    Raises:
        ValueError: if a blank may have more tokens than the model has positions, or for a model
            that is no GLM.
    """

    def __init__(
        self, model: Any, tokenizer: "PreTrainedTokenizerFast", options: DecodingOptions
    ) -> None:
        if model.config.is_encoder_decoder:
            raise ValueError(
                f"a {model.config.model_type} writes answers to whole texts: use generate, or "
                "score; to fill blanks load a GLM"
            )
        self._model = model
        self._tokenizer = tokenizer
        self._options = options
        self._special: SpecialIds = special_ids(tokenizer)
        self._rules = token_rules(tokenizer, model.config, options)
        self._max_positions: int = model.config.max_position_embeddings

    def check(self, text: str, *, order: Sequence[int] | None = None) -> None:
        """Raise what `fill` would raise for this text."""
        self._read(text, order)

    @torch.inference_mode()
    def fill(
        self, texts: Sequence[str], *, order: Sequence[int] | None = None, batch_size: int = 16
    ) -> list[FillResult]:
        """Return the results of all texts, in their order.

        Args:
            texts: each with at least one blank.
            order: blanks, counted from 0, in the order of filling; None is left to right.
            batch_size: texts decoded together.

        Raises:
            ValueError: a text without a blank, too long, or not fitting `order`.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: it must be at least 1")
        blanked = [self._read(text, order) for text in texts]
        # Texts of like length together need the least padding.
        by_length = sorted(range(len(texts)), key=lambda i: len(blanked[i].prompt.token_ids))
        results: dict[int, FillResult] = {}
        for start in range(0, len(texts), batch_size):
            batch = by_length[start : start + batch_size]
            fillings = self._decode([blanked[index].prompt for index in batch])
            for index, found in zip(batch, fillings, strict=True):
                results[index] = self._result(blanked[index], found)
        return [results[index] for index in range(len(texts))]

    def stream(
        self, text: str, *, order: Sequence[int] | None = None
    ) -> Iterator[TokenEvent | FillResult]:
        """Yield every token of one text as it is chosen, then the result.

        Args:
            text: with at least one blank.
            order: as for `fill`.

        Raises:
            ValueError: also for beam search and several alternatives, which have no single next
                token.
        """
        if self._options.num_beams > 1 or self._options.num_return > 1:
            raise ValueError("only greedy decoding and sampling of one fill can be streamed")
        return self._stream(self._read(text, order))

    def _stream(self, blanked: BlankedText) -> Iterator[TokenEvent | FillResult]:
        decoder = self._independent([blanked.prompt])
        events = decoder.run()
        answers: dict[int, list[int]] = {}
        while True:
            # The mode must not leak into the caller's code between two tokens.
            with torch.inference_mode():
                event = next(events, None)
            if event is None:
                break
            blank = blanked.order[event.blank]
            is_end = event.token_id in self._rules.end_ids
            answer = answers.setdefault(blank, [])
            answer.extend([] if is_end else [event.token_id])
            token = self._tokenizer.convert_ids_to_tokens(event.token_id)
            so_far = decode_after(self._tokenizer, "", answer).lstrip(" ")
            yield TokenEvent(blank, token, event.token_id, event.log_probability, so_far, is_end)
        yield self._result(blanked, decoder.fillings()[0])

    def _read(self, text: str, order: Sequence[int] | None) -> BlankedText:
        return read_text(
            self._tokenizer, self._special, text, max_positions=self._max_positions, order=order
        )

    def _independent(self, prompts: Sequence[Prompt]) -> IndependentDecoder:
        return IndependentDecoder(
            self._model, prompts, self._options, self._rules, self._special.sop
        )

    def _decode(self, prompts: Sequence[Prompt]) -> list[list[Filling]]:
        if self._options.num_beams > 1:
            return BeamDecoder(
                self._model, prompts, self._options, self._rules, self._special.sop
            ).run()
        decoder = self._independent(prompts)
        for _ in decoder.run():
            pass
        fillings = decoder.fillings()
        return [sorted(found, key=lambda filling: -filling.log_probability) for found in fillings]

    def _result(self, blanked: BlankedText, fillings: Sequence[Filling]) -> FillResult:
        first, *others = [self._one_result(blanked, filling) for filling in fillings]
        return FillResult(first.text, first.blanks, tuple(others))

    def _one_result(self, blanked: BlankedText, filling: Filling) -> FillResult:
        pieces = dict(zip(blanked.order, filling.pieces, strict=True))
        in_text = [pieces[blank] for blank in range(len(pieces))]
        text, ranges = splice(self._tokenizer, blanked.parts, [p.token_ids for p in in_text])
        blanks = tuple(
            BlankFill(
                text=text[start:end],
                token_ids=tuple(piece.token_ids),
                tokens=tuple(self._tokenizer.convert_ids_to_tokens(piece.token_ids)),
                log_probabilities=tuple(piece.log_probabilities),
                end_log_probability=piece.end_log_probability,
                alternatives=tuple(self._readable(pairs) for pairs in piece.alternatives),
                start=start,
                end=end,
            )
            for piece, (start, end) in zip(in_text, ranges, strict=True)
        )
        return FillResult(text, blanks)

    def _readable(self, pairs: Sequence[tuple[int, float]]) -> tuple[tuple[str, float], ...]:
        possible = [(token_id, math.exp(log_p)) for token_id, log_p in pairs if log_p > -math.inf]
        tokens = self._tokenizer.convert_ids_to_tokens([token_id for token_id, _ in possible])
        return tuple((token, p) for token, (_, p) in zip(tokens, possible, strict=True))
