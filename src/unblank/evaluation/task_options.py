"""The options of measuring tasks with labels and questions about passages."""

from dataclasses import dataclass
from typing import Annotated, Literal

from unblank.evaluation.options import DataOptions, EvaluationOptions
from unblank.settings.choices import BlankToken, Layout, Normalization, PromptMode, WordMode
from unblank.settings.marks import Excludes, Needs, PathText
from unblank.settings.ranges import NotNegative, NumBeams, Positive, Seed, TextLength, check_values

__all__ = [
    "ClassifierOptions",
    "ClozeOptions",
    "LanguagesOptions",
    "LanguagesSuiteName",
    "QuestionsOptions",
    "QuestionsSuiteName",
    "UnderstandingOptions",
    "UnderstandingSuiteName",
    "XtremeOptions",
]

UnderstandingSuiteName = Literal["superglue", "glue", "classification"]
LanguagesSuiteName = Literal["xnli", "paws-x", "xcopa", "xwinograd"]
QuestionsSuiteName = Literal["xquad", "mlqa", "tydiqa"]


@dataclass(frozen=True, kw_only=True)  # without slots, which two bases cannot both have
class ClozeQuestionOptions:
    """How examples with labels are asked as cloze questions."""

    pattern: NotNegative[tuple[int, ...]] = ()
    """Numbers of the task's patterns, counted from 0; several are averaged. Default: the task's
    own choice."""
    prompts: PromptMode | None = None
    """In which words a task of many languages is asked: english, the example's own (translated), or
    none (universal). Default: the task's patterns as they stand."""
    words: WordMode | None = None
    """Which words name a label: English ones, those of the language, or those of all languages,
    which share its probability. Default: those of the language with translated prompts, else
    English ones."""
    normalization: Normalization | None = None
    """How candidates are compared: by the sum or the mean of their tokens' log-probabilities, or
    without what the prompt scores with empty fields (pmi), or with empty ones and N/A, so that all
    are equal without content (contextual). Default: as the task says."""
    calibrate: Annotated[bool, Excludes("normalization")] = False
    """The same as --normalization pmi."""
    layout: Layout = "blank"
    """How the model answers cloze questions: in a blank, in a blank marked by a sentinel (for
    models pretrained with objective.sentinels), or in one [MASK] per token (objective.masked)."""
    batch_size: Positive[int] = 32
    """Number of examples scored together."""
    seed: Seed[int] = 0
    """Seed for the standard errors."""

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnderstandingOptions(ClozeQuestionOptions, DataOptions):
    """Measure a model on tasks with labels, asked as cloze questions.

    unblank evaluate MODEL --suite superglue --tasks rte cb --data FOLDER
    """

    suite: Literal[UnderstandingSuiteName, LanguagesSuiteName]


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguagesOptions(UnderstandingOptions):
    """Measure a model on a task with labels in many languages, asked as cloze questions.

    unblank evaluate MODEL --suite xnli --prompts translated --data FOLDER
    """

    suite: LanguagesSuiteName
    languages: tuple[str, ...] = ()
    """Codes of the languages to measure. Default: all that are there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionsOptions(DataOptions):
    """Measure a model by its answers to questions about passages, language by language.

    unblank evaluate MODEL --suite xquad --data FOLDER
    """

    suite: QuestionsSuiteName
    file: tuple[PathText, ...] = ()
    """Your own files, folders or globs instead, of SQuAD's JSON or one question a record."""
    languages: tuple[str, ...] = ()
    """Codes of the languages to measure. Default: all that are there."""
    retrieve: PathText | None = None
    """Folder of an index of passages (unblank index): answer from the passages that fit a question
    best, also from those of other questions, and not from the question's own passage."""
    top: Annotated[Positive[tuple[int, ...]], Needs("retrieve")] = (5,)
    """Numbers of passages; each is measured."""
    prompts: PromptMode = "english"
    """In which words a question is put: English ones, those of its language, or none: as in
    training."""
    extract: Annotated[bool, Excludes("retrieve")] = False
    """Allow only answers that appear in the passage, word for word."""
    max_source_length: TextLength[Positive[int | None]] = None
    """Most tokens of a window of the passage with its question. Default: 512, or what the model
    has positions for."""
    blank: BlankToken | None = None
    """Token for the answer of a GLM. Default: [sMASK]."""
    num_beams: NumBeams[int] = 1
    """Number of beams; 1 is greedy decoding."""
    max_tokens: Positive[int] = 64
    """Most tokens of an answer."""
    batch_size: Positive[int] = 32
    """Number of windows answered together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class XtremeOptions(DataOptions):
    """Measure a model on tasks with labels and on questions, all languages in one table.

    unblank evaluate MODEL --suite xtreme --data FOLDER
    """

    suite: Literal["xtreme"] = "xtreme"
    languages: tuple[str, ...] = ()
    """Codes of the languages to measure. Default: all that are there."""
    prompts: PromptMode | None = None
    """In which words everything is asked: english, the example's own (translated), or none
    (universal). Default: the tasks' patterns as they stand, and questions in English."""
    max_tokens: Positive[int] = 64
    """Most tokens of an answer to a question."""
    batch_size: Positive[int] = 32
    """Number of examples measured together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClozeOptions(ClozeQuestionOptions, EvaluationOptions):
    """Measure a model on your own task, asked as cloze questions.

    unblank evaluate MODEL --suite cloze --tasks TASK.yaml --file examples.jsonl
    """

    suite: Literal["cloze"] = "cloze"
    tasks: tuple[PathText, ...] = ()
    """One task: its name, or your own YAML file."""
    file: tuple[PathText, ...] = ()
    """Files of examples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierOptions(EvaluationOptions):
    """Measure a classifier on your own examples: a whole one, LoRA or a trained prompt.

    unblank evaluate MODEL --suite classifier --file examples.jsonl
    """

    suite: Literal["classifier"] = "classifier"
    tasks: tuple[PathText, ...] = ()
    """One task: its name, or your own YAML file. Default: the one that the model was tuned on."""
    file: tuple[PathText, ...] = ()
    """Files of examples."""
    batch_size: Positive[int] = 32
    """Number of examples scored together."""
    seed: Seed[int] = 0
    """Seed for the standard errors."""

    def __post_init__(self) -> None:
        EvaluationOptions.__post_init__(self)
        if len(self.tasks) > 1:
            raise ValueError(f"tasks are {self.tasks}: a classifier answers one")
