"""Suites: what is measured, on which files and fields below a folder of data sets.

They are described in YAML (`suite_files` reads it): `suites/` holds those of the library. How each
kind is measured is in the modules named after it; `measuring` finds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from unblank.metrics.questions import AnswerRules
from unblank.metrics.text import TextMetric

ParallelLayout = Literal["fields", "pairs", "verses"]

SetT = TypeVar("SetT")

__all__ = [
    "FactSet",
    "FactsSuite",
    "InfillingSuite",
    "LanguageSuite",
    "OwnFilesSuite",
    "PairSet",
    "PairsSuite",
    "ParallelLayout",
    "ParallelSet",
    "QuestionSet",
    "QuestionsSuite",
    "SeveralSuites",
    "Suite",
    "TaskSuite",
    "TextSet",
    "TranslationSuite",
    "WritingSet",
    "WritingSuite",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSet:
    """Texts.

    Attributes:
        files: where they lie, for `unblank.data.splits.find_split`.
        field: that holds a text.
        is_wikitext: they are tokenized as WikiText is, and put together again for the model.
    """

    files: str
    field: str = "text"
    is_wikitext: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSet:
    """Minimal pairs: an acceptable sentence, and one that differs from it and is not.

    Attributes:
        files: where they lie, for `unblank.data.splits.find_split`.
        reader: layout of the records, of `unblank.evaluation.pair_readers`.
        good: field of the acceptable sentence.
        bad: field of the other one.
        groups: fields of the group of a pair, the first that is there; a row of the table each.
        paradigm: field of what is averaged within a group; without it a group is one paradigm.
    """

    files: str
    reader: str = "sentences"
    good: str = "good"
    bad: str = "bad"
    groups: tuple[str, ...] = ("group",)
    paradigm: str = "paradigm"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSet:
    """Facts: subject, relation, object; and a sentence for each relation.

    Attributes:
        files: where the facts lie, for `unblank.data.splits.find_split`, `{lang}` for the code of
            their language.
        relations: where the relations lie, likewise.
        language: of files whose names tell none.
        relation: field of a fact's relation.
        subject: field of its subject.
        object: field of its object.
        aliases: field that lists other names of the object.
        subject_id: field of the subject's identifier, the same in all languages.
        object_id: field of that of the object.
    """

    files: str
    relations: str
    language: str = ""
    relation: str = "relation"
    subject: str = "sub_label"
    object: str = "obj_label"
    aliases: str = "obj_aliases"
    subject_id: str = "sub_uri"
    object_id: str = "obj_uri"


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingSet:
    """Pairs of a source and what is to be written, and how that is judged.

    Attributes:
        files: where they lie, for `unblank.data.splits.find_split`.
        source: field of the source; a list of sentences is joined.
        targets: fields of the references, the first that is there; a list is several references.
        more_targets: fields of further references, those that are there.
        metrics: the scores, the first chooses between length penalties.
        language: code of that of the targets; empty if it is not known.
        group: name of the sets in all languages; empty if there is one.
    """

    files: str
    source: str
    targets: tuple[str, ...]
    more_targets: tuple[str, ...] = ()
    metrics: tuple[TextMetric, ...]
    language: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelSet:
    """The same sentences in several languages, to be translated.

    Attributes:
        files: where they lie, for `unblank.data.splits.find_split`; `{lang}` for the code of a
            file's language, `*` for anything.
        layout: where a sentence and its translations lie, of
            `unblank.evaluation.parallel_sentences`.
        directions: which are measured unless others are asked for, as `SOURCE-TARGET`, where `*`
            stands for every language; at least one.
    """

    files: str
    layout: ParallelLayout
    directions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What all suites have.

    Attributes:
        name: stem of the file.
        about: one sentence.
    """

    name: str
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOfSets(Suite, Generic[SetT]):
    """What is measured on sets of one kind.

    Attributes:
        sets: by name; the user's own files are read and judged like the first.
    """

    sets: Mapping[str, SetT]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSuite(SuiteOfSets[TextSet]):
    """How well texts are predicted.

    Attributes:
        measure: perplexity, or LAMBADA's last word.
    """

    measure: Literal["perplexity", "lambada"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InfillingSuite(SuiteOfSets[TextSet]):
    """How well blanked words are filled in.

    Attributes:
        max_tokens: longest answer in a blank, unless said otherwise.
    """

    max_tokens: int


class PairsSuite(SuiteOfSets[PairSet]):
    """Which sentence of a minimal pair is the likelier one."""


class FactsSuite(SuiteOfSets[FactSet]):
    """Which facts a model knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSuite(Suite):
    """Tasks as cloze questions; where the examples of each lie is said by the task.

    Attributes:
        tasks: name -> file, for `unblank.prompting.load_task`.
        averaged: the metrics of a task that count for the mean over tasks, where not all of them
            do.
        files: where the examples of a task lie in all languages, `{lang}` for the code.
    """

    tasks: Mapping[str, Path]
    averaged: Mapping[str, tuple[str, ...]]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionSet:
    """Questions about passages.

    Attributes:
        files: where they lie, `{lang}` for the code of their language.
        rules: whose official rules score the answers.
    """

    files: str
    rules: AnswerRules


class QuestionsSuite(SuiteOfSets[QuestionSet]):
    """Questions about passages, answered in the words of the passage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralSuites(Suite):
    """Suites of tasks in many languages that are measured together.

    Attributes:
        suites: by name.
    """

    suites: Mapping[str, TaskSuite | QuestionsSuite]


class WritingSuite(SuiteOfSets[WritingSet]):
    """Texts to be written to sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationSuite(SuiteOfSets[ParallelSet]):
    """Sentences to be translated.

    Attributes:
        metrics: the scores, the first chooses between length penalties.
    """

    metrics: tuple[TextMetric, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFilesSuite(Suite):
    """What the user names, task and data.

    Attributes:
        measure: a task as cloze questions or by a classifier, or task files of lm-eval.
    """

    measure: Literal["cloze", "classifier", "lm-eval"]
