"""Settings of filling and scoring: the decoding options, and the commands `fill` and `score`.

Only dataclasses, so that `--help` is quick. Every field's docstring is its help text.
"""

from dataclasses import dataclass, fields
from typing import Literal, TypedDict

__all__ = [
    "DecodingKeywords",
    "DecodingOptions",
    "FillSettings",
    "ScoreSettings",
    "SearchOptions",
    "require",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOptions:
    """How tokens are chosen, whatever they answer; greedy as it stands."""

    num_beams: int = 1
    """Beams of the search; 1 is greedy, or sampling with --do-sample."""
    do_sample: bool = False
    """Draw tokens at random instead of taking the most likely."""
    temperature: float = 1.0
    """Sampling: below 1 is more cautious, above 1 more daring."""
    top_k: int = 0
    """Sampling: only among the k most likely tokens; 0 is all."""
    top_p: float = 1.0
    """Sampling: only among the most likely tokens that together hold this probability."""
    num_return: int = 1
    """Alternative answers to a text, best first (needs sampling, or as many beams)."""
    min_tokens: int = 0
    """Fewest tokens of an answer."""
    no_repeat_ngram: int = 0
    """No n tokens in a row occur twice in an answer; 0 is off."""
    seed: int = 0
    """Sampling: the same seed, text and model give the same answer."""

    def __post_init__(self) -> None:
        for name in ("num_beams", "num_return"):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        for name in ("top_k", "min_tokens", "no_repeat_ngram", "seed"):
            require(getattr(self, name) >= 0, self, name, "0 or more")
        require(self.temperature > 0, self, "temperature", "above 0 (for greedy, do not sample)")
        require(0 < self.top_p <= 1, self, "top_p", "above 0 and at most 1")
        if self.do_sample and self.num_beams > 1:
            raise ValueError("choose one: do_sample=True, or num_beams above 1")
        if not self.do_sample and self.num_return > self.num_beams:
            raise ValueError(
                f"num_return is {self.num_return}, but only {self.num_beams} answers are searched: "
                f"set do_sample=True, or num_beams to {self.num_return} or more"
            )
        if not self.do_sample and (self.temperature, self.top_k, self.top_p) != (1.0, 0, 1.0):
            raise ValueError("temperature, top_k and top_p only shape sampling: set do_sample=True")

    def check_max_tokens(self, max_tokens: int | None) -> None:
        """Raise ValueError unless an answer of so many tokens is possible."""
        if max_tokens is not None and max_tokens < max(self.min_tokens, 1):
            raise ValueError(
                f"max_tokens is {max_tokens}: it must be at least 1 and not below min_tokens, "
                f"{self.min_tokens}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodingOptions(SearchOptions):
    """How the tokens of a blank are chosen; greedy as it stands."""

    max_tokens: int | None = None
    """Most tokens in a blank; a fill cut there is marked as not finished. Not given: 64, or what
    the model has positions for."""
    length_penalty: float = 0.0
    """Beam search ranks by log-probability / tokens ** penalty; above 0 favours longer fills."""
    num_alternatives: int = 5
    """Most likely tokens to report for every generated one."""
    context: Literal["bi", "uni"] = "bi"
    """Whether tokens of the text see both sides, or only backwards; answers see all of the text."""

    def __post_init__(self) -> None:
        SearchOptions.__post_init__(self)
        self.check_max_tokens(self.max_tokens)
        require(self.num_alternatives >= 0, self, "num_alternatives", "0 or more")
        require(self.context in ("bi", "uni"), self, "context", "'bi' or 'uni'")
        if self.num_beams == 1 and self.length_penalty:
            raise ValueError("length_penalty only ranks beams: set num_beams above 1")


class DecodingKeywords(TypedDict, total=False):
    """The fields of `DecodingOptions` as keyword arguments."""

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
    num_alternatives: int
    context: Literal["bi", "uni"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FillSettings(DecodingOptions):
    """Fill the blanks ([MASK], [sMASK], [gMASK]) of texts."""

    model: str
    """Folder of the model."""
    text: tuple[str, ...]
    """Texts with blanks; none, or a single -, reads standard input, one text a line."""
    order: tuple[int, ...] | None = None
    """Order in which blanks are filled, counted from 0; left to right if not given."""
    batch_size: int = 16
    """Texts decoded together."""
    stream: bool = False
    """Print every token as soon as it is chosen."""
    json: bool = False
    """Print one JSON object a text."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    dtype: Literal["fp32", "bf16"] | None = None
    """Arithmetic; not given is as the model was saved."""

    def decoding(self) -> DecodingOptions:
        """Return the decoding options alone."""
        names = [field.name for field in fields(DecodingOptions)]
        return DecodingOptions(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreSettings:
    """Score candidates for a blank, or for what answers a source, by their log-probability."""

    model: str
    """Folder of the model."""
    text: tuple[str, ...]
    """Texts with a blank, or sources; none, or a single -, reads standard input, one a line."""
    candidates: tuple[str, ...] = ()
    """What may stand in the blank, or be written; at least one."""
    blank: int = 0
    """Which blank of the text, counted from 0; the others stay blank."""
    normalization: Literal["sum", "mean"] = "sum"
    """Sum of token log-probabilities, or their mean."""
    include_end: bool = True
    """Count the probability that the candidate ends where it does."""
    context: Literal["bi", "uni"] = "bi"
    """Whether tokens of the text see both sides, or only backwards; answers see all of the text."""
    source_tag: str | None = None
    """Encoder-decoder: language tag put before the source, for example __de__."""
    json: bool = False
    """Print one JSON object a text."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    dtype: Literal["fp32", "bf16"] | None = None
    """Arithmetic; not given is as the model was saved."""

    def __post_init__(self) -> None:
        if not self.candidates:
            raise ValueError("there are no candidates: add --candidates ONE TWO ...")


def require(is_met: bool, options: SearchOptions, name: str, allowed: str) -> None:
    """Raise ValueError, with the value of the option `name`, unless the condition is met."""
    if not is_met:
        raise ValueError(f"{name} is {getattr(options, name)}: it must be {allowed}")
