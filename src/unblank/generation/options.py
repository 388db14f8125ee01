"""How a model decodes: the options of filling blanks and of writing answers to sources.

`...Options` are checked values that the library passes on; `...Arguments` name the same fields as
keyword arguments, so that a type checker knows what `Unblank.fill` and `Unblank.generate` take.
Only dataclasses, so that `--help` is quick: every field's docstring is its help text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

from unblank.settings.checks import require_beams
from unblank.settings.choices import BlankToken, Context
from unblank.settings.marks import Excludes, Needs
from unblank.settings.ranges import (
    LengthPenalty,
    NotNegative,
    NumBeams,
    NumSamples,
    Positive,
    PositiveShare,
    Seed,
    TokensRatio,
    check_values,
    minimum,
)

__all__ = [
    "DecodingArguments",
    "DecodingOptions",
    "FillingOrder",
    "GenerationArguments",
    "GenerationOptions",
    "SearchOptions",
]

FillingOrder = Sequence[int] | Literal["confidence"]
"""Blanks, counted from 0, in the order of filling; or the surest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOptions:
    """How tokens are chosen, in a blank or in an answer; greedy decoding by default."""

    num_beams: NumBeams[int] = 1
    """Number of beams; 1 is greedy decoding, or sampling with --do-sample."""
    do_sample: bool = False
    """Draw tokens at random instead of taking the most likely."""
    temperature: Annotated[float, Needs("do_sample"), minimum(0.001)] = 1.0
    """Sampling temperature: below 1 favours likely tokens, above 1 evens them out."""
    top_k: NotNegative[Annotated[int, Needs("do_sample")]] = 0
    """Sampling: draw only from the k most likely tokens; 0 = all."""
    top_p: PositiveShare[Annotated[float, Needs("do_sample")]] = 1.0
    """Sampling: draw only from the most likely tokens that together have this probability."""
    num_return: NumSamples[int] = 1
    """Number of alternative answers to each text, best first (needs sampling, or as many beams)."""
    min_tokens: NotNegative[int] = 0
    """Fewest tokens of an answer."""
    no_repeat_ngram: NotNegative[int] = 0
    """Let no n-gram of this length occur twice in an answer; 0 = off."""
    seed: Seed[Annotated[int, Needs("do_sample")]] = 0
    """Seed for sampling: the same seed, text and model give the same answer."""

    def __post_init__(self) -> None:
        check_values(self)
        if self.do_sample and self.num_beams > 1:
            raise ValueError("do_sample and num_beams above 1 exclude each other: choose one")
        if not self.do_sample and self.num_return > self.num_beams:
            raise ValueError(
                f"num_return is {self.num_return}, more than num_beams ({self.num_beams}): "
                f"set do_sample, or num_beams to {self.num_return} or more"
            )
        of_sampling = (self.temperature, self.top_k, self.top_p, self.seed)
        if not self.do_sample and of_sampling != (1.0, 0, 1.0, 0):
            raise ValueError(
                "temperature, top_k, top_p and seed have no effect without sampling: set do_sample"
            )

    def check_max_tokens(self, max_tokens: int | None) -> None:
        """Raise ValueError unless an answer of that many tokens is possible."""
        if max_tokens is not None and max_tokens < max(self.min_tokens, 1):
            raise ValueError(
                f"max_tokens is {max_tokens}: it must be at least 1 and at least min_tokens "
                f"({self.min_tokens})"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodingOptions(SearchOptions):
    """How the tokens of a blank are chosen; greedy decoding by default."""

    max_tokens: Positive[int | None] = None
    """Most tokens in a blank; a fill cut there is marked as not finished. Default: 64, or what the
    model has positions for."""
    length_penalty: LengthPenalty[Annotated[float, Needs("num_beams")]] = 0.0
    """Beam search ranks by log-probability / tokens ** penalty; above 0 favours longer fills."""
    num_alternatives: NotNegative[int] = 5
    """Number of most likely tokens to report for each generated token."""
    context: Context = "bi"
    """What a token of the text attends to: both sides (bi), or only what precedes it (uni); fills
    see all of the text."""

    decoder: Literal["evaluation", "interactive"] = "evaluation"
    """Which decoder of the published GLM is followed: the interactive one counts the start of the
    span in the length that length_penalty divides by, and hides the last token of a fill that
    max_tokens cut from later blanks."""
    abstain_below: PositiveShare[Annotated[float | None, Excludes("do_sample")]] = None
    """Mark fills that are less probable to be right, from 0 to 1, as abstained; they stay in the
    answer. Without a calibration (unblank calibrate) the model's own probability counts. Default:
    what unblank calibrate --most-wrong has learned, else no fill is marked."""

    def __post_init__(self) -> None:
        SearchOptions.__post_init__(self)
        self.check_max_tokens(self.max_tokens)
        if self.abstain_below is not None and self.do_sample:
            raise ValueError(
                "abstain_below looks at the likeliest fill, and do_sample draws others: "
                "leave one of them out"
            )
        require_beams(self.num_beams, is_penalized=bool(self.length_penalty))


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationOptions(SearchOptions):
    """How the answer to a source is written; greedy decoding by default."""

    max_tokens: Positive[int | None] = None
    """Most tokens of an answer. Default: 200, or what the model has positions for."""
    max_tokens_ratio: TokensRatio[float] = 0.0
    """Tokens to add to max_tokens for each token of the source, as far as the model has
    positions."""
    length_penalty: LengthPenalty[Annotated[float, Needs("num_beams")]] = 1.0
    """Beam search ranks by log-probability / tokens ** penalty; above 1 favours longer answers, 0
    does not divide."""
    source_tag: str | None = None
    """Language tag to put before every source, such as __de__; it tells DeltaLM and GanLM which
    language to write."""
    target_tag: str | None = None
    """Encoder-decoder: language tag that every answer is forced to start with; it is not part of
    the answer."""
    blank: BlankToken | None = None
    """GLM: the blank that the answer fills, put after a source that has none. Default: [sMASK]."""
    too_long: Literal["refuse", "cut"] = "refuse"
    """Whether a source that is longer than the model's positions is refused, or cut at its end; the
    number of cut sources is printed."""

    def __post_init__(self) -> None:
        SearchOptions.__post_init__(self)
        self.check_max_tokens(self.max_tokens)
        require_beams(self.num_beams, is_penalized=self.length_penalty != 1.0)


class _SearchArguments(TypedDict, total=False):
    """The fields that both kinds of options have, as keyword arguments."""

    num_beams: int
    do_sample: bool
    temperature: float
    top_k: int
    top_p: float
    num_return: int
    min_tokens: int
    max_tokens: int | None
    no_repeat_ngram: int
    length_penalty: float
    seed: int


class DecodingArguments(_SearchArguments, total=False):
    """The fields of `DecodingOptions` as keyword arguments."""

    num_alternatives: int
    context: Context
    decoder: Literal["evaluation", "interactive"]
    abstain_below: float | None


class GenerationArguments(_SearchArguments, total=False):
    """The fields of `GenerationOptions` as keyword arguments."""

    max_tokens_ratio: float
    source_tag: str | None
    target_tag: str | None
    blank: BlankToken | None
    too_long: Literal["refuse", "cut"]
