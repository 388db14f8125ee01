"""Filling the blanks of texts: from strings to results, over either decoder."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unblank.calibration.record import FillCalibration
from unblank.generation.building import fill_setup
from unblank.generation.decode import decode_in_batches, stream_tokens
from unblank.generation.options import DecodingOptions
from unblank.generation.pieces import Filling
from unblank.generation.prompts import BlankedText, decode_after, read_text, splice
from unblank.generation.results import BlankFill, FillResult, TokenEvent
from unblank.tokenization.special import SpecialIds, special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Filler"]


class Filler:
    """Fills texts with one model, tokenizer and set of options.

    Args:
        model: a `GlmInfillForConditionalGeneration`.
        tokenizer: its tokenizer.
        options: decoding options.
        calibration: of the model's fills; None if it has none, or if it is not wanted.

    Attributes:
        setup: how the blanks are decoded.

    Raises:
        ValueError: if a blank may have more tokens than the model has positions, or for a model
            that is no GLM.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: "PreTrainedTokenizerFast",
        options: DecodingOptions,
        calibration: FillCalibration | None = None,
    ) -> None:
        self.setup = fill_setup(model, tokenizer, options)
        self._abstain_below = options.abstain_below
        # It was learned from likeliest fills: of a random one it says nothing.
        self._calibration = None if options.do_sample else calibration
        self._tokenizer = tokenizer
        self._special: SpecialIds = special_ids(tokenizer)
        self._max_positions: int = model.config.max_position_embeddings

    def check(self, text: str, *, order: Sequence[int] | None = None) -> None:
        """Raise what `fill` would raise for this text."""
        self.read(text, order)

    def fill(
        self,
        texts: Sequence[str],
        *,
        order: Sequence[int] | None = None,
        batch_size: int = 16,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> list[FillResult]:
        """Return the results of all texts, in their order.

        Args:
            texts: each with at least one blank.
            order: blanks, counted from 0, in the order of filling; None for left to right.
            batch_size: texts decoded together.
            on_batch: called with the number of texts that were just filled.

        Raises:
            ValueError: a text without a blank, too long, or not fitting `order`.
        """
        blanked = [self.read(text, order) for text in texts]
        prompts = [one.prompt for one in blanked]
        results: dict[int, FillResult] = {}
        for batch in decode_in_batches(self.setup, prompts, batch_size):
            results |= {number: self.result(blanked[number], found) for number, found in batch}
            on_batch(len(batch))
        return [results[number] for number in range(len(texts))]

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
        blanked = self.read(text, order)
        events = stream_tokens(self.setup, blanked.prompt, self._tokenizer, self.text_of)
        return self._in_text_order(blanked, events)

    def _in_text_order(
        self, blanked: BlankedText, events: Iterator[TokenEvent | Filling]
    ) -> Iterator[TokenEvent | FillResult]:
        for event in events:
            if isinstance(event, TokenEvent):
                yield replace(event, blank=blanked.order[event.blank])
            else:
                yield self.result(blanked, [event])

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Return the text of an answer by itself."""
        return decode_after(self._tokenizer, "", token_ids).lstrip(" ")

    def read(self, text: str, order: Sequence[int] | None = None) -> BlankedText:
        """Return what is decoded to fill a text; arguments and errors as for `fill`."""
        return read_text(
            self._tokenizer, self._special, text, max_positions=self._max_positions, order=order
        )

    def result(self, blanked: BlankedText, fillings: Sequence[Filling]) -> FillResult:
        """Return what was decoded, best first, as the filled text."""
        first, *others = [self._one_result(blanked, filling) for filling in fillings]
        blanks = tuple(self._with_confidence(blank) for blank in first.blanks)
        source = "" if self._calibration is None else str(self._calibration.source)
        return FillResult(first.text, blanks, tuple(others), source)

    def _with_confidence(self, blank: BlankFill) -> BlankFill:
        """Return a fill with how sure it is, and whether that is enough."""
        log_p, confidence = blank.log_probability, None
        if self._calibration is not None:
            confidence = self._calibration.confidence(log_p)
        probability = math.exp(log_p) if confidence is None else confidence
        abstained = self._abstain_below is not None and not probability >= self._abstain_below
        return replace(blank, confidence=confidence, abstained=abstained)

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
