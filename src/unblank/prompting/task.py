"""A task as cloze questions: patterns, verbalizers, fields and metrics.

Reading it from YAML is in `task_files`, reading its examples in `examples`, scoring in `scoring`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from unblank.plurals import numbered
from unblank.prompting.patterns import End, Pattern, Template
from unblank.prompting.verbalizers import Verbalizer
from unblank.prompting.wording import Wording

__all__ = ["USUAL_THRESHOLD", "ClozeTask", "Decision", "Derived", "Scoring", "TaskPattern"]

Scoring = Literal["logit", "sum", "mean"]
"""The logit of a single token, or the sum or mean of log-probabilities, the end included."""

Decision = Literal["label", "first", "text", "several", "rank"]
"""What a prediction is: a label, whether the first candidate won, the words that won, every label
that is probable enough, or the label in the middle of those that have an order."""

USUAL_THRESHOLD = 0.5
"""Probability from which a label applies, where several may."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A field made of another one: a word for each of its values."""

    source: str
    words: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TaskPattern:
    """A pattern with its verbalizer, which is empty where examples bring their own candidates."""

    pattern: Pattern
    verbalizer: Verbalizer


@dataclass(frozen=True, kw_only=True, slots=True)
class ClozeTask:
    """A task as cloze questions.

    Attributes:
        name: stem of the file.
        path: the file.
        about: one sentence.
        files: where the examples lie in a folder of data sets (`unblank.data.splits`), of a task in
            many languages those of one of them; empty if not given.
        patterns: ways to ask, all about the same labels; none if only a classifier answers.
        default_pattern: the one that is used unless others are asked for.
        labels: what can be answered; empty where examples bring their own candidates.
        candidates: candidates of an example as templates over its fields.
        candidates_field: or the field that lists them.
        reader: how raw data becomes examples.
        derive: fields made of other fields.
        label_field: field that holds the label.
        skip_labels: labels of examples that are counted and left out.
        shorten: fields that give way in a text that is too long, in this order, and at which end;
            None for the longest first, at its end.
        scoring: how candidates are compared.
        decision: what a prediction says.
        thresholds: of labels, where several may apply, if not the usual one.
        is_regression: labels are numbers, and predictions lie between them.
        max_wrong: most wrong candidates beside a right one in training; None for all.
        metrics: scores, the first chooses the best model.
        classifier: the texts that the classifier sees, joined by [SEP].
        example: a raw record, for showing.
        language: of examples, if neither their fields nor their files tell; empty for none.
        wordings: language -> the prompts in its words.
        universal: prompts without words.
        verbalizers: language -> the words of the labels.
        all_words: those of all languages together.
    """

    name: str
    path: Path
    about: str = ""
    files: str = ""
    patterns: tuple[TaskPattern, ...]
    default_pattern: int = 0
    labels: tuple[str, ...] = ()
    candidates: tuple[Template, ...] = ()
    candidates_field: str = ""
    reader: str = "records"
    derive: Mapping[str, Derived] = field(default_factory=dict)
    label_field: str = "label"
    skip_labels: tuple[str, ...] = ()
    shorten: Mapping[str, End] | None = None
    scoring: Scoring = "sum"
    decision: Decision = "label"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    is_regression: bool = False
    max_wrong: int | None = None
    metrics: tuple[str, ...] = ("accuracy",)
    classifier: tuple[Template, ...] = ()
    example: Mapping[str, Any] | None = None
    language: str = ""
    wordings: Mapping[str, Wording] = field(default_factory=dict)
    universal: tuple[Pattern, ...] = ()
    verbalizers: Mapping[str, Verbalizer] = field(default_factory=dict)
    all_words: Verbalizer = field(default_factory=dict)

    @property
    def content_hash(self) -> str:
        """A hash of what is asked and how it is answered, not of where its files lie.

        Thresholds are not in it: they change which labels are named, not their probabilities.
        """
        asked = replace(
            self,
            path=Path(self.path.name),
            about="",
            files="",
            shorten=self.shorten or {},  # hashes from before stay the same
            thresholds={},
            metrics=(),
            example=None,
        )
        text = repr(asked).replace(", thresholds={}", "")  # so here
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def thresholds_of_labels(self) -> tuple[float, ...]:
        """The probability from which each label applies, where several may."""
        return tuple(self.thresholds.get(label, USUAL_THRESHOLD) for label in self.labels)

    def pattern(self, number: int | None = None) -> TaskPattern:
        """Return a pattern by its number; None for the default one.

        Raises:
            ValueError: if there is no such pattern.
        """
        if not self.patterns:
            raise ValueError(
                f"task {self.name!r} has no pattern, so it cannot be asked in a blank: train a "
                "classifier (unblank finetune --method classifier) and ask that"
            )
        number = self.default_pattern if number is None else number
        if not 0 <= number < len(self.patterns):
            raise ValueError(
                f"task {self.name!r} has {numbered(len(self.patterns), 'pattern')}, not {number}"
            )
        return self.patterns[number]
