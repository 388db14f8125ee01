"""Filling the blanks of texts: from strings to results, over either decoder."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unblank.calibration.record import FillCalibration
from unblank.generation.building import fill_setup
from unblank.generation.constraining import AnswerConstraints, TextRules, rules_of_each
from unblank.generation.decode import decode_in_batches, in_batches, stream_tokens
from unblank.generation.options import DecodingOptions, FillingOrder
from unblank.generation.order_scores import OrderScores, score_in_all_orders
from unblank.generation.orders import MOST_TRIED_BLANKS, SurestFirst
from unblank.generation.pieces import Filling
from unblank.generation.prompts import (
    BlankedText,
    decode_after,
    encode_candidate,
    read_text,
    splice,
)
from unblank.generation.results import BlankFill, FillResult, TokenEvent
from unblank.generation.rows import Prompt
from unblank.generation.surest import fill_surest_first
from unblank.plurals import counted
from unblank.rules.rule import Rule, RuleLike, read_rules
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
        abstain_below: probability of being right below which a fill counts as abstained; None if no
            threshold was given or learned.

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
        # It was learned from likeliest fills: of a random one it says nothing.
        self._calibration = None if options.do_sample else calibration
        learned = None if self._calibration is None else self._calibration.abstain_below
        asked = options.abstain_below
        self.abstain_below: float | None = learned if asked is None else asked
        self._tokenizer = tokenizer
        self._special: SpecialIds = special_ids(tokenizer)
        self._max_positions: int = model.config.max_position_embeddings
        self._rules = AnswerConstraints(tokenizer, self.setup.rules, options, is_standalone=False)

    def why_not(self, text: str, *, order: FillingOrder | None = None) -> str:
        """Return why a text cannot be filled; empty if it can."""
        try:
            self.check(text, order=order)
        except ValueError as error:
            return str(error)
        return ""

    def check(
        self, text: str, *, order: FillingOrder | None = None, rules: Sequence[Rule] = ()
    ) -> BlankedText:
        """Return a text as it is read; raise what `fill` would raise for it."""
        if order != "confidence":
            return self.read(text, order, rules)
        blanked = self.read(text, None, rules)
        SurestFirst(blanked)
        return blanked

    def fill(
        self,
        texts: Sequence[str],
        *,
        order: FillingOrder | None = None,
        rules: TextRules | None = None,
        batch_size: int = 16,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> list[FillResult]:
        """Return the results of all texts, in their order.

        Args:
            texts: each with at least one blank.
            order: blanks, counted from 0, in the order of filling; "confidence" for the surest
                first; None for left to right.
            rules: on the answers, of all texts or a list for each.
            batch_size: texts decoded together.
            on_batch: called with the number of texts that were just filled.

        Raises:
            ValueError: a text without a blank, too long, or not fitting `order`; rules that
                cannot be met.
        """
        of_each = rules_of_each(rules, len(texts))
        results: dict[int, FillResult] = {}
        if order == "confidence":
            for number, of_order, found in self._surest_first(texts, of_each, batch_size):
                results[number] = self.result(of_order, found)
                on_batch(1)
            return [results[number] for number in range(len(texts))]
        blanked = [self.read(text, order) for text in texts]
        prompts = [one.prompt for one in blanked]

        def prepared(number: int) -> Prompt:
            return self.constrained(blanked[number], of_each[number]).prompt

        for batch in decode_in_batches(self.setup, prompts, batch_size, prepared=prepared):
            results |= {number: self.result(blanked[number], found) for number, found in batch}
            on_batch(len(batch))
        return [results[number] for number in range(len(texts))]

    def score_orders(self, text: str, answers: Sequence[str]) -> OrderScores:
        """Return the probability of answers in every order of filling.

        Args:
            text: with up to four blanks.
            answers: one for each blank, from left to right.

        Raises:
            ValueError: another number of answers, an empty one, or a text that is too long.
        """
        blanked = self.read(text)
        if len(answers) != len(blanked.order):
            raise ValueError(
                f"{counted(len(answers), 'answer')} for "
                f"{counted(len(blanked.order), 'blank')} of {text!r}"
            )
        token_ids = [
            encode_candidate(self._tokenizer, blanked.parts, blank, answer)
            for blank, answer in enumerate(answers)
        ]
        return score_in_all_orders(
            self.setup.model,
            blanked.prompt,
            token_ids,
            start_id=self.setup.start_id,
            end_id=self._special.eop,
        )

    def stream(
        self,
        text: str,
        *,
        order: FillingOrder | None = None,
        rules: Sequence[RuleLike] | RuleLike | None = None,
    ) -> Iterator[TokenEvent | FillResult]:
        """Yield every token of one text as it is chosen, then the result.

        Args:
            text: with at least one blank.
            order: as for `fill`.
            rules: on the answers.

        Raises:
            ValueError: also for beam search and several alternatives, which have no single next
                token.
        """
        own = read_rules(rules or ())
        if order == "confidence":
            ((_, blanked, _),) = self._surest_first([text], [own], MOST_TRIED_BLANKS)
        else:
            blanked = self.read(text, order, own)
        events = stream_tokens(self.setup, blanked.prompt, self._tokenizer, self.text_of)
        return self._in_text_order(blanked, events)

    def _surest_first(
        self, texts: Sequence[str], rules: Sequence[Sequence[Rule]], batch_size: int
    ) -> Iterator[tuple[int, BlankedText, list[Filling]]]:
        """Yield the number of each text, itself in the order of the surest blank, and its fills."""
        read = [
            self.check(text, order="confidence", rules=own)
            for text, own in zip(texts, rules, strict=True)
        ]
        prompts = [one.prompt for one in read]

        def decoded(batch: list[int]) -> list[tuple[tuple[int, ...], list[Filling]]]:
            return fill_surest_first(self.setup, [prompts[i] for i in batch], batch_size)

        for batch in in_batches(prompts, batch_size, decoded):
            for number, (order, fillings) in batch:
                yield number, read[number].ordered(order), fillings

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

    def read(
        self, text: str, order: Sequence[int] | None = None, rules: Sequence[Rule] = ()
    ) -> BlankedText:
        """Return what is decoded to fill a text; arguments and errors as for `fill`."""
        blanked = read_text(
            self._tokenizer, self._special, text, max_positions=self._max_positions, order=order
        )
        return self.constrained(blanked, rules)

    def constrained(self, blanked: BlankedText, rules: Sequence[Rule]) -> BlankedText:
        """Return a text whose answers are held to rules; ValueError if they cannot be met."""
        if not rules:
            return blanked
        constraints = self._rules.constraints(
            rules, blanked.order, max_tokens=self.setup.rules.max_tokens
        )
        return replace(blanked, prompt=replace(blanked.prompt, constraints=constraints))

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
        abstained = self.abstain_below is not None and not probability >= self.abstain_below
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
