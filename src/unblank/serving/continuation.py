"""Writing at one place of a text, as clients of OpenAI and of llama.cpp ask for it.

A GLM writes in a blank: `[gMASK]` after a text, `[MASK]` between a prefix and a suffix, or the one
that the text itself holds. An encoder-decoder answers the text as its source. What comes before the
place decides how the answer's first token is shown, a leading space included.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from unblank.generation.options import GenerationOptions
from unblank.generation.pieces import Filling, Piece
from unblank.generation.prompts import decode_after, read_text
from unblank.generation.rows import Prompt
from unblank.generation.setup import DecoderSetup
from unblank.rules.rule import Rule
from unblank.serving.growing_text import first_stop
from unblank.serving.served_model import DecodingRequest, ServedModel
from unblank.tokenization.special import BLANK_TOKENS, GMASK_TOKEN, special_ids
from unblank.unicode import require_unicode

__all__ = ["Continuation", "Continued", "FinishReason", "Sampling"]

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How tokens are drawn; temperature 0 takes the most likely ones.

    Attributes:
        max_tokens: most tokens; None for the library's default.
        temperature: 0 or more.
        top_k: as in `SearchOptions`.
        top_p: as in `SearchOptions`.
        seed: of the draws.
        num_return: answers; greedy ones are all the same.
        num_alternatives: most likely tokens to report for each.
        stops: strings before which an answer ends.
    """

    max_tokens: int | None = None
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    num_return: int = 1
    num_alternatives: int = 0
    stops: tuple[str, ...] = ()

    def generation_options(self) -> GenerationOptions:
        """Return the same as options of the library."""
        if self.temperature == 0:
            return GenerationOptions(max_tokens=self.max_tokens)
        return GenerationOptions(
            max_tokens=self.max_tokens, do_sample=True, temperature=max(self.temperature, 0.001),
            top_k=self.top_k, top_p=self.top_p, seed=self.seed, num_return=self.num_return,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Continued:
    """One answer.

    Attributes:
        text: up to a stop string.
        piece: its tokens, without those from the stop string on.
        finish_reason: "stop" by the model or a stop string, or "length".
        stop: the stop string; empty if there is none.
    """

    text: str
    piece: Piece
    finish_reason: FinishReason
    stop: str = ""


class Continuation:
    """One place to write at.

    Args:
        model: that writes.
        before: the text before the place, or a text with one blank, or a source.
        after: the text after it; None if there is none.
        sampling: how.

    Attributes:
        setup: how it is decoded.
        prompt: what is decoded.

    Raises:
        ValueError: a text that is too long, several blanks, or a suffix for an encoder-decoder.
    """

    def __init__(
        self, model: ServedModel, before: str, after: str | None, sampling: Sampling
    ) -> None:
        for text in (before, after or ""):
            require_unicode(text, "prompt")
        self._model = model
        self._tokenizer = model.unblank.tokenizer
        self._sampling = sampling
        options = sampling.generation_options()
        answerer = model.answerer(options)
        alternatives = replace(
            answerer.setup.options, num_alternatives=sampling.num_alternatives, seed=options.seed
        )
        self.setup: DecoderSetup = replace(answerer.setup, options=alternatives)
        self._writes_in_blank = model.family.writes == "blanks"
        if self._writes_in_blank:
            text = _with_blank(before, after)
            limit = model.unblank.model.config.max_position_embeddings
            special = special_ids(self._tokenizer)
            blanked = read_text(self._tokenizer, special, text, max_positions=limit)
            self._before = blanked.parts[0]
            self.prompt: Prompt = blanked.prompt
        elif after is None:
            self.prompt = answerer.read(before).prompt
        else:
            raise ValueError(
                f"suffix needs a model that fills blanks, and {model.name} does not: leave it out"
            )

    def hold_to(self, rules: Sequence[Rule]) -> None:
        """Hold the answer to rules; ValueError if they cannot be met."""
        limit = self.prompt.max_tokens or self.setup.rules.max_tokens
        constraints = self._model.continuation_rules.constraints(rules, (0,), max_tokens=limit)
        self.prompt = replace(self.prompt, constraints=constraints)

    @property
    def num_copies(self) -> int:
        """How often each answer is given: greedy ones are decoded once."""
        return self._sampling.num_return // self.setup.options.num_return

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Return the text of an answer, stop strings included."""
        if not self._writes_in_blank:
            text: str = self._tokenizer.decode(
                list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            return text.lstrip(" ")
        text = decode_after(self._tokenizer, self._before, token_ids)
        is_apart = not self._before or self._before[-1].isspace()
        return text.lstrip(" ") if is_apart else text

    @property
    def request(self) -> DecodingRequest:
        """What is decoded, how, and whether it ends early: at a stop string."""
        return self.setup, self.prompt, self._has_stop if self._sampling.stops else None

    def _has_stop(self, piece: Piece) -> bool:
        return first_stop(self.text_of(piece.token_ids), self._sampling.stops) is not None

    def result(self, filling: Filling) -> Continued:
        """Return what was decoded as an answer."""
        (piece,) = filling.pieces
        text = self.text_of(piece.token_ids)
        stop = first_stop(text, self._sampling.stops)
        if stop is None:
            return Continued(text, piece, "stop" if piece.is_finished else "length")
        place, string = stop
        num_kept = len(piece.token_ids)
        while num_kept and len(self.text_of(piece.token_ids[: num_kept - 1])) >= place:
            num_kept -= 1
        kept = Piece(
            piece.token_ids[:num_kept],
            piece.log_probabilities[:num_kept],
            piece.alternatives[:num_kept],
        )
        return Continued(text[:place], kept, "stop", string)


def _with_blank(before: str, after: str | None) -> str:
    """Return the text with the one blank that is to be filled."""
    num_blanks = sum((before + (after or "")).count(blank) for blank in BLANK_TOKENS)
    if num_blanks > 1 or (num_blanks and after is not None):
        raise ValueError(
            f"the prompt holds {num_blanks} blanks{' and a suffix' if after is not None else ''}, "
            "but one place is filled here: use /v1/fill for several"
        )
    if num_blanks:
        return before
    return before + GMASK_TOKEN if after is None else before + BLANK_TOKENS[0] + after
