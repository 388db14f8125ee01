"""The options of each suite of measurements: a dataclass a kind. Standard library alone.

A setting that does not apply to a suite is not a field of its options, so nobody can give it in
vain. Every field's docstring is its help text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal, get_args

from unblank.metrics.bleu_tokenizers import BleuTokenizer
from unblank.settings.marks import Excludes, Needs, PathText, Positional
from unblank.settings.ranges import (
    LengthPenalty,
    NotNegative,
    NumBeams,
    OneOrMore,
    OpenShare,
    Positive,
    Seed,
    check_values,
)

__all__ = [
    "SUITE_OPTIONS",
    "ClassifierOptions",
    "ClozeOptions",
    "DataOptions",
    "EvaluationOptions",
    "FactsOptions",
    "InfillingOptions",
    "LambadaOptions",
    "LanguagesOptions",
    "LmEvalOptions",
    "PairsOptions",
    "PerplexityOptions",
    "QuestionsOptions",
    "TextOptions",
    "TranslationOptions",
    "UnderstandingOptions",
    "WritingOptions",
    "XtremeOptions",
    "suite_options",
]

_Context = Literal["bi", "uni", "causal"]
_Way = Literal["blanks", "gmask", "causal", "masked", "judged"]
_Prompts = Literal["english", "translated", "universal"]
_Words = Literal["english", "own", "all"]
_Layout = Literal["blank", "sentinel", "masked"]
_BlankToken = Literal["[MASK]", "[sMASK]", "[gMASK]"]
_PairsSuite = Literal["blimp", "choices"]
UnderstandingSuite = Literal["superglue", "glue", "classification"]
LanguagesSuite = Literal["xnli", "paws-x", "xcopa", "xwinograd"]
_QuestionsSuite = Literal["xquad", "mlqa", "tydiqa"]
_WritingSuite = Literal[
    "summarization",
    "compression",
    "question-generation",
    "headlines",
    "simplification",
    "data-to-text",
]
SuiteName = Literal[
    "perplexity",
    "lambada",
    "infilling",
    _PairsSuite,
    "facts",
    UnderstandingSuite,
    LanguagesSuite,
    _QuestionsSuite,
    "xtreme",
    "cloze",
    "classifier",
    "lm-eval",
    _WritingSuite,
    "translation",
]


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
    dtype: Literal["fp32", "bf16", "fp16"] | None = None
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
        if not getattr(self, "file", ()):
            return
        usual = {field.name: field.default for field in fields(self)}
        for name in ("data", "tasks", "split", "languages"):
            if name in usual and getattr(self, name) != usual[name]:
                raise ValueError(
                    f"file and {name} exclude each other: your own files are measured instead of "
                    f"the data sets: leave out one of them"
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

    context: tuple[_Context, ...] = ("bi", "uni")
    """How the text before the scored tokens is seen: bi (bidirectionally), uni (left to right
    after one blank), causal (without a blank, for models pretrained with objective.causal)."""
    blank: _BlankToken | None = None
    """Token for the unseen rest of a text. Default: [gMASK]. Published models without task masks
    have only [MASK]."""

    def __post_init__(self) -> None:
        TextOptions.__post_init__(self)
        _require_each_once(self.context, "context", "give each way once")


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
    context: Literal["bi", "uni"] = "bi"
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

    suite: _PairsSuite = "blimp"
    data: Path | None = None
    """Folder of the data sets, or one file of pairs. Default: the environment variable
    UNBLANK_DATA."""
    file: tuple[str, ...] = ()
    """Your own files instead, with the fields good and bad, and perhaps group: .jsonl, .tsv, .csv
    (also .gz, .zst) or .parquet."""
    by: tuple[_Way, ...] = ()
    """How a sentence is scored: blanks (each word in turn is blanked), gmask (left to right after
    one blank), causal (left to right without a blank), masked (each token in turn is a [MASK]),
    judged (ELECTRA: how likely each token is the original). Default: as the model was pretrained,
    blanks if that is unknown."""
    blank: _BlankToken | None = None
    """Token that gmask begins with. Default: [gMASK]. Published models without task masks have
    only [MASK]."""
    frequencies: tuple[str, ...] = ()
    """Texts whose token counts are the baseline: files, folders or globs of .txt, .jsonl (also
    .gz, .zst) or .parquet. Default: the text that the model was pretrained on."""

    def __post_init__(self) -> None:
        DataOptions.__post_init__(self)
        if len(set(self.by)) < len(self.by):
            raise ValueError(f"by is {self.by}: give each way once")


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
    layout: _Layout = "blank"
    """How the model answers: in a blank, in a blank marked by a sentinel (for models pretrained
    with objective.sentinels), or in one [MASK] per token (objective.masked). Only in a blank it
    also writes an answer of its own."""
    max_tokens: Positive[int] = 16
    """Most tokens of an answer of its own."""
    batch_size: Positive[int] = 32
    """Number of facts asked for together."""


@dataclass(frozen=True, kw_only=True)  # without slots, which two bases cannot both have
class ClozeQuestionOptions:
    """How examples with labels are asked as cloze questions."""

    pattern: NotNegative[tuple[int, ...]] = ()
    """Numbers of the task's patterns, counted from 0; several are averaged. Default: the task's
    own choice."""
    prompts: _Prompts | None = None
    """In which words a task of many languages is asked: english, the example's own (translated), or
    none (universal). Default: the task's patterns as they stand."""
    words: _Words | None = None
    """Which words name a label: English ones, those of the language, or those of all languages,
    which share its probability. Default: those of the language with translated prompts, else
    English ones."""
    normalization: Literal["sum", "mean", "pmi", "contextual"] | None = None
    """How candidates are compared: by the sum or the mean of their tokens' log-probabilities, or
    without what the prompt scores with empty fields (pmi), or with empty ones and N/A, so that all
    are equal without content (contextual). Default: as the task says."""
    calibrate: Annotated[bool, Excludes("normalization")] = False
    """The same as --normalization pmi."""
    layout: _Layout = "blank"
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

    suite: Literal[UnderstandingSuite, LanguagesSuite]


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguagesOptions(UnderstandingOptions):
    """Measure a model on a task with labels in many languages, asked as cloze questions.

    unblank evaluate MODEL --suite xnli --prompts translated --data FOLDER
    """

    suite: LanguagesSuite
    languages: tuple[str, ...] = ()
    """Codes of the languages to measure. Default: all that are there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionsOptions(DataOptions):
    """Measure a model by its answers to questions about passages, language by language.

    unblank evaluate MODEL --suite xquad --data FOLDER
    """

    suite: _QuestionsSuite
    file: tuple[PathText, ...] = ()
    """Your own files, folders or globs instead, of SQuAD's JSON or one question a record."""
    languages: tuple[str, ...] = ()
    """Codes of the languages to measure. Default: all that are there."""
    retrieve: PathText | None = None
    """Folder of an index of passages (unblank index): answer from the passages that fit a question
    best, also from those of other questions, and not from the question's own passage."""
    top: Annotated[Positive[tuple[int, ...]], Needs("retrieve")] = (5,)
    """Numbers of passages; each is measured."""
    prompts: _Prompts = "english"
    """In which words a question is put: English ones, those of its language, or none: as in
    training."""
    extract: Annotated[bool, Excludes("retrieve")] = False
    """Allow only answers that appear in the passage, word for word."""
    max_source_length: Positive[int | None] = None
    """Most tokens of a window of the passage with its question. Default: 512, or what the model
    has positions for."""
    blank: _BlankToken | None = None
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
    prompts: _Prompts | None = None
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


