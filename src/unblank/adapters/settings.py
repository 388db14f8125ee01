"""The settings of parameter-efficient tuning. Standard library only: `--help` reads it."""

from dataclasses import dataclass
from typing import Literal

from unblank.settings.ranges import Positive, ProperShare, TextLength, check_values

__all__ = ["LoraSettings", "PromptSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraSettings:
    """--method lora: low-rank adapters in every layer (extra `peft`)."""

    rank: Positive[int] = 8
    """Rank of every adapter."""
    alpha: Positive[float] = 16.0
    """Adapters are scaled by alpha / rank."""
    dropout: ProperShare[float] = 0.0
    """Dropout on the input of an adapter."""
    targets: Literal["attention", "all"] = "all"
    """Linear layers that get an adapter: those of attention, or those of feed-forward too."""

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptSettings:
    """--method prompt: trained vectors after [CLS]; --method deep-prompt: in every layer. GLM."""

    length: TextLength[Positive[int]] = 16
    """Number of vectors; with --method prompt they take up positions of the text."""
    encoder: Literal["none", "mlp", "lstm"] | None = None
    """--method prompt: encoder through which the vectors are trained; the published program used
    lstm. Default: none."""

    def __post_init__(self) -> None:
        check_values(self)
