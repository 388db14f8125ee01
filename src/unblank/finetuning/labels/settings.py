"""The settings of tasks with labels, asked as cloze questions or put to a classifier.

Standard library only: `--help` reads it.
"""

from dataclasses import dataclass
from typing import Literal

from unblank.settings.checks import require
from unblank.settings.choices import Layout, PromptMode, WordMode
from unblank.settings.ranges import NotNegative, Positive, TextLength, check_values

__all__ = ["Branch", "ClozeSettings", "GridSettings", "Pooled"]

Branch = Literal["generator", "discriminator"]
Pooled = Literal["cls", "end"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClozeSettings:
    """Tasks with labels (the name of a template, or your own YAML)."""

    patterns: NotNegative[tuple[int, ...]] = ()
    """Numbers of the task's patterns, counted from 0. With several, each epoch asks an example with
    another one, and predictions average their probabilities. Default: the task's own choice."""
    ensemble: bool = False
    """Train a model for each pattern (all of the task's, if none is given) and each of train.seeds,
    in OUTPUT_DIR/pattern-N, and average their probabilities, as PET does."""
    scoring: Literal["logit", "sum", "mean"] | None = None
    """How candidates are compared: by the logits of single tokens, or by the sum or the mean of
    their log-probabilities, the end included. Default: as the task says."""
    prompts: Literal["english", "translated", "cross", "universal"] | None = None
    """In which words a task of many languages is asked: in English, in the example's language
    (translated), without words (universal), or in training both in English and in another language
    drawn at random (cross). Default: the task's patterns as they stand."""
    test_prompts: PromptMode | None = None
    """The same for held-out examples. Default: as in training, english after cross."""
    words: WordMode | None = None
    """Which words name a label: English ones, those of the language, or those of all languages,
    which share its probability. Default: those of the language with translated prompts, else
    English ones."""
    test_words: WordMode | None = None
    """The same for held-out examples. Default: as in training."""
    consistency: NotNegative[float] = 0.0
    """With prompts cross: weight of the symmetric KL divergence between the answers to the two
    prompts of an example."""
    calibrate: bool = False
    """Subtract from the scores of held-out examples what the prompt scores with empty fields."""
    layout: Layout = "blank"
    """How the model answers: in a blank, in a blank marked by a sentinel (for models pretrained
    with objective.sentinels), or in one [MASK] per token, as BERT does (objective.masked)."""
    loss: Literal["cross_entropy", "hinge", "generative", "mix"] = "cross_entropy"
    """Loss over the scores of the candidates: the paper's cross-entropy, or one of the published
    program's (mix = cross-entropy and the likelihood of the right answer)."""
    max_length: TextLength[Positive[int | None]] = None
    """Most positions of an example; longer ones are shortened in the fields that the task names.
    Default: the model's."""
    classifier: bool = False
    """With lora, prompt or deep-prompt: classify with a new head, trained in full, instead of in a
    blank. --method classifier always does."""
    pooled: Pooled = "cls"
    """Classifier: the token that the head reads, [CLS] or the last one of the text."""
    branch: Branch = "discriminator"
    """Classifier on a GanLM: the decoder that it uses."""

    def __post_init__(self) -> None:
        check_values(self)
        require(
            len(set(self.patterns)) == len(self.patterns),
            f"cloze.patterns are {self.patterns}: they must be different numbers",
        )
        require(
            not self.consistency or self.prompts == "cross",
            "cloze.consistency compares the two prompts of an example, which only cloze.prompts "
            "cross has: choose it, or leave consistency out",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class GridSettings:
    """Several runs, one for each combination, and the best of them."""

    learning_rates: Positive[tuple[float, ...]] = ()
    """Peak learning rates to try, instead of optim.learning_rate."""
    batch_sizes: Positive[tuple[int, ...]] = ()
    """Batch sizes to try, instead of train.batch_size."""

    def __post_init__(self) -> None:
        check_values(self)
        for name in ("learning_rates", "batch_sizes"):
            values = getattr(self, name)
            require(
                len(set(values)) == len(values),
                f"grid.{name} are {values}: they must be different numbers",
            )