@dataclass(frozen=True, kw_only=True, slots=True)
class WritingOptions(DataOptions):
    """Measure a model by the texts that it writes: summaries, translations, questions, ...

    unblank evaluate MODEL --suite summarization --data FOLDER
    """

    suite: Literal[_WritingSuite, "translation"]
    file: tuple[PathText, ...] = ()
    """Your own files, folders or globs instead, of any format (docs/data.md)."""
    source_field: Annotated[str | None, Needs("file")] = None
    """Field of your own files that holds the source."""
    target_field: Annotated[str | None, Needs("file")] = None
    """Field of your own files that holds the reference, or a list of them."""
    num_beams: NumBeams[int] = 5
    """Number of beams; 1 is greedy decoding."""
    no_repeat_ngram: NotNegative[int] = 3
    """Let no n-gram of this length occur twice in an answer; 0 = off."""
    length_penalty: LengthPenalty[tuple[float, ...]] = (1.0,)
    """Beams are ranked by log-probability / tokens ** penalty. Several values are tried in turn,
    and the best by the first metric is reported: choose it on the validation split."""
    max_tokens: Positive[int | None] = None
    """Most tokens of an answer. Default: 200."""
    source_template: str | None = None
    """What the model reads: a text with {text} in place of the source, and {hint:summary},
    {hint:headline} or {hint:translation} in place of a word of the language to write in, such as
    "{text} {hint:summary}: [sMASK]". Default: the source alone."""
    source_tag: str | None = None
    """Language tag to put before every source, such as __de__; {source} and {target} stand for the
    codes of the languages."""
    target_tag: str | None = None
    """Language tag that every answer of an encoder-decoder starts with; likewise."""
    blank: _BlankToken | None = None
    """Token for the answer to a source. Default: [sMASK]. Published models without task masks
    have only [MASK]."""
    bleu_tokenizer: BleuTokenizer = "auto"
    """Tokenizer for BLEU, of sacreBLEU; auto follows the script of the references: zh, ja-mecab and
    ko-mecab (char without MeCab), char for other scripts without spaces, else 13a."""
    batch_size: Positive[int] = 32
    """Number of sources answered together."""

    def __post_init__(self) -> None:
        DataOptions.__post_init__(self)
        if (self.source_field or self.target_field) and not self.file:
            raise ValueError("source_field and target_field are of your own files: give --file")
        _require_each_once(self.length_penalty, "length_penalty", "give each once")
        if self.num_beams == 1 and len(self.length_penalty) > 1:
            raise ValueError(
                "length_penalty has no effect without beam search: set num_beams above 1"
            )
        if self.source_template is not None and "{text}" not in self.source_template:
            raise ValueError(
                f"source_template is {self.source_template!r}: it must hold {{text}}, where the "
                "source stands"
            )
        self.check_hints([])

    def check_hints(self, languages: Sequence[str]) -> None:
        """Raise ValueError if a hint of `source_template` has no word.

        Args:
            languages: codes of those that are written in; empty where one is not known.
        """
        if self.source_template is None or "{hint:" not in self.source_template:
            return
        from unblank.prompting.writing_hints import check_hints, with_hints

        check_hints(self.source_template)
        is_unknown = self.file and (self.source_field or self.suite != "translation")
        for language in dict.fromkeys([*languages, *([""] if is_unknown else [])]):
            with_hints(self.source_template, language)


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslationOptions(WritingOptions):
    """Measure a model by its translations, direction by direction.

    unblank evaluate MODEL --suite translation --tasks multi30k --directions en-de --data FOLDER
    """

    suite: Literal["translation"] = "translation"
    directions: tuple[str, ...] = ()
    """Directions to measure, as SOURCE-TARGET; * stands for every language, as in en-*. Default:
    those of each set."""

    def __post_init__(self) -> None:
        WritingOptions.__post_init__(self)
        if bool(self.source_field) != bool(self.target_field):
            raise ValueError("give source_field and target_field together, or neither")
        if self.source_field and self.directions:
            raise ValueError(
                "directions choose between the languages of a file, and with source_field and "
                "target_field there is one direction: leave out one of them"
            )
        if self.directions:
            from unblank.languages.directions import ANY_LANGUAGE, find_direction

            targets = [find_direction(one).target for one in self.directions]
            self.check_hints([one for one in targets if one != ANY_LANGUAGE])


