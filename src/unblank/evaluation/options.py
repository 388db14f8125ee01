"""The options of measuring a language model, blanks, pairs and facts; and what all suites have.

A setting that does not apply to a suite is not a field of its options, so nobody can give it in
vain. Every field's docstring is its help text. Standard library alone, as in the modules beside it:
`task_options`, `writing_options` and `suite_options`, which finds those of a suite.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from unblank.settings.checks import require_each_once
from unblank.settings.choices import BlankToken, Context, DType, Layout
from unblank.settings.marks import Needs, PathText, Positional
from unblank.settings.ranges import OneOrMore, OpenShare, Positive, Seed, check_values

__all__ = [
    "DataOptions",
    "EvaluationOptions",
    "FactsOptions",
    "InfillingOptions",
    "LambadaOptions",
    "LeftContext",
    "LmEvalOptions",
    "PairsOptions",
    "PairsSuiteName",
    "PerplexityOptions",
    "SentenceScoring",
    "TextOptions",
]

LeftContext = Literal["bi", "uni", "causal"]
"""How the text before scored tokens is seen: from both sides, from left to right after one blank,
or without a blank."""
SentenceScoring = Literal["blanks", "gmask", "causal", "masked", "judged"]
"""How a sentence is scored: each word in a blank, from left to right after one blank or without
one, each token as a `[MASK]`, or each judged whether it is the original."""
PairsSuiteName = Literal["blimp", "choices"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationOptions:
    """Which model, how much of the data, and where the result goes."""

    model: Positional[PathText]
    """Model folder."""
    suite: str = "perplexity"
    """What to measure. Language modelling: perplexity, lambada (the last word of a passage).
    Blanks: infilling. Minimal pairs of sentences: blimp, choices. Knowledge: facts. Understanding,
    by cloze questions: superglue, glue, classification, cloze (your own task and files), in many
    languages xnli, paws-x, xcopa, xwinograd; by a head: classifier (your own files). Questions
    about passages: xquad, mlqa, tydiqa. Both in one table: xtreme. EleutherAI's lm-eval tasks:
    lm-eval. Generation: the others."""
    limit: Positive[int | None] = None
    """Number of examples of each part to measure: a fixed random choice, of every file its
    share."""
    output: Path | None = None
    """JSON file for scores, settings and all predictions. Default: a file in MODEL/evaluations/."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    dtype: DType | None = None
    """Data type of the computation; fp16 is fastest on most CPUs, and there rounds weights only.
    Default: as the model was saved."""

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataOptions(EvaluationOptions):
    """Which data sets."""

    tasks: tuple[PathText, ...] = ()
    """Measure only these tasks of the suite."""
    split: str = "validation"
    """Split to measure: train, validation, test, or the exact file name before .jsonl."""
    data: Path | None = None
    """Folder of the data sets. Default: the environment variable UNBLANK_DATA."""

    def __post_init__(self) -> None:
        EvaluationOptions.__post_init__(self)
        if getattr(self, "file", ()):
            self.require_no_data_sets("file")

    def require_no_data_sets(self, given: str) -> None:
        """Raise ValueError if a setting chooses among data sets, where own files are measured.

        Args:
            given: name of the setting that names those files.
        """
        usual = {field.name: field.default for field in fields(self)}
        for name in ("data", "tasks", "split", "languages"):
            if name != given and name in usual and getattr(self, name) != usual[name]:
                raise ValueError(
                    f"{given} and {name} exclude each other: your own files are measured instead "
                    "of the data sets: leave out one of them"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class TextOptions(DataOptions):
    """Your own texts instead."""

    file: tuple[PathText, ...] = ()
    """Your own files, folders or globs instead, of any format (docs/data.md)."""
    text_field: Annotated[str, Needs("file")] = "text"
    """Field of your own files that holds the text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextOptions(TextOptions):
    """How the text before the scored tokens is seen."""

    context: OneOrMore[tuple[LeftContext, ...]] = ("bi", "uni")
    """How the text before the scored tokens is seen: bi (bidirectionally), uni (left to right
    after one blank), causal (without a blank, for models pretrained with objective.causal)."""
    blank: BlankToken | None = None
    """Token for the unseen rest of a text. Default: [gMASK]. Published models without task masks
    have only [MASK]."""

    def __post_init__(self) -> None:
        TextOptions.__post_init__(self)
        require_each_once(self.context, "context")


@dataclass(frozen=True, kw_only=True, slots=True)
class LambadaOptions(ContextOptions):
    """Measure how often a model finds the last word of a passage.

    unblank evaluate MODEL --suite lambada --data FOLDER
    """

    suite: Literal["lambada"] = "lambada"


@dataclass(frozen=True, kw_only=True, slots=True)
class PerplexityOptions(ContextOptions):
    """Measure how well a model predicts texts, token by token.

    unblank evaluate MODEL --suite perplexity --file held_out.txt
    unblank evaluate MODEL --data FOLDER

    Every other suite has options and a help of its own.
    """

    suite: Literal["perplexity"] = "perplexity"
    window: Positive[int | None] = None
    """Tokens in a window. Default: 512, or all positions of a smaller model."""
    stride: Positive[int | None] = None
    """Tokens that each window scores. Default: half the window."""
    seed: Seed[int] = 0
    """Seed for the standard errors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InfillingOptions(TextOptions):
    """Measure how well a model fills blanked words of texts.

    unblank evaluate MODEL --suite infilling --file text.txt
    """

    suite: Literal["infilling"] = "infilling"
    mask_ratios: OneOrMore[OpenShare[tuple[float, ...]]] = (0.1, 0.2, 0.3, 0.4, 0.5)
    """Shares of the words to blank."""
    context: Context = "bi"
    """How the text around the blanks is seen: bi (bidirectionally), uni (left to right, for models
    pretrained with objective.fill_in_the_middle)."""
    order: Literal["left", "confidence"] = "left"
    """Which blank of a text is filled first: the left one, or the surest (up to 16 blanks)."""
    max_tokens: Positive[int | None] = None
    """Most tokens of an answer. Default: 32."""
    batch_size: Positive[int] = 32
    """Number of texts filled together."""
    seed: Seed[int] = 0
    """Seed for the choice of blanks and for the standard errors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairsOptions(DataOptions):
    """Measure how often a model finds the acceptable one of two sentences the likelier one.

    unblank evaluate MODEL --suite blimp --data FOLDER
    """

    suite: PairsSuiteName = "blimp"
    limit: Positive[int | None] = None
    """Number of pairs of each paradigm to measure: a fixed random choice, of every file its
    share."""
    data: Path | None = None
    """Folder of the data sets, or one file of pairs. Default: the environment variable
    UNBLANK_DATA."""
    file: tuple[str, ...] = ()
    """Your own files instead: .jsonl, .tsv, .csv (also .gz, .zst) or .parquet, with the fields good
    and bad, and perhaps group; of choices with those of COPA."""
    by: tuple[SentenceScoring, ...] = ()
    """How a sentence is scored: blanks (each word in turn is blanked), gmask (left to right after
    one blank), causal (left to right without a blank), masked (each token in turn is a [MASK]),
    judged (ELECTRA: how likely each token is the original). Default: as the model was pretrained,
    blanks if that is unknown."""
    blank: BlankToken | None = None
    """Token that gmask begins with. Default: [gMASK]. Published models without task masks have
    only [MASK]."""
    frequencies: tuple[str, ...] = ()
    """Texts whose token counts are the baseline: files, folders or globs of .txt, .jsonl (also
    .gz, .zst) or .parquet. Default: the text that the model was pretrained on."""

    def __post_init__(self) -> None:
        DataOptions.__post_init__(self)
        require_each_once(self.by, "by")


@dataclass(frozen=True, kw_only=True, slots=True)
class FactsOptions(DataOptions):
    """Measure which facts a model knows: it fills the object of a sentence that states one.

    unblank evaluate MODEL --suite facts --data FOLDER
    """

    suite: Literal["facts"] = "facts"
    limit: Positive[int | None] = None
    """Number of facts of each relation to measure, the first ones, so that languages share them."""
    split: str = "facts"
    """Name of the file of facts before .jsonl, or before the code of its language."""
    languages: tuple[str, ...] = ()
    """Codes of the languages to measure. Default: all that are there."""
    retrieve: PathText | None = None
    """Folder of an index of passages (unblank index): ask also with the passages that fit each
    fact best, and with those of other facts."""
    top: Annotated[Positive[tuple[int, ...]], Needs("retrieve")] = (5,)
    """Numbers of passages; each is measured."""
    layout: Layout = "blank"
    """How the model answers: in a blank, in a blank marked by a sentinel (for models pretrained
    with objective.sentinels), or in one [MASK] per token (objective.masked). Only in a blank it
    also writes an answer of its own."""
    max_tokens: Positive[int] = 16
    """Most tokens of an answer of its own."""
    batch_size: Positive[int] = 32
    """Number of facts asked for together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LmEvalOptions(EvaluationOptions):
    """Measure a model on tasks of EleutherAI's lm-eval.

    unblank evaluate MODEL --suite lm-eval --tasks TASK.yaml
    """

    suite: Literal["lm-eval"] = "lm-eval"
    limit: Positive[int | None] = None
    """Number of examples of each task to measure, from the first on, as lm-eval has it."""
    tasks: tuple[PathText, ...] = ()
    """YAML files of tasks."""
