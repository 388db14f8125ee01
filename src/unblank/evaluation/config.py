"""`EvaluateSettings`: what `unblank evaluate` can be told; with the standard library alone."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

__all__ = ["COMMON_OPTIONS", "SUITE_OPTIONS", "EvaluateSettings", "SuiteName"]

SuiteName = Literal[
    "perplexity",
    "lambada",
    "infilling",
    "superglue",
    "glue",
    "classification",
    "cloze",
    "lm-eval",
    "summarization",
    "compression",
    "question-generation",
    "headlines",
    "simplification",
    "data-to-text",
    "translation",
]

COMMON_OPTIONS = ("model", "suite", "data", "limit", "output", "seed", "device", "dtype")
"""Options that every suite obeys."""

_TEXTS = ("file", "text_field", "split", "tasks")
_UNDERSTANDING = ("tasks", "split", "pattern", "layout", "batch_size")
_WRITING = (
    "file", "source_field", "target_field", "split", "tasks", "batch_size", "num_beams",
    "no_repeat_ngram", "length_penalty", "max_tokens", "source_tag", "target_tag", "blank",
)  # fmt: skip

SUITE_OPTIONS: dict[SuiteName, tuple[str, ...]] = {
    "perplexity": (*_TEXTS, "context", "blank", "window", "stride"),
    "lambada": (*_TEXTS, "context", "blank"),
    "infilling": (*_TEXTS, "mask_ratios", "max_tokens", "batch_size"),
    "superglue": _UNDERSTANDING,
    "glue": _UNDERSTANDING,
    "classification": _UNDERSTANDING,
    "cloze": ("file", "tasks", "pattern", "layout", "batch_size"),
    "lm-eval": ("tasks",),
    "summarization": _WRITING,
    "compression": _WRITING,
    "question-generation": _WRITING,
    "headlines": _WRITING,
    "simplification": _WRITING,
    "data-to-text": _WRITING,
    "translation": _WRITING,
}
"""The further options that a suite obeys; any other that is given is refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateSettings:
    """Measure a model: a table, and a JSON file with every prediction.

    unblank evaluate MODEL --suite lambada --data FOLDER
    """

    model: str
    """Folder of the model."""
    suite: SuiteName = "perplexity"
    """What to measure. Language modelling: perplexity, lambada (the last word of a passage).
    Blanks: infilling. Understanding, by cloze questions: superglue, glue, classification, cloze
    (your own task and files). Tasks of EleutherAI's lm-eval: lm-eval. Writing: the others."""
    tasks: tuple[str, ...] = ()
    """Only these tasks of the suite; cloze wants a task's name or YAML file, lm-eval YAML files."""
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
    blank: Literal["[MASK]", "[sMASK]", "[gMASK]"] | None = None
    """Token for the unseen rest of a text, or for the answer to a source; not given is [gMASK] for
    language modelling and [sMASK] for writing. Published models without task masks know only
    [MASK]."""
    window: int | None = None
    """Tokens of a window of perplexity; not given is 512, or all positions of a smaller model."""
    stride: int | None = None
    """Tokens that a window scores; not given is half the window."""
    mask_ratios: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)
    """Shares of the words that are blanked."""
    pattern: tuple[int, ...] = ()
    """Numbers of the task's patterns, counted from 0; several are averaged. Not given is the
    task's own choice."""
    layout: Literal["blank", "sentinel", "masked"] = "blank"
    """How the model answers cloze questions: in a blank, in one marked by a sentinel (for models
    pretrained with objective.sentinels), or one [MASK] a token (with objective.masked)."""
    source_field: str | None = None
    """Field of your own files that holds the source of a text to be written."""
    target_field: str | None = None
    """Field of your own files that holds the reference, or a list of them."""
    num_beams: int = 5
    """Beams of the search when writing; 1 is greedy."""
    no_repeat_ngram: int = 3
    """No sequence of so many tokens twice in a written text; 0 allows all."""
    length_penalty: tuple[float, ...] = (1.0,)
    """Beams are ranked by log-probability / tokens ** penalty; several are tried in turn, and the
    best by the first metric is named: choose it on the validation split."""
    max_tokens: int | None = None
    """Longest answer, in tokens; not given is 32 in a blank, 200 of a written text."""
    source_tag: str | None = None
    """Language tag before every source, such as __de__."""
    target_tag: str | None = None
    """Language tag that every answer of an encoder-decoder starts with."""
    batch_size: int = 32
    """Texts that are scored or written together."""
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
        if not self.length_penalty or len(set(self.length_penalty)) < len(self.length_penalty):
            raise ValueError(
                f"length_penalty is {self.length_penalty}: give each once, at least one"
            )
        if self.num_beams == 1 and len(self.length_penalty) > 1:
            raise ValueError("length_penalty only ranks beams: set num_beams above 1")
        if not self.mask_ratios or not all(0 < ratio < 1 for ratio in self.mask_ratios):
            raise ValueError(f"mask_ratios are {self.mask_ratios}: each must lie between 0 and 1")