SUITE_OPTIONS: dict[str, type[EvaluationOptions]] = {
    "perplexity": PerplexityOptions,
    "lambada": LambadaOptions,
    "infilling": InfillingOptions,
    **dict.fromkeys(get_args(_PairsSuite), PairsOptions),
    "facts": FactsOptions,
    **dict.fromkeys(get_args(UnderstandingSuite), UnderstandingOptions),
    **dict.fromkeys(get_args(LanguagesSuite), LanguagesOptions),
    **dict.fromkeys(get_args(_QuestionsSuite), QuestionsOptions),
    "xtreme": XtremeOptions,
    "cloze": ClozeOptions,
    "classifier": ClassifierOptions,
    "lm-eval": LmEvalOptions,
    **dict.fromkeys(get_args(_WritingSuite), WritingOptions),
    "translation": TranslationOptions,
}
"""The options of each suite."""


def suite_options(name: str) -> type[EvaluationOptions]:
    """Return the dataclass of a suite's options.

    Raises:
        ValueError: there is no such suite.
    """
    from difflib import get_close_matches

    if not isinstance(name, str) or name not in SUITE_OPTIONS:
        near = get_close_matches(str(name), SUITE_OPTIONS, n=1)
        advice = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"suite is {name!r}: choose one of {', '.join(SUITE_OPTIONS)}{advice}")
    return SUITE_OPTIONS[name]


def _require_each_once(values: tuple[object, ...], name: str, what: str) -> None:
    if not values or len(set(values)) < len(values):
        raise ValueError(f"{name} are {values}: {what}, at least one")
