"""The settings of tasks with labels, asked as cloze questions or put to a classifier.

Standard library only: `--help` reads it.
"""

from dataclasses import dataclass
from typing import Literal

from unblank.settings.checks import require, require_positive

__all__ = ["Branch", "ClozeSettings", "GridSettings", "Pooled"]

Branch = Literal["generator", "discriminator"]
Pooled = Literal["cls", "end"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClozeSettings:
    """Tasks with labels (the name of a template, or your own YAML)."""

    patterns: tuple[int, ...] = ()
    """Numbers of the task's patterns; none = the one that the task prefers. With several, an
    example is asked in another one each epoch, and predictions average their probabilities."""
    ensemble: bool = False
    """As PET does: a model of its own for each pattern (none named = all of the task) and each of
    train.seeds, in OUTPUT_DIR/pattern-N; their probabilities are averaged."""
    scoring: Literal["logit", "sum", "mean"] | None = None
    """How candidates are compared: logits of single tokens, the sum of their log-probabilities with
    the end, or its mean. Not given: as the task says."""
    layout: Literal["blank", "sentinel", "masked"] = "blank"
    """How the model answers: in a blank, in one marked by a sentinel (for models pretrained with
    objective.sentinels), or one [MASK] a token, as BERT does (for those with objective.masked)."""
    loss: Literal["cross_entropy", "hinge", "generative", "mix"] = "cross_entropy"
    """Over the scores of the candidates: the paper's cross-entropy, or a loss of the published
    program (mix = cross-entropy and the likelihood of the right answer)."""
    max_length: int | None = None
    """Positions of an example; longer ones lose text where the task says. Not given: the
    model's."""
    classifier: bool = False
    """Ask a classifier head instead of a blank also with lora, prompt or deep-prompt: a new head is
    then trained whole beside them. --method classifier needs no such word."""
    pooled: Pooled = "cls"
    """Classifier: the token that it looks at, [CLS] or the last of the text."""
    branch: Branch = "discriminator"
    """Classifier on a GanLM: the decoder that it looks through."""

    def __post_init__(self) -> None:
        require_positive(self, "max_length")
        require(
            len(set(self.patterns)) == len(self.patterns) and all(n >= 0 for n in self.patterns),
            f"cloze.patterns {self.patterns} must be different numbers from 0",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class GridSettings:
    """Several runs, one for each combination, and the best of them."""

    learning_rates: tuple[float, ...] = ()
    """Peak learning rates to try, instead of optim.learning_rate."""
    batch_sizes: tuple[int, ...] = ()
    """Batch sizes to try, instead of train.batch_size."""

    def __post_init__(self) -> None:
        for name in ("learning_rates", "batch_sizes"):
            values = getattr(self, name)
            is_fine = all(value > 0 for value in values) and len(set(values)) == len(values)
            require(is_fine, f"grid.{name} {values} must be different numbers above 0")
