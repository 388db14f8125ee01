"""`EvaluateConfig`: what `unblank evaluate` can be told; with the standard library alone."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

__all__ = ["COMMON_OPTIONS", "SUITE_OPTIONS", "EvaluateConfig", "SuiteName"]

SuiteName = Literal["infilling", "lambada", "perplexity"]

COMMON_OPTIONS = ("model", "suite", "data", "limit", "output", "seed", "device", "dtype")
"""Options that every suite obeys."""

_TEXTS = ("file", "text_field", "split", "tasks")

SUITE_OPTIONS: dict[SuiteName, tuple[str, ...]] = {
    "lambada": (*_TEXTS, "context", "blank"),
    "perplexity": (*_TEXTS, "context", "blank", "window", "stride"),
    "infilling": (*_TEXTS, "mask_ratios", "max_tokens", "batch_size"),
}
"""The further options that a suite obeys; any other that is given is refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """Measure a model: a table, and a JSON file with every prediction.

    unblank evaluate MODEL --suite lambada --data FOLDER
    """

    model: str
    """Folder of the model."""
    suite: SuiteName = "perplexity"
    """What to measure: lambada (the last word of a passage), perplexity (how well held-out text is
    foreseen), infilling (blanks filled at several mask ratios)."""
    tasks: tuple[str, ...] = ()
    """Only these parts of the suite."""
    split: str = "validation"
    """Which files of the data: train, validation, test, or the exact name before .jsonl."""
    data: Path | None = None
    """Folder of the data sets; not given is the environment variable UNBLANK_DATA."""
    file: tuple[str, ...] = ()
    """Your own files instead (.txt, .jsonl, .parquet, also .gz and .zst); folders and globs too."""
    text_field: str = "text"
    """Field of your own files that holds the text."""
    limit: int | None = None
    """Only the first so many examples of each part."""
    output: Path | None = None
    """JSON file for scores, settings and every prediction; not given is MODEL/evaluations/."""
    context: tuple[Literal["bi", "uni", "causal"], ...] = ("bi", "uni")
    """How the text before the scored tokens is seen: bi (from both sides), uni (left to right
    behind one blank), causal (without a blank, for models pretrained with objective.causal)."""
    blank: Literal["[gMASK]", "[MASK]"] = "[gMASK]"
    """Token for the unseen rest of a text; published models without task masks know only [MASK]."""
    window: int | None = None
    """Tokens of a window of perplexity; not given is 512, or all positions of a smaller model."""
    stride: int | None = None
    """Tokens that a window scores; not given is half the window."""
    mask_ratios: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)
    """Shares of the words that are blanked."""
    max_tokens: int = 32
    """Longest answer, in tokens."""
    batch_size: int = 32
    """Texts decoded together."""
    seed: int = 0
    """Of the choice of blanks and of the standard errors."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    dtype: Literal["fp32", "bf16"] | None = None
    """Arithmetic; not given is as the model was saved."""

    def __post_init__(self) -> None:
        allowed = (*COMMON_OPTIONS, *SUITE_OPTIONS[self.suite])
        for option in fields(self):
            is_given = option.name not in ("model", "suite") and (
                getattr(self, option.name) != option.default
            )
            if is_given and option.name not in allowed:
                raise ValueError(
                    f"--{option.name.replace('_', '-')} does not apply to the suite {self.suite}, "
                    f"which obeys {', '.join(SUITE_OPTIONS[self.suite])}: take it out"
                )
        for name in ("limit", "window", "stride", "max_tokens", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}: it must be at least 1")
        if not self.context or len(set(self.context)) < len(self.context):
            raise ValueError(f"context is {self.context}: name each way once, at least one")
        if not self.mask_ratios or not all(0 < ratio < 1 for ratio in self.mask_ratios):
            raise ValueError(f"mask_ratios are {self.mask_ratios}: each must lie between 0 and 1")
