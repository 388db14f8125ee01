"""Settings of writing answers to sources: the options, and the command `generate`.

Only dataclasses, so that `--help` is quick. Every field's docstring is its help text.
"""

from dataclasses import dataclass
from typing import Literal, TypedDict

from unblank.generation.config import SearchOptions, require

__all__ = ["GenerationKeywords", "GenerationOptions"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationOptions(SearchOptions):
    """How the answer to a source is written; greedy as it stands."""

    max_tokens: int | None = None
    """Most tokens of an answer. Not given: 200, or what the model has positions for."""
    max_tokens_ratio: float = 0.0
    """So many tokens more for each token of the source, as far as the model has positions."""
    length_penalty: float = 1.0
    """Beam search ranks by log-probability / tokens ** penalty; above 1 favours longer answers, 0
    does not divide."""
    source_tag: str | None = None
    """Language tag to put before every source, such as __de__ (how DeltaLM and GanLM are told the
    language to write)."""
    target_tag: str | None = None
    """Language tag that every answer of an encoder-decoder is forced to start with; it is not part
    of the answer."""
    blank: Literal["[MASK]", "[sMASK]", "[gMASK]"] = "[sMASK]"
    """GLM: the blank that the answer fills, put behind a source that has none."""
    too_long: Literal["refuse", "cut"] = "refuse"
    """A source that is longer than the model's positions is an error, or is cut at its end; how
    many were cut is printed."""

    def __post_init__(self) -> None:
        SearchOptions.__post_init__(self)
        self.check_max_tokens(self.max_tokens)
        require(self.max_tokens_ratio >= 0, self, "max_tokens_ratio", "0 or more")
        if self.num_beams == 1 and self.length_penalty != 1.0:
            raise ValueError("length_penalty only ranks beams: set num_beams above 1")
        if self.too_long not in ("refuse", "cut"):
            raise ValueError(f"too_long is {self.too_long!r}: choose refuse or cut")


class GenerationKeywords(TypedDict, total=False):
    """The fields of `GenerationOptions` as keyword arguments."""

    num_beams: int
    do_sample: bool
    temperature: float
    top_k: int
    top_p: float
    num_return: int
    min_tokens: int
    max_tokens: int | None
    max_tokens_ratio: float
    no_repeat_ngram: int
    length_penalty: float
    seed: int
    source_tag: str | None
    target_tag: str | None
    blank: Literal["[MASK]", "[sMASK]", "[gMASK]"]
    too_long: Literal["refuse", "cut"]
